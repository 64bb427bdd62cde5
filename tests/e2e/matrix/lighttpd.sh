# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# lighttpd: a file, pieces of it, an endless load, siege with forty users.
commands="lighttpd curl siege"
job() {
    cat >"$DIR/conf" <<CONF
server.document-root = "$WORK/www"
server.upload-dirs = ( "$DIR" )
server.port = $PORT
CONF
    serve lighttpd lighttpd -D -f "$DIR/conf"
    wait_port
    same "a file" "$(client curl -sS --fail "http://$HOST:$PORT/file" | hash_of)" "$WANT"
    same "two halves over one connection" "$(client curl -sS --fail -r 0-$((SIZE / 2 - 1)) "http://$HOST:$PORT/file" \
        --next -sS --fail -r $((SIZE / 2))- "http://$HOST:$PORT/file" | hash_of)" "$WANT"
    load_start
    load_more
    load_end
    for connection in close keep-alive; do
        echo "connection = $connection" >"$DIR/siegerc"
        client siege -R "$DIR/siegerc" -b -j -c 40 -r 25 "http://$HOST:$PORT/small" >"$DIR/siege" 2>&1
        same "siege, $connection" "$(grep -c '"transactions":.* 1000,\|"failed_transactions":.* 0,' "$DIR/siege")" 2
    done
}
