#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Servers on the wildcard address are reachable where they would be without xtcp, and at xtcp's address.
#   both.sh BUILD
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/stage.sh"
stage_up "$1" clean
xtcpd_start
BOTH=(/usr/bin/python3 "$here/both.py")

expect() { # NAME WANTED GOT
    [ "$2" = "$3" ] || { printf '%s: wanted "%s", got "%s"\n' "$1" "$2" "$3"; cat "$WORK"/*.out; ctl list --all; exit 1; }
    echo "ok    $1"
}
start() { # NAME CMD...: a server on xtcp; $PORT is its port, $SERVER its process
    local name=$1
    shift
    xt_spawn x "$WORK/$name.out" env "${XTCP_ENV[@]}" "$@"
    SERVER=$XT_PID
    xt_wait_for 60 grep -q '^port' "$WORK/$name.out" || { cat "$WORK/$name.out"; exit 1; }
    PORT=$(awk '/^port/ { print $2 }' "$WORK/$name.out")
}
ask() { "$@" 2>&1 | tail -n 1 | cut -d ' ' -f 1; }
asked() { # NAME: from everywhere it is reachable
    expect "$1: 127.0.0.1" 127.0.0.1 "$(ask in_x "${BOTH[@]}" ask 127.0.0.1 "$PORT")"
    expect "$1: xtcp's address" "$ADDR_X" "$(ask in_k "${BOTH[@]}" ask "$ADDR_X" "$PORT")"
    expect "$1: the kernel's, from the other host" "$ADDR_XK" "$(ask in_k "${BOTH[@]}" ask "$ADDR_XK" "$PORT")"
    expect "$1: the kernel's, from a program on xtcp" "$ADDR_XK" "$(ask on_xtcp "${BOTH[@]}" ask "$ADDR_XK" "$PORT")"
}

for mode in blocking timeout poll select epoll epollet fork; do
    start "$mode" "${BOTH[@]}" serve $mode 0
    asked "$mode"
    xt_stop "$SERVER"
done
start inet6 "${BOTH[@]}" serve poll 5001 6
asked "an IPv6 wildcard"
XTCP_RULES="xtcp listen :5002" start only "${BOTH[@]}" serve poll 5002
expect "without the kernel's half by a rule" "$ADDR_X" "$(ask in_k "${BOTH[@]}" ask "$ADDR_X" "$PORT")"
expect "and not at 127.0.0.1" "ConnectionRefusedError:" "$(ask in_x "${BOTH[@]}" ask 127.0.0.1 "$PORT")"

on_xtcp timeout 120 "${BOTH[@]}" check "$ADDR_X" "$ADDR_XK"

start exec "${BOTH[@]}" exec 5003
asked "inherited over exec"
start pass "${BOTH[@]}" pass "$WORK/sock" 5004
giver=$SERVER
start take "${BOTH[@]}" take "$WORK/sock"
xt_wait_for 60 xt_gone "$giver"
asked "passed to another program"

start orphan "${BOTH[@]}" serve epoll 5005
start orphan-blocking "${BOTH[@]}" serve blocking 5006
xt_stop "$XTCPD_PID"
for PORT in 5005 5006; do
    expect "the kernel's half outlives xtcpd" 127.0.0.1 "$(ask in_x "${BOTH[@]}" ask 127.0.0.1 $PORT)"
    expect "and goes on" 127.0.0.1 "$(ask in_x "${BOTH[@]}" ask 127.0.0.1 $PORT)"
done
