#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What happens to hosts: the line goes away and comes back, its MTU changes, the kernel's address is removed, the interface is deleted and
# made again, processes are stopped for a while, the control group has no memory left. Transfers both ways go on through it all, every byte
# is right, and no connection is reset.
# usage: bad_luck.sh BUILD [SECONDS]: how long each trouble lasts (0.3)
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
. "$(dirname "$0")/loads.sh"
LAST=${2:-0.3}
stage_up "$1" clean
loads_up 4
LOADS=(download serve upload take)
pause() { read -rt "$LAST" -u "$XT_NEVER" || :; }
link_k() { ip -n "$NS_K" link set "$XT_IF_K" "$@"; }
link_x() { ip -n "$NS_X" link set "$IF_X" "$@"; }

# The kernel has no way to us while its own end is down: connect() fails there (7) until it is up.
k_curl() {
    local rc=7 n
    for ((n = 0; rc == 7 && n < 20; n++)); do
        xt_wait_for 20 quiet ip -n "$NS_K" route get "$ADDR_X"
        rc=0
        in_k timeout -k 5 "$LIMIT" curl -sS --fail "$@" || rc=$?
    done
    return $rc
}

interface_down() {
    link_x down
    pause
    link_x up
}
carrier_lost() {
    link_k down
    pause
    link_k up
}
mtu_down_and_up() {
    link_x mtu 1000 && link_k mtu 1000
    loads_wait
    link_x mtu 1500 && link_k mtu 1500
}
address_removed() {
    ip -n "$NS_X" addr flush dev "$IF_X"
    link_x promisc on
    pause
    link_x promisc off
}
processes_stopped() {
    local pid
    for pid in "$(pgrep -P "$NGINX_X_PID" | head -n 1)" "$XTCPD_PID" "$(stack_pid)"; do
        kill -STOP "$pid"
        pause
        kill -CONT "$pid"
    done
}

# memory_group: makes a control group, $GROUP, and finds the name of its file for the limit, $MOST. False: none can be had.
memory_group() {
    local own v1=/sys/fs/cgroup/memory v2=/sys/fs/cgroup
    if own=$(awk -F: '$2 == "memory" { print $3; found = 1 } END { exit !found }' /proc/self/cgroup); then
        GROUP=$v1$own/xtcp-$$ MOST=memory.limit_in_bytes
    else
        quiet grep memory $v2/cgroup.subtree_control || return
        GROUP=$v2/xtcp-$$ MOST=memory.max
    fi
    mkdir "$GROUP" 2>/dev/null
}
# The stack process gets no page more, for a ring or whatever it is. The kernel ends it, and the next one is of the keeper's group.
memory_used_up() {
    local rc=0
    echo "$1" >"$GROUP/cgroup.procs" && echo 65536 >"$GROUP/$MOST" && xt_wait_for 60 xt_gone "$1" || rc=$?
    [ $rc -eq 0 ] || kill -9 "$1"
    xt_wait_for 20 rmdir "$GROUP" 2>/dev/null
    return $rc
}

loads_start
loads_wait
for trouble in interface_down carrier_lost mtu_down_and_up address_removed processes_stopped; do
    stack=$(stack_pid)
    $trouble
    loads_wait || { echo "$trouble: not all goes on"; exit 1; }
    [ "$(stack_pid)" = "$stack" ] || { echo "$trouble: the stack process has died"; exit 1; }
    echo "$trouble: all goes on"
done
if memory_group; then
    memory_used_up "$(stack_pid)" || { echo "memory_used_up: the stack process has not been ended"; exit 1; }
    loads_wait || { echo "memory_used_up: not all goes on"; exit 1; }
    echo "memory_used_up: all goes on"
else
    echo "memory_used_up: SKIP: no control group for memory can be made here"
fi
loads_end

# The kernel loses its address with the interface and could begin no connection meanwhile: these have begun before.
status_is() { ctl --json status 2>/dev/null | python3 -c '
import json, sys
sys.exit(json.load(sys.stdin)[sys.argv[1]] != sys.argv[2])' "$@" 2>/dev/null; }
stored to_kernel x_curl --limit-rate 700k "http://$ADDR_K/up/to_kernel" &
OUT=$!
stored to_xtcp k_curl --limit-rate 700k "http://$ADDR_X/up/to_xtcp" &
IN=$!
XT_PIDS+=("$OUT" "$IN")
xt_wait_for 20 listed 'ESTABLISHED.*curl'
xt_wait_for 20 listed 'ESTABLISHED.*nginx'
stack=$(stack_pid)
ip -n "$NS_X" link del "$IF_X"
xt_wait_for 20 status_is link removed
xt_link "$XT_NS_K" "$XT_IF_K" "$XT_NS_X" "$XT_IF_X"
xt_addresses
xt_wait_for 20 status_is link up
[ "$(stack_pid)" != "$stack" ]
wait "$OUT" || { echo "removed: sending has failed: $?"; exit 1; }
wait "$IN" || { echo "removed: receiving has failed: $?"; exit 1; }
grep -q "interface $IF_X: removed" "$WORK/xtcpd.log"
echo "interface removed and made again: both transfers went on"
