#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A client killed with kill -9 in the middle of a transfer: its connections end, its memory comes back, others go on.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
make_file 64
xtcpd_start
nginx_kernel_start

sessions() { ctl --json status | python3 -c 'import json, sys; print(json.load(sys.stdin)["sessions"])'; }
descriptors() { ls "/proc/$(stack_pid)/fd" | wc -l; }
regions() { grep -c 'memfd:xtcp-client' "/proc/$(stack_pid)/maps" || true; }

before_fds=$(descriptors) before_maps=$(regions)
for round in 1 2 3 4 5; do
    xt_spawn x /dev/null env "${XTCP_ENV[@]}" curl -sS --limit-rate 4M -o /dev/null "http://$ADDR_K/file"
    xt_wait_for 10 listed 'ESTABLISHED.*curl'
    kill -9 "$XT_PID"
    wait "$XT_PID" 2>/dev/null || true
    xt_wait_for 10 listed_none ESTABLISHED
done
equal() { [ "$($1)" = "$2" ]; }
xt_wait_for 10 equal sessions 0
xt_wait_for 10 equal descriptors "$before_fds"
xt_wait_for 10 equal regions "$before_maps"
echo "5 kills: descriptors $before_fds before and after, regions $before_maps before and after"
job_download
