# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# haproxy in front of nginx: a reload that hands the listening sockets to the new process, under load.
commands="haproxy nginx curl socat"
job() {
    local old
    web_behind
    cat >"$DIR/conf" <<CONF
global
    stats socket $DIR/stats mode 600 level admin expose-fd listeners
    maxconn 500
defaults
    mode http
    timeout connect 10s
    timeout client 30s
    timeout server 30s
frontend f
    bind :$PORT
    default_backend b
frontend t
    mode tcp
    bind 0.0.0.0:$((PORT + 2))
    default_backend bt
backend b
    server n $BEHIND:$((PORT + 1)) check
backend bt
    mode tcp
    server n $BEHIND:$((PORT + 1))
CONF
    serve haproxy haproxy -W -f "$DIR/conf" -db
    wait_port
    same "HTTP" "$(client curl -sS --fail "http://$HOST:$PORT/file" | hash_of)" "$WANT"
    same "TCP" "$(client curl -sS --fail "http://$HOST:$((PORT + 2))/file" | hash_of)" "$WANT"
    load_start
    load_more
    for _ in 1 2; do
        old=$(pgrep -P "$SERVE_PID" | sort | head -n 1)
        kill -USR2 "$SERVE_PID"
        load_more
        xt_wait_for 30 xt_gone "$old" || { echo "the old process stays"; return 1; }
        load_more
    done
    load_end
}
