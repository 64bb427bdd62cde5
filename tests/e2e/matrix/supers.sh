# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sockets given to programs: tcpserver, systemd-socket-activate (each connection, or the listener). And servers with threads or processes
# of their own kind: qemu-nbd asked by qemu-img, fossil, krb5kdc by kinit, knotd by kdig and dnsperf, mbuffer.
commands="tcpserver systemd-socket-activate qemu-nbd qemu-img fossil krb5kdc kdb5_util kinit knotd kdig dnsperf mbuffer nc curl /usr/bin/python3"
limit=240
given() {
    serve tcpserver tcpserver -H -R 0.0.0.0 "$PORT" sha256sum
    wait_port
    same tcpserver "$(client nc -N "$HOST" "$PORT" <"$FILE" | cut -d ' ' -f 1)" "$WANT"
    serve activated systemd-socket-activate -l "0.0.0.0:$((PORT + 1))" --inetd -a sha256sum
    wait_port $((PORT + 1))
    same "systemd-socket-activate" "$(client nc -N "$HOST" $((PORT + 1)) <"$FILE" | cut -d ' ' -f 1)" "$WANT"
    cat >"$DIR/web.py" <<'PY'
import http.server, socket, sys
server = http.server.ThreadingHTTPServer(("", 0), http.server.SimpleHTTPRequestHandler, bind_and_activate=False)
server.socket = socket.socket(fileno=3)
server.serve_forever()
PY
    serve listener env -C "$WORK/www" systemd-socket-activate -l "0.0.0.0:$((PORT + 2))" /usr/bin/python3 "$DIR/web.py"
    wait_port $((PORT + 2))
    same "its listener" "$(client curl -sS --fail "http://$HOST:$((PORT + 2))/file" | hash_of)" "$WANT"
    same "its listener again" "$(client curl -sS --fail "http://$HOST:$((PORT + 2))/file" | hash_of)" "$WANT"
}
kerberos() {
    printf '%s\n' "[libdefaults]" " default_realm = M" " dns_lookup_kdc = false" " udp_preference_limit = 1" "[realms]" " M = {" "  kdc = $HOST:$1" " }" \
        >"$DIR/krb5.conf"
    printf '%s\n' "[kdcdefaults]" " kdc_listen = \"\"" " kdc_tcp_listen = 0.0.0.0:$1" "[realms]" " M = {" "  database_name = $DIR/kdb" \
        "  key_stash_file = $DIR/stash" " }" >"$DIR/kdc.conf"
    local -x KRB5_CONFIG=$DIR/krb5.conf KRB5_KDC_PROFILE=$DIR/kdc.conf LC_ALL=C
    kdb5_util create -s -P secret -r M >/dev/null 2>&1
    serve kdc krb5kdc -n -r M
    wait_port "$1"
    local rc=0
    client kinit -c "$DIR/cc" nobody@M </dev/null >"$DIR/kinit" 2>&1 || rc=$?
    same kinit "$rc $(cat "$DIR/kinit")" "1 kinit: Client 'nobody@M' not found in Kerberos database while getting initial credentials"
}
zone() {
    local n
    n=$(amount 3000)
    {
        printf '%s\n' "\$ORIGIN m.test." "@ 3600 SOA a b 1 3600 600 86400 60" "@ NS a" "a A 10.0.0.1"
        seq "$n" | sed 's/.*/h& A 10.0.0.1/'
    } >"$DIR/zone"
    seq "$n" | sed 's/.*/h&.m.test A/' >"$DIR/questions"
    cat >"$DIR/knot.conf" <<CONF
server:
  rundir: "$DIR"
  listen: 0.0.0.0@$1
  tcp-workers: 2
  tcp-reuseport: on
database:
  storage: "$DIR/knot"
acl:
  - id: all
    action: transfer
zone:
  - domain: m.test
    file: $DIR/zone
    acl: all
CONF
    serve knot knotd -c "$DIR/knot.conf"
    wait_port "$1"
    same "knot, a zone" "$(client kdig +tcp "@$HOST" -p "$1" m.test AXFR | grep -c '10\.0\.0\.1$')" $((n + 1))
    same "knot, dnsperf" "$(client dnsperf -m tcp -s "$HOST" -p "$1" -d "$DIR/questions" -c 8 -q 50 2>&1 | grep -o 'completed: *[0-9]*' | tr -dc 0-9)" "$n"
}
job() {
    given
    serve nbd qemu-nbd -t -p $((PORT + 3)) -b 0.0.0.0 -f raw -e 4 -r "$FILE"
    wait_port $((PORT + 3))
    client qemu-img convert -f raw -O raw "nbd://$HOST:$((PORT + 3))" "$DIR/disk"
    same qemu-nbd "$(head -c "$SIZE" "$DIR/disk" | hash_of)" "$WANT"
    export HOME=$DIR USER=m
    fossil init "$DIR/repo.fossil" >/dev/null
    serve fossil fossil server --port $((PORT + 4)) "$DIR/repo.fossil"
    wait_port $((PORT + 4))
    client fossil clone "http://$HOST:$((PORT + 4))" "$DIR/clone.fossil" >/dev/null 2>&1
    same fossil "$(fossil info -R "$DIR/clone.fossil" | grep project-code)" "$(fossil info -R "$DIR/repo.fossil" | grep project-code)"
    kerberos $((PORT + 5))
    zone $((PORT + 6))
    serve mbuffer mbuffer -q -I $((PORT + 7)) -o "$DIR/buffered"
    wait_port $((PORT + 7))
    client mbuffer -q -i "$FILE" -O "$HOST:$((PORT + 7))"
    xt_wait_for 20 xt_gone "$SERVE_PID"
    same mbuffer "$(hash_of <"$DIR/buffered")" "$WANT"
}
