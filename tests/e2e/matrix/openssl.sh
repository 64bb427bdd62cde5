# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# TLS: openssl's own server and client, and stunnel on both sides between curl and nginx.
commands="openssl stunnel4 curl nginx"
job() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=matrix -keyout "$DIR/key" -out "$DIR/cert" 2>/dev/null
    serve s_server sh -c "cd '$WORK/www' && exec openssl s_server -accept $PORT -cert '$DIR/cert' -key '$DIR/key' -WWW -quiet"
    wait_port
    same "s_server" "$(client curl -sS --fail -k "https://$HOST:$PORT/file" | hash_of)" "$WANT"
    same "s_client" "$(printf 'GET /file HTTP/1.0\r\n\r\n' | client openssl s_client -quiet -connect "$HOST:$PORT" 2>/dev/null | tail -c "$SIZE" | hash_of)" "$WANT"
    web_behind
    printf 'foreground = yes\npid =\nsyslog = no\n[s]\naccept = %s\nconnect = %s:%s\ncert = %s\nkey = %s\n' \
        $((PORT + 2)) "$BEHIND" $((PORT + 1)) "$DIR/cert" "$DIR/key" >"$DIR/server"
    printf 'foreground = yes\npid =\nsyslog = no\n[c]\nclient = yes\naccept = 127.0.0.1:%s\nconnect = %s:%s\n' \
        $((PORT + 3)) "$HOST" $((PORT + 2)) >"$DIR/client"
    serve stunnel stunnel4 "$DIR/server"
    wait_port $((PORT + 2))
    LIMIT=300 client_bg tunnel stunnel4 "$DIR/client"
    xt_wait_for 20 client_listens $((PORT + 3))
    same "stunnel" "$(client curl -sS --fail "http://127.0.0.1:$((PORT + 3))/file" | hash_of)" "$WANT"
}
