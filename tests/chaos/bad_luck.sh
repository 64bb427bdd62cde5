#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What happens to hosts: the line goes away and comes back, its MTU changes, the kernel's address is removed, the interface is deleted and
# made again, the date is set, processes are stopped for a while, the control group has no memory left, the stack process no descriptor, and
# /dev/shm is full all the while. Transfers both ways go on through it all, every byte is right, and no connection is reset.
# usage: bad_luck.sh BUILD [SECONDS]: how long each trouble lasts (0.3; the stack process is stopped for ten seconds at least)
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
[ "${XT_OWN_MOUNTS:-}" = $$ ] || XT_OWN_MOUNTS=$$ exec unshare --mount bash "$HERE/bad_luck.sh" "$@"
mount -t tmpfs -o size=4k none /dev/shm
! head -c 8192 /dev/zero 2>/dev/null >/dev/shm/full
. "$HERE/../lib/stage.sh"
. "$HERE/loads.sh"
LAST=${2:-0.3}
stage_up "$1" clean
# The kernel forgets a connection that is half open when it has no way to say SYN+ACK again, and resets it later: that may be to a client
# whose ACK was lost with the line. With cookies for all there is nothing to forget.
in_k sysctl -qw net.ipv4.tcp_syncookies=2
DATE=$PLAIN/tests/chaos/xt-date.so
truncate -s 4096 "$WORK/date"
cat >"$WORK/xtcpd" <<END
#!/bin/sh
exec env XT_DATE_FILE="$WORK/date" LD_PRELOAD="$DATE" ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" "$XTCPD" "\$@"
END
chmod +x "$WORK/xtcpd"
XTCPD=$WORK/xtcpd
XTCP_ENV=(XTCP_SOCKET="$WORK/xtcpd.sock" XT_DATE_FILE="$WORK/date" LD_PRELOAD="$PRELOAD:$DATE")
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
    local pid LAST=$LAST
    for pid in "$(pgrep -P "$NGINX_X_PID" | head -n 1)" "$XTCPD_PID" "$(stack_pid)"; do
        [ "$pid" != "$(stack_pid)" ] || [ "${LAST%.*}" -ge 10 ] || LAST=10
        kill -STOP "$pid"
        pause
        kill -CONT "$pid"
    done
}
# By nine hours each way, while there is no line and retransmission timers run.
date_set() {
    local hours
    for hours in 9 -9; do
        link_k down
        python3 -B "$HERE/../lib/words.py" "$WORK/date" 0 $((hours * 3600))
        pause
        link_k up
        loads_wait || return
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
    echo 65536 >"$GROUP/$MOST" && echo "$1" >"$GROUP/cgroup.procs" && xt_wait_for 60 xt_gone "$1" || rc=$?
    [ $rc -eq 0 ] || kill -9 "$1"
    xt_wait_for 20 rmdir "$GROUP" 2>/dev/null
    return $rc
}

# The stack process has no descriptor left: a new program is told, a connection that is open goes on, and later all is well.
descriptors() {
    local ids
    mapfile -t ids < <(awk '/^[UG]id:/ { print $2 }' "/proc/$(stack_pid)/status")
    setpriv --reuid "${ids[0]}" --regid "${ids[1]}" --clear-groups prlimit --pid "$(stack_pid)" --nofile="$1:"
}
says() {
    local heard
    echo "$1" >&"${TALK[1]}"
    read -rt "$LIMIT" -u "${TALK[0]}" heard && [ "$heard" = "$1" ]
}
coproc TALK { in_k nc "$ADDR_X" 7007; }
XT_PIDS+=("$TALK_PID")
says before
n=0 # the first that is free: the spare one is older
while [ -e "/proc/$(stack_pid)/fd/$n" ]; do n=$((n + 1)); done
descriptors $n
! on_xtcp timeout "$LIMIT" python3 -c 'import socket; socket.create_connection(("'"$ADDR_K"'", 80))' 2>"$WORK/told"
grep "Too many open files" "$WORK/told"
grep 'refused to pid .*Too many open files' "$WORK/xtcpd.log"
says "none left"
descriptors "$(ulimit -Hn)"
download
says after
echo "descriptors used up: who asked was told, all else goes on"

loads_start
loads_wait
for trouble in interface_down carrier_lost mtu_down_and_up address_removed processes_stopped date_set; do
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

xt_spawn k "$WORK/echo.log" "$PLAIN/tests/chaos/xt-liar" echo 7001
xt_wait_for 10 in_k sh -c 'ss -Hltn "sport = :7001" | grep -q .'
on_xtcp /usr/bin/python3 -B "$HERE/date.py" "$WORK/date" "$PLAIN/tools/ctl/xtcpctl" "$WORK/xtcpd.sock" "$ADDR_K" 7001

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
