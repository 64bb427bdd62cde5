# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# iperf3: each way, both ways, several streams; all that was to be sent was received.
commands="iperf3"
run() { # NAME ARGS
    client iperf3 -c "$HOST" -p "$PORT" -J -n "$(amount 64)M" "${@:2}" >"$DIR/run.json" || { cat "$DIR/run.json"; return 1; }
    local got
    got=$(awk '/"error":/ { exit } /"sum_received":/ { sum = 1 } sum && /"bytes":/ { print int($2); exit }' "$DIR/run.json")
    [ "${got:-0}" -ge 1048576 ] || { echo "$1: hardly anything received"; cat "$DIR/run.json"; return 1; }
}
job() {
    serve iperf3 iperf3 -s -p "$PORT"
    wait_port
    run "to"
    run "from" -R
    run "both" --bidir
    run "four streams" -P 4
    run "four streams from" -P 4 -R
    run "sendfile" -Z
    run "window and segment" -w 256K -M 1000
}
