# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# wrk against nginx: no socket error, no answer but 200.
commands="wrk nginx"
job() {
    web nginx
    head -c 10000 "$FILE" >"$WORK/www/small"
    client wrk -t 2 -c 50 -d "$(amount 2)s" --timeout 20s "http://$HOST:$PORT/small" >"$DIR/wrk"
    cat "$DIR/wrk"
    same "errors" "$(grep -c 'Socket errors\|Non-2xx' "$DIR/wrk")" 0
    note "$(awk '/requests in/ { print $1 " requests" }' "$DIR/wrk")"
    [ "$(awk '/requests in/ { print $1 }' "$DIR/wrk")" -gt 0 ]
}
