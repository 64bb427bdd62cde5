#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Buffers tune themselves: over a line of 100 ms and 200 Mbit/s (2.5 MB on the way) they grow, from 64 KiB, until the line is full,
# both ways. A buffer that may not grow holds no more than its size.
#   autotune.sh BUILD
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" far
# A server for each run: one that was left in the middle is busy for a while.
for port in 5201 5202 5203; do
    xt_spawn k "$WORK/iperf-server.$port" iperf3 -s -p $port
    xt_wait_for 30 in_k sh -c "ss -Hltn 'sport = :$port' | grep -q ."
done
show() { # FIELD: of the connection that moves data
    local id
    for id in $(ctl list | awk '$2 == "ESTABLISHED" { print $1 }'); do ctl show "$id" || :; done |
        awk -v f="$1" '$1 == f && $2 > max { max = $2 } END { print max + 0 }'
}
more_than() { [ "$(show "$1")" -gt "$2" ]; }

# grows WHAT FIELD BYTES IPERF-OPTION...: until the connection has more than that on the way, however long it takes
grows() {
    local what=$1 field=$2 bytes=$3 pid
    shift 3
    xt_spawn x "$WORK/iperf.log" env "${XTCP_ENV[@]}" iperf3 -c "$ADDR_K" -t 120 "$@"
    pid=$XT_PID
    xt_wait_for 100 more_than "$field" "$bytes" || {
        echo "$what: $field is $(show "$field"), not more than $bytes"
        return 1
    }
    echo "$what: $field $(show "$field") bytes; rings $(show tx_ring) and $(show rx_ring)"
    xt_stop "$pid" || :
}

xtcpd_start
grows "send" unacked 1000000 -p 5201
grows "receive" rx_ring 1000000 -p 5202 -R
xt_stop "$XTCPD_PID"

# The same with buffers that stay: what is on the way, after as much as would have made them grow, is 64 KiB.
xtcpd_start --sndbuf-max 64K --rcvbuf-max 64K
xt_spawn x "$WORK/iperf.log" env "${XTCP_ENV[@]}" iperf3 -c "$ADDR_K" -p 5203 -t 120
xt_wait_for 100 more_than tx_una 1000000
if [ "$(show unacked)" -gt 65536 ] || [ "$(show tx_ring)" -ne 65536 ]; then
    echo "fixed: $(show unacked) bytes on the way, ring $(show tx_ring)"
    exit 1
fi
echo "fixed: not more than 65536 bytes on the way"
