# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# HTTP/2 without TLS: nghttpd with nghttp and h2load, nghttpx in front of nginx.
commands="nghttpd nghttp h2load nghttpx nginx"
load() { # NAME PORT
    client h2load -n 2000 -c 20 -m 10 "http://$HOST:$2/small" >"$DIR/load"
    same "h2load, $1" "$(grep -o '2000 succeeded, 0 failed, 0 errored, 0 timeout' "$DIR/load")" "2000 succeeded, 0 failed, 0 errored, 0 timeout"
}
job() {
    head -c 10000 "$FILE" >"$WORK/www/small"
    chmod a+r "$WORK/www/small"
    serve nghttpd nghttpd --no-tls -d "$WORK/www" -n 2 "$PORT"
    web_behind
    serve nghttpx nghttpx --frontend="*,$((PORT + 2));no-tls" --backend="$BEHIND,$((PORT + 1))" --workers=2 --pid-file="$DIR/pid"
    wait_port
    wait_port $((PORT + 2))
    local p
    for p in $PORT $((PORT + 2)); do
        same "nghttp, port $p" "$(client nghttp "http://$HOST:$p/file" | hash_of)" "$WANT"
    done
    load nghttpd "$PORT"
    load nghttpx $((PORT + 2))
}
