#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Where processors are short the shard goes to that of the program which waits for it, and to another one when the program does. It
# stays where the administrator has confined it, and anywhere with follow = off.
#   follow.sh BUILD
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
mapfile -t CPUS < <(python3 -c 'import os; print(*sorted(os.sched_getaffinity(0))[:2], sep="\n")')
[ ${#CPUS[@]} -eq 2 ] || { echo "SKIP: needs two processors"; exit 77; }
stage_up "$1" clean

server() { # CPU
    xt_spawn x "$WORK/redis.log" env "${XTCP_ENV[@]}" taskset -c "$1" redis-server --bind "$ADDR_X" --port 6379 --save '' \
        --appendonly no --protected-mode no
    SERVER=$XT_PID
    xt_wait_for 30 quiet in_k redis-cli -h "$ADDR_X" ping
}
# load AS-REDIS-BENCHMARK-HAS-IT...: a client on each of the two processors, so that nobody has one to himself
load() {
    local cpu
    LOAD=()
    for cpu in "${CPUS[@]}"; do
        xt_spawn k "$WORK/load.log" timeout 120 taskset -c "$cpu" redis-benchmark -h "$ADDR_X" -t get -c 20 -q "$@"
        LOAD+=("$XT_PID")
    done
}
loaded() { load -n "$1" && wait "${LOAD[@]}"; }
moves() { ctl stats -a | awk '$1 == "loop.moves" { print $2 }'; }
# The thread that has worked most.
shard() { loaded 2000 && awk '{ tid = $1; sub(/.*\) /, ""); print $12 + $13, tid }' "/proc/$(stack_pid)/task/"*/stat | sort -n | tail -n 1 | cut -d' ' -f2; }
shard_cpu() { sed 's/.*) //' "/proc/$(stack_pid)/task/$SHARD/stat" | cut -d' ' -f37; }
is_on() { [ "$(shard_cpu)" = "$1" ] && [ "$(moves)" -gt "$MOVES" ]; }
comes_to() { # CPU
    MOVES=$(moves)
    taskset -a -p -c "$1" "$SERVER" >/dev/null
    local pid
    load -l
    xt_wait_for 60 is_on "$1" || { echo "on $(shard_cpu) after $(moves) moves, not on $1"; exit 1; }
    for pid in "${LOAD[@]}"; do xt_stop "$pid" || :; done
    echo "the shard came to processor $1"
}
stays() {
    MOVES=$(moves)
    loaded 20000
    [ "$(moves)" -eq "$MOVES" ] || { echo "$1: it moved"; exit 1; }
    echo "$1: it stays"
}

xtcpd_start
server "${CPUS[1]}"
SHARD=$(shard)
comes_to "${CPUS[1]}"
comes_to "${CPUS[0]}"
comes_to "${CPUS[1]}"
taskset -p -c "${CPUS[0]}" "$SHARD" >/dev/null
stays "confined to another processor"
[ "$(shard_cpu)" = "${CPUS[0]}" ]
xt_stop "$SERVER"
xt_stop "$XTCPD_PID"

xtcpd_start --follow off
server "${CPUS[1]}"
stays "follow = off"
