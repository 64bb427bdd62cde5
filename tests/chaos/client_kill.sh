#!/usr/bin/env bash
# A client killed with kill -9 in the middle of a transfer: its connections end, its memory comes back, others go on.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
make_file 64
xtcpd_start
nginx_kernel_start

sessions() { ctl --json status | python3 -c 'import json, sys; print(json.load(sys.stdin)["sessions"])'; }
descriptors() { ls "/proc/$(stack_pid)/fd" | wc -l; }
region_bytes() { grep -c 'memfd:xtcp-client' "/proc/$(stack_pid)/maps" || true; }

before_fds=$(descriptors) before_maps=$(region_bytes)
for round in 1 2 3 4 5; do
    on_xtcp curl -sS --limit-rate 4M -o /dev/null "http://$ADDR_K/file" &
    shellpid=$!
    xt_wait_for sh -c "'$XTCPCTL' --socket '$WORK/xtcpd.sock' list | grep -q 'ESTABLISHED.*curl'"
    kill -9 "$(pgrep -P $shellpid -x curl || echo $shellpid)" 2>/dev/null || true
    wait $shellpid 2>/dev/null || true
    xt_wait_for sh -c "! '$XTCPCTL' --socket '$WORK/xtcpd.sock' list | grep -q 'ESTABLISHED'"
done
[ "$(sessions)" = 0 ] || xt_wait_for sh -c "[ \$('$XTCPCTL' --socket '$WORK/xtcpd.sock' --json status | python3 -c 'import json, sys; print(json.load(sys.stdin)[\"sessions\"])') = 0 ]"
xt_wait_for sh -c "[ \$(ls /proc/$(stack_pid)/fd | wc -l) = $before_fds ]"
[ "$(region_bytes)" = "$before_maps" ]
echo "5 kills: descriptors $before_fds before and after, regions $before_maps before and after"
job_download
