#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sockets in the hands of many processes: the same on the kernel's TCP and on xtcp, and nothing is left behind.
#   holders.sh BUILD [SCENE...]
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
HERE=$(dirname "$0")
stage_up "$1" clean
xtcpd_start
xt_spawn k "$WORK/peer.log" python3 "$HERE/holders_peer.py" 9000
xt_wait_for 30 grep -q listening "$WORK/peer.log"
rc=0
in_x timeout 100 python3 "$HERE/holders.py" "$ADDR_K" 9000 "$ADDR_XK" 9100 "${@:2}" >"$WORK/kernel.txt" 2>&1 || rc=$?
on_xtcp timeout 100 python3 "$HERE/holders.py" "$ADDR_K" 9000 "$ADDR_X" 9100 "${@:2}" >"$WORK/xtcp.txt" 2>&1 || rc=$?
diff "$WORK/kernel.txt" "$WORK/xtcp.txt" || { echo "(< kernel, > xtcp)"; rc=1; }
nothing_left() { ! ctl list --json | grep -q '"ESTABLISHED"\|"CLOSE_WAIT"\|"LISTEN"' && ! in_x grep -q '@xtcp/' /proc/net/unix; }
xt_wait_for 30 nothing_left || { echo "something is left:"; ctl list; rc=1; }

# The keeper is the last to have the kernel's half of a listener that was handed on: who binds again waits for it.
cat >"$WORK/again.py" <<'PY'
import socket, subprocess, sys
def listener():
    return socket.create_server(("", 9200))
s = listener()
other = subprocess.Popen(["/bin/sleep", "1000"], env={}, pass_fds=[s.fileno()])
s.close()
try:
    listener()
except OSError:
    print("held by", other.pid, flush=True)
open(sys.argv[1]).read()
try:
    listener()
    print("bound")
except OSError as e:
    print("refused:", e)
PY
mkfifo "$WORK/go"
again_is() { grep -q "$1" "$WORK/again.log"; }
none_listens() { ! ctl list --listening | grep -q :9200; }
xt_spawn x "$WORK/again.log" env "${XTCP_ENV[@]}" python3 "$WORK/again.py" "$WORK/go"
xt_wait_for 20 again_is held || { cat "$WORK/again.log"; exit 1; }
kill -STOP "$XTCPD_PID"
kill -KILL "$(awk '{ print $3 }' "$WORK/again.log")"
xt_wait_for 20 none_listens || { echo "the listener stays"; rc=1; }
: >"$WORK/go"
! xt_wait_for 1 again_is refused || rc=1
kill -CONT "$XTCPD_PID"
xt_wait_for 20 again_is bound || { cat "$WORK/again.log"; rc=1; }

# A killed process takes its sockets along, out of the epoll set that it shares, too: who has waited for its end is told nothing of them.
cat >"$WORK/orphan.py" <<'PY'
import os, select, signal, socket, sys
def dial():
    return socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
ep = select.epoll()
r, w = os.pipe()
own = dial()
pid = os.fork()
if pid == 0:
    s = dial()
    s.settimeout(None)
    ep.register(s, select.EPOLLIN)
    s.sendall(b"echo\nx")
    ep.poll()
    os.write(w, b"x")
    signal.pause()
os.read(r, 1)
print("while it lives:", len(ep.poll(20)), flush=True)
open(sys.argv[3]).read()
os.kill(pid, signal.SIGKILL)
os.wait()
print("after:", len(ep.poll(0)), flush=True)
PY
orphan_is() { grep -q "$1" "$WORK/orphan.log"; }
xt_spawn x "$WORK/orphan.log" env "${XTCP_ENV[@]}" python3 "$WORK/orphan.py" "$ADDR_K" 9000 "$WORK/go"
xt_wait_for 20 orphan_is 'lives: 1' || { cat "$WORK/orphan.log"; exit 1; }
stack=$(stack_pid)
kill -STOP "$stack" # it cannot know
: >"$WORK/go"
! xt_wait_for 1 orphan_is after || rc=1
kill -CONT "$stack"
xt_wait_for 20 orphan_is 'after: 0' || { cat "$WORK/orphan.log"; rc=1; }

# A program outlives many daemons.
LIVES=8
mkfifo "$WORK/turn"
cat >"$WORK/outlive.py" <<'PY'
import socket, sys
for turn in open(sys.argv[3]):
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as s:
        s.sendall(b"echo\n" + turn.encode())
        print(s.recv(9).decode(), end="", flush=True)
PY
xt_spawn x "$WORK/outlive.log" env "${XTCP_ENV[@]}" python3 "$WORK/outlive.py" "$ADDR_K" 9000 "$WORK/turn"
exec {turn}>"$WORK/turn"
for ((i = 1; i <= LIVES; i++)); do
    echo "$i" >&$turn
    xt_wait_for 20 grep -qx "$i" "$WORK/outlive.log" || { echo "daemon $i: not reached"; cat "$WORK/outlive.log"; rc=1; break; }
    xt_stop "$XTCPD_PID" || :
    xtcpd_start
done
exec {turn}>&-
[ $rc -ne 0 ] || echo "holders: one program on $LIVES daemons"
[ $rc -ne 0 ] || echo "holders: $(wc -l <"$WORK/kernel.txt") answers, all as the kernel's"
exit $rc
