# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# iperf 2: four streams, both ways at once, a fixed number of bytes.
commands="iperf"
job() {
    serve iperf iperf -s -p "$PORT"
    wait_port
    client iperf -c "$HOST" -p "$PORT" -n 32M -P 4 -y C >"$DIR/four"
    same "bytes of four" "$(awk -F, '{ n += $8 } END { printf "%d", n }' "$DIR/four")" $((4 * 33554432))
    client iperf -c "$HOST" -p "$PORT" -t 1 --full-duplex >"$DIR/both"
    client iperf -c "$HOST" -p "$PORT" -t 1 -R >"$DIR/back"
    cat "$DIR/both" "$DIR/back"
    same "failures" "$(cat "$DIR"/*.log "$DIR/both" "$DIR/back" | grep -ci 'fail\|error')" 0
}
