# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# curl: one file, pieces of it, twenty at once, a PUT with 100-continue, against nginx and python.
commands="curl nginx"
job() {
    web nginx
    same "a file" "$(client curl -sS --fail "http://$HOST:$PORT/file" | hash_of)" "$WANT"
    same "two halves over one connection" "$(client curl -sS --fail -r 0-$((SIZE / 2 - 1)) "http://$HOST:$PORT/file" \
        --next -sS --fail -r $((SIZE / 2))- "http://$HOST:$PORT/file" | hash_of)" "$WANT"
    client curl -sS --fail -Z --no-progress-meter --output-dir "$DIR" "http://$HOST:$PORT/file" -o "#1got1" \
        "http://$HOST:$PORT/file?[2-20]" -o "got#1"
    same "twenty at once" "$(cat "$DIR"/*got* | wc -c)" $((20 * SIZE))
    same "each of them" "$(for f in "$DIR"/*got*; do hash_of <"$f"; done | sort -u)" "$WANT"
    same "a missing file" "$(client curl -s -o /dev/null -w '%{http_code}' "http://$HOST:$PORT/none")" 404
    local rc=0
    client curl -s -m 20 "http://$HOST:$((PORT + 1))/" || rc=$?
    same "a port where nobody listens" $rc 7
}
