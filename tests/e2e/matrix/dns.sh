# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# unbound answers over TCP; nsd too, and transfers a zone; dnsmasq only as the kernel's server, for it drops what does not come by an
# interface's address.
commands="unbound nsd dnsmasq dig"
job() {
    printf 'server:\n interface: 0.0.0.0@%s\n access-control: 0.0.0.0/0 allow\n use-syslog: no\n chroot: ""\n username: ""\n directory: "%s"\n pidfile: ""\n do-daemonize: no\n tcp-upstream: yes\n do-not-query-localhost: no\n module-config: "iterator"\n local-data: "h.m. A 10.1.1.1"\n' \
        "$PORT" "$DIR" >"$DIR/unbound"
    serve unbound unbound -d -c "$DIR/unbound"
    [ "$SERVER" != k ] || serve dnsmasq dnsmasq -k -C /dev/null -p $((PORT + 1)) --no-resolv --no-hosts --address=/h.m/10.1.1.2 -u root -8 - -x "$DIR/pid"
    wait_port
    for i in {1..200}; do echo "h.m A"; done >"$DIR/asked"
    same "unbound" "$(client dig +tcp +keepopen +short -p "$PORT" "@$HOST" -f "$DIR/asked" | sort | uniq -c | tr -s ' ')" " 200 10.1.1.1"
    local p=$((PORT + 2))
    cat >"$DIR/nsd.conf" <<CONF
server:
    ip-address: 0.0.0.0@$p
    server-count: 3
    username: ""
    zonesdir: "$DIR"
    pidfile: "$DIR/nsd.pid"
    database: ""
    zonelistfile: "$DIR/nsd.zones"
    xfrdfile: "$DIR/nsd.xfrd"
    xfrdir: "$DIR"
remote-control:
    control-enable: no
zone:
    name: h.m
    zonefile: zone
    provide-xfr: 0.0.0.0/0 NOKEY
CONF
    printf '$ORIGIN h.m.\n$TTL 60\n@ SOA ns a 1 60 60 60 60\n@ NS ns\nns A 10.1.1.3\n@ A 10.1.1.4\n' >"$DIR/zone"
    for i in {1..2000}; do echo "n$i A 10.1.$((i / 250)).$((i % 250))"; done >>"$DIR/zone"
    serve nsd nsd -d -c "$DIR/nsd.conf"
    wait_port $p
    same "nsd" "$(client dig +tcp +keepopen +short -p $p "@$HOST" -f "$DIR/asked" | sort | uniq -c | tr -s ' ')" " 200 10.1.1.4"
    same "a zone" "$(client dig +tcp -p $p "@$HOST" h.m AXFR | grep -c '^n[0-9]*\.h\.m')" 2000
    [ "$SERVER" = k ] || return 0
    wait_port $((PORT + 1))
    same "dnsmasq" "$(client dig +tcp +short -p $((PORT + 1)) "@$HOST" -f "$DIR/asked" | sort | uniq -c | tr -s ' ')" " 200 10.1.1.2"
}
