#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A short run of tools/soak; before it, its watchdog finds a program that sleeps on data, and nothing else; interrupted, it leaves
# nothing behind.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
BUILD=$1

watchdog() (
    . "$here/../lib/stage.sh"
    stage_up "$BUILD" clean
    xtcpd_start
    xt_spawn k "$WORK/source" python3 -c '
import socket
l = socket.create_server(("", 7000))
held = []
while True:
    c, _ = l.accept()
    c.sendall(b"x" * 1000)
    held.append(c)'
    xt_wait_for 20 in_k sh -c 'ss -Hltn "sport = :7000" | grep -q .'
    for then in 'time.sleep(1000)' 'len(s.recv(1000)) + len(s.recv(1000))'; do # one that does not look, one that waits for more
        xt_spawn x "$WORK/program" env "${XTCP_ENV[@]}" python3 -c "
import socket, time
s = socket.create_connection(('$ADDR_K', 7000))
$then"
        programs+=("$XT_PID")
    done
    xt_spawn - "$WORK/asleep" python3 "$here/../lib/asleep.py" 3 "$XTCPCTL" --socket "$WORK/xtcpd.sock"
    xt_wait_for 60 grep -q "unread.*\"pid\": ${programs[0]}\b" "$WORK/asleep"
    ! grep -v "\"pid\": ${programs[0]}\b" "$WORK/asleep"
)

interrupted() {
    local log pid
    log=$(mktemp)
    # A process group of its own, as that of a terminal's job: all of it gets the signal.
    setsid env --default-signal=INT "$here/../../tools/soak" --build "$BUILD" --mib 1 >"$log" 2>&1 &
    pid=$!
    . "$here/../lib/netns.sh"
    xt_wait_for 60 grep -q '^before' "$log"
    kill -INT -"$pid"
    wait "$pid" || :
    ! ip netns list | grep "^xt$pid-"
    xt_wait_for 20 is_gone "$pid" || { ps -o pid,args -g "$pid"; return 1; }
    rm "$log"
}
is_gone() { ! pgrep -g "$1" >/dev/null; }

programs=()
watchdog
interrupted
"$here/../../tools/soak" --minutes 0.25 --seed 1 --mib 4 --build "$BUILD"
