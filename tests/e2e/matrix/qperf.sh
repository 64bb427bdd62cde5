# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# qperf: latency and bandwidth.
commands="qperf"
job() {
    serve qperf qperf -lp "$PORT"
    wait_port
    client qperf -lp "$PORT" -ip $((PORT + 1)) -t 1 "$HOST" tcp_lat tcp_bw >"$DIR/out"
    same "figures" "$(grep -c '^ *\(latency\|bw\) *= *[0-9.]* [a-zA-Z]*' "$DIR/out")" 2
}
