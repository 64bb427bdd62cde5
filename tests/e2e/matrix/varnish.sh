# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# varnish in front of nginx: a miss, a hit, an endless load.
commands="varnishd curl nginx gcc"
job() {
    web_behind
    mkdir -p "$DIR/n"
    chmod 777 "$DIR" "$DIR/n"
    serve varnish varnishd -F -a ":$PORT" -b "$BEHIND:$((PORT + 1))" -n "$DIR/n" -s malloc,64m
    wait_port
    same "a miss" "$(client curl -sS --fail "http://$HOST:$PORT/file" | hash_of)" "$WANT"
    same "a hit" "$(client curl -sS --fail -D "$DIR/head" "http://$HOST:$PORT/file" | hash_of)" "$WANT"
    same "it says so" "$(tr -d '\r' <"$DIR/head" | grep -ci '^x-varnish: [0-9]* [0-9]*$')" 1
    load_start
    load_more
    load_end
}
