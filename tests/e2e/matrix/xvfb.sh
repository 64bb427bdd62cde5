# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# An X server over TCP: its screen, a large property written and read.
commands="Xvfb xdpyinfo xprop"
job() {
    local n=$((PORT - 6000))
    serve x Xvfb ":$n" -listen tcp -nolisten unix -nolisten local -ac -noreset -screen 0 640x480x24
    wait_port "$PORT"
    same "screen" "$(client xdpyinfo -display "$HOST:$n" | awk '/dimensions:/ { print $2 }')" 640x480
    client xprop -display "$HOST:$n" -root -f M 8s -set M "$(head -c 9000 "$FILE" | base64 -w 0 | head -c 8000)"
    same "a large property" "$(client xprop -display "$HOST:$n" -root -len 10000 M | sed 's/.*= "//; s/"$//' | tr -d '\n' | hash_of)" \
        "$(head -c 9000 "$FILE" | base64 -w 0 | head -c 8000 | hash_of)"
}
