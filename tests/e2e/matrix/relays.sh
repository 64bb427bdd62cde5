# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# In front of nginx: SOCKS by microsocks, sslh that looks at the first bytes, hitch that takes off TLS.
commands="microsocks sslh hitch openssl curl nginx"
job() {
    web_behind
    local behind="$BEHIND:$((PORT + 1))"
    serve microsocks microsocks -i 0.0.0.0 -p $((PORT + 2))
    wait_port $((PORT + 2))
    same microsocks "$(client curl -sS --fail --socks5 "$HOST:$((PORT + 2))" "http://$behind/file" | hash_of)" "$WANT"
    serve sslh sslh -f -n -p "0.0.0.0:$((PORT + 3))" --http "$behind"
    wait_port $((PORT + 3))
    same sslh "$(client curl -sS --fail "http://$HOST:$((PORT + 3))/file" | hash_of)" "$WANT"
    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -days 2 -keyout "$DIR/key" -out "$DIR/cert" 2>/dev/null
    cat "$DIR/key" "$DIR/cert" >"$DIR/pem"
    serve hitch hitch --user=nobody --frontend="[*]:$((PORT + 4))" --backend="[$BEHIND]:$((PORT + 1))" --ocsp-dir= "$DIR/pem"
    wait_port $((PORT + 4))
    same hitch "$(client curl -ksS --fail "https://$HOST:$((PORT + 4))/file" | hash_of)" "$WANT"
}
