# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What machines are watched by: syslog-ng with many lines of loggen's, monit's web server, snmpd.
commands="syslog-ng loggen monit snmpd snmpwalk curl"
lines() { wc -l <"$DIR/messages" 2>/dev/null || echo 0; }
all_lines() { [ "$(lines)" -ge "$1" ]; }
job() {
    local n
    n=$(amount 5000)
    cat >"$DIR/syslog.conf" <<CONF
@version: 3.38
source s { network(transport("tcp") port($PORT) ip("0.0.0.0") max-connections(50)); };
destination d { file("$DIR/messages"); };
log { source(s); destination(d); };
CONF
    serve syslog syslog-ng -F -f "$DIR/syslog.conf" -R "$DIR/persist" -c "$DIR/ctl" -p "$DIR/syslog.pid" --no-caps --stderr
    wait_port
    client loggen -i -S -n "$n" -r 100000 --active-connections 4 "$HOST" "$PORT" >"$DIR/loggen" 2>&1
    xt_wait_for 20 all_lines $((4 * n)) || :
    same "syslog-ng: lines" "$(lines)" $((4 * n))
    PORT=$((PORT + 1))
    cat >"$DIR/monitrc" <<CONF
set daemon 30
set httpd port $PORT and use address 0.0.0.0
    allow 0.0.0.0/0
check filesystem root with path /
CONF
    chmod 600 "$DIR/monitrc"
    serve monit monit -I -c "$DIR/monitrc" -p "$DIR/monit.pid" -s "$DIR/monit.state" -l "$DIR/monit.log2"
    wait_port
    same "monit" "$(client curl -sS --fail "http://$HOST:$PORT/_status?format=text" | grep -c "Filesystem.*root")" 1
    PORT=$((PORT + 1))
    echo "rocommunity public" >"$DIR/snmpd.conf"
    serve snmpd snmpd -f -Lo -C -c "$DIR/snmpd.conf" -p "$DIR/snmpd.pid" "tcp:0.0.0.0:$PORT"
    wait_port
    client snmpwalk -v2c -c public -t 20 "tcp:$HOST:$PORT" .1.3.6.1.2.1.1 >"$DIR/walk"
    [ "$(wc -l <"$DIR/walk")" -ge 10 ] || { cat "$DIR/walk"; return 1; }
}
