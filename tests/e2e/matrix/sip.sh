# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# SIP over TCP: sipp calls sipp through kamailio, whose main process accepts connections and hands them to the others and back.
commands="kamailio sipp"
job() {
    local n in_front=$((PORT + 2))
    n=$(amount 200)
    cat >"$DIR/kamailio.cfg" <<CONF
debug=0
log_stderror=yes
fork=yes
children=2
tcp_children=3
listen=tcp:0.0.0.0:$in_front
advertised_address="$HOST"
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "pv.so"
loadmodule "tm.so"
request_route {
    \$du = "sip:$HOST:$PORT;transport=tcp";
    t_relay();
}
CONF
    serve callee sipp -sn uas -t t1 -i 0.0.0.0 -p "$PORT" -nostdin
    wait_port
    serve kamailio kamailio -f "$DIR/kamailio.cfg" -DD -E -P "$DIR/pid" -Y "$DIR" -m 32 -M 8
    wait_port "$in_front"
    client sipp -sn uac -t t1 -m "$n" -r 50 -d 100 -nostdin "$HOST:$in_front" >"$DIR/caller" 2>&1 || :
    same "calls" "$(grep -a 'Successful call' "$DIR/caller" | tail -n 1 | tr -dc '0-9|' | cut -d '|' -f 3)" "$n"
}
