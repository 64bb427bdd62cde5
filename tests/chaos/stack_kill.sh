#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The stack process killed with kill -9 in the middle of a transfer: the client gets an error, not a hang; the keeper starts a new
# stack process on the same control socket, and new programs are served.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
make_file 64
xtcpd_start
nginx_kernel_start

for round in 1 2 3; do
    old=$(stack_pid)
    xt_spawn x "$WORK/curl.err" env "${XTCP_ENV[@]}" curl -sS --limit-rate 4M -o /dev/null "http://$ADDR_K/file"
    client=$XT_PID
    xt_wait_for 10 listed 'ESTABLISHED.*curl'
    kill -9 "$old"
    rc=0
    xt_wait_for 10 xt_gone "$client"
    wait "$client" || rc=$?
    [ $rc -ne 0 ] || { echo "curl reported success after its stack died" >&2; exit 1; }
    echo "round $round: curl said ($rc): $(cat "$WORK/curl.err")"
    xt_wait_for 10 quiet ctl status
    new=$(stack_pid)
    [ "$new" != "$old" ]
    job_download
done
