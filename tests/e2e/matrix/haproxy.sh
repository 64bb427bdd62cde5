# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# haproxy in front of nginx: a reload that hands the listening sockets to the new process, under load.
commands="haproxy nginx curl socat"
job() {
    local old
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
    server n $ADDR_K:$((PORT + 1)) check
backend bt
    mode tcp
    server n $ADDR_K:$((PORT + 1))
CONF
    nginx_conf web-h 1
    sed -i "s/listen 80;/listen $((PORT + 1));/" "$WORK/web-h/nginx.conf"
    xt_spawn k "$DIR/nginx.log" nginx -p "$WORK/web-h" -c "$WORK/web-h/nginx.conf" -e "$WORK/web-h/error.log"
    xt_wait_for 10 quiet in_k curl -s --fail -o /dev/null -r 0-0 "http://$ADDR_K:$((PORT + 1))/file"
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
