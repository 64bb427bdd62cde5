# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# iperf3: each way, both ways, several streams; all that was sent was received.
commands="iperf3"
run() { # NAME ARGS: the received bytes are at least those asked for
    client iperf3 -c "$HOST" -p "$PORT" -J "${@:2}" >"$DIR/run.json" || { cat "$DIR/run.json"; return 1; }
    /usr/bin/python3 - "$1" "$DIR/run.json" <<'PY'
import json, sys
r = json.load(open(sys.argv[2]))
if "error" in r or r["end"]["sum_received"]["bytes"] < 1 << 20:
    sys.exit(f"{sys.argv[1]}: {r.get('error', 'hardly anything received')}")
PY
}
job() {
    serve iperf3 iperf3 -s -p "$PORT"
    wait_port
    run "to" -n 64M
    run "from" -n 64M -R
    run "both" -t 1 --bidir
    run "four streams" -n 64M -P 4
    run "four streams from" -t 1 -P 4 -R
    run "sendfile" -n 64M -Z
    run "window and segment" -t 1 -w 256K -M 1000
}
