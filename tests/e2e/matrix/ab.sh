# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# ab against nginx: every request answered, with keep-alive and without.
commands="ab nginx"
bench() {
    client ab -q -s 30 "$@" "http://$HOST:$PORT/small" >"$DIR/ab"
    same "ab $* complete" "$(awk '/^Complete requests/ { print $3 }' "$DIR/ab")" "$(amount 5000)"
    same "ab $* failed" "$(awk '/^Failed requests/ { print $3 }' "$DIR/ab")" 0
}
job() {
    web nginx
    head -c 10000 "$FILE" >"$WORK/www/small"
    bench -n "$(amount 5000)" -c 50
    bench -n "$(amount 5000)" -c 50 -k
}
