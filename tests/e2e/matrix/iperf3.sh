# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# iperf3: each way, both ways, several streams, sendfile; the server tells how much it had by the end.
commands="iperf3"
run() { # NAME ARGS
    xt_wait_for 20 iperf_ready "$DIR/iperf3.log" || { echo "$1: the server is not ready"; cat "$DIR/iperf3.log"; return 1; }
    client iperf3 -c "$HOST" -p "$PORT" -J -n "$(amount 64)M" "${@:2}" >"$DIR/run.json" || { cat "$DIR/run.json"; return 1; }
    local got
    got=$(awk '/"error":/ { sum = 0; exit } /"sum_received/ { one = 1 } one && /"bytes":/ { sum += $2; one = 0 } END { print int(sum) }' "$DIR/run.json")
    [ "${got:-0}" -ge "$(amount 1048576)" ] || { echo "$1: hardly anything received"; cat "$DIR/run.json"; return 1; }
}
job() {
    serve iperf3 iperf3 -s -p "$PORT" --forceflush
    run "to"
    run "from" -R
    run "both" --bidir
    run "four streams" -P 4
    run "four streams from" -P 4 -R
    run "sendfile" -Z
    run "window and segment" -w 256K -M 1000
}
