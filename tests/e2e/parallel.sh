#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# 200 curls at once on xtcp from the kernel's nginx, then 200 kernel curls from nginx on xtcp: every hash is right.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" "${2:-clean}"
make_file 2
xtcpd_start
nginx_kernel_start
nginx_xtcp_start 2

# many NAME CMD...: runs CMD 200 times at once, compares each result's hash.
many() {
    local name=$1 i good
    shift
    for i in $(seq 200); do
        ("$@" 2>"$WORK/many.$i.err" | sha256sum >"$WORK/many.$i") &
        pids[i]=$!
    done
    wait "${pids[@]}" || true
    good=$(cat "$WORK"/many.? "$WORK"/many.?? "$WORK"/many.??? | grep -cxF "$WANT") || true
    echo "$name: $good of 200 whole"
    if [ "$good" != 200 ]; then
        cat "$WORK"/many.*.err | sort | uniq -c | sort -rn | head
        ctl stats
        return 1
    fi
    rm -f "$WORK"/many.*
}
many "curl on xtcp <- nginx on kernel" on_xtcp curl -sS --fail "http://$ADDR_K/file"
many "curl on kernel <- nginx on xtcp" in_k curl -sS --fail "http://$ADDR_X/file"

# When all is over, no client but nginx is left.
xt_wait_for 30 listed_none curl
