#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Beside processes that compute, the data plane sleeps instead of looking for work again and again: it has the processor as soon as
# it is woken, where each of its yields would be milliseconds of theirs.
#   give_way.sh BUILD
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean

load() { in_k redis-benchmark -h "$ADDR_X" -t get -c 20 -n "$1" -q >/dev/null; }
counter() { ctl stats -a | awk -v name="loop.$1" '$1 == name { print $2 }'; }

xtcpd_start
xt_spawn x "$WORK/redis.log" env "${XTCP_ENV[@]}" redis-server --bind "$ADDR_X" --port 6379 --save '' --appendonly no --protected-mode no
xt_wait_for 30 quiet in_k redis-cli -h "$ADDR_X" ping
for cpu in $(python3 -c 'import os; print(*os.sched_getaffinity(0))'); do
    xt_spawn k "$WORK/hogs.log" taskset -c "$cpu" timeout 300 python3 -c 'while True: pass'
done
load 5000 # until it has found out
slept=$(counter sleeps) spun=$(($(counter spins_paid) + $(counter spins_vain)))
load 20000
slept=$(($(counter sleeps) - slept)) spun=$(($(counter spins_paid) + $(counter spins_vain) - spun))
echo "slept $slept times, $spun of them after spinning"
[ "$slept" -gt 100 ]
[ $((spun * 3)) -lt "$slept" ]
