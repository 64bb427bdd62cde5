# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# tinyproxy and privoxy in front of nginx, plain and through CONNECT.
commands="tinyproxy privoxy curl nginx"
through() { # NAME PORT
    same "$1" "$(client curl -sS --fail -x "$HOST:$2" "http://$BEHIND:$((PORT + 1))/file" | hash_of)" "$WANT"
    same "$1, CONNECT" "$(client curl -sS --fail -p -x "$HOST:$2" "http://$BEHIND:$((PORT + 1))/file" | hash_of)" "$WANT"
}
job() {
    web_behind
    printf 'Port %s\nTimeout 60\nMaxClients 50\n' "$PORT" >"$DIR/tinyproxy"
    serve tinyproxy tinyproxy -d -c "$DIR/tinyproxy"
    printf 'listen-address :%s\n' $((PORT + 2)) >"$DIR/privoxy"
    serve privoxy privoxy --no-daemon "$DIR/privoxy"
    wait_port
    wait_port $((PORT + 2))
    through tinyproxy "$PORT"
    through privoxy $((PORT + 2))
}
