#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# systemd can be the keeper: xtcpd's stack process under a stand-in that speaks systemd's protocol, as a user of its own with the
# capabilities that the unit file gives. A connection outlives a kill and a hang of the data plane, which the watchdog finds. The first
# process has the layouts of the release before; in a build with crash points, those that read them die while they do so.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
own=61700
install -d -o $own -m 755 "$WORK/run"
ln -s run/xtcpd.sock "$WORK/xtcpd.sock"
install -m 755 "${XT_TEST_PLAIN:-$1}/tests/chaos/xtcpd-before" "$WORK/xtcpd" # where anybody may run it
truncate -s 4096 "$WORK/crash"
chmod 666 "$WORK/crash"
export XT_CRASH_FILE=$WORK/crash
# A successor has no right to open packet sockets: it does not need it.
cat >"$WORK/start" <<SH
#!/bin/sh
caps=-all,+net_admin,+ipc_lock
[ -n "\$LISTEN_FDS" ] || caps=\$caps,+net_raw
exec setpriv --reuid $own --regid $own --clear-groups --bounding-set \$caps --inh-caps \$caps --ambient-caps \$caps "\$@"
SH
xt_spawn x "$WORK/keeper.log" python3 "$(dirname "$0")/notify_keeper.py" "$WORK/notify" 5 -- sh "$WORK/start" \
    "$WORK/xtcpd" --no-keeper --interface "$IF_X" --address "$ADDR_X/24" --gateway "$ADDR_K" --socket "$WORK/run/xtcpd.sock"
KEEPER_PID=$XT_PID
unset XT_CRASH_FILE
trap 'cat "$WORK/keeper.log"; stage_down' EXIT
said() { [ "$(grep -c "^$1" "$WORK/keeper.log")" -ge "$2" ]; }
xt_wait_for 20 said ready 1
xt_spawn k "$WORK/echo.log" python3 -c '
import socket
l = socket.create_server(("", 7000))
c = l.accept()[0]
while data := c.recv(65536):
    c.sendall(data)'
xt_wait_for 30 in_k sh -c 'ss -Hltn "sport = :7000" | grep -q .'
mkfifo "$WORK/in" "$WORK/out"
on_xtcp timeout 120 python3 -u -c '
import socket, sys
s = socket.create_connection((sys.argv[1], 7000))
for line in sys.stdin:
    s.sendall(line.encode())
    got = b""
    while len(got) < len(line):
        got += s.recv(100) or sys.exit("an early end")
    print(got.decode(), end="", flush=True)' "$ADDR_K" <"$WORK/in" >"$WORK/out" 2>"$WORK/client.log" &
exec 8>"$WORK/in" 9<"$WORK/out"
echoed() { # TEXT: it comes back
    local got
    echo "$1" >&8
    read -r -t 60 got <&9 && [ "$got" = "$1" ] || { echo "no '$1' came back: $(cat "$WORK/client.log")"; return 1; }
}
served_by() { cat "/proc/$(pgrep -P "$KEEPER_PID" xtcpd)"/task/*/status | awk '/^(Uid|CapEff|CapPrm|CapAmb|Seccomp):/ { print $1 $2 }' | sort -u; }
[ "$(served_by | tr '\n' ' ')" = "CapAmb:0000000000000000 CapEff:0000000000000000 CapPrm:0000000000000000 Seccomp:2 Uid:$own " ] ||
    { served_by; exit 1; }
echoed first
install -m 755 "$XTCPD" "$WORK/xtcpd.new"
mv "$WORK/xtcpd.new" "$WORK/xtcpd"
starts=2
if grep -q XT_CRASH_FILE "$XTCPD"; then # with the new state under its second name only, then with a new ledger so
    starts=4
    python3 -c 'import struct, sys; open(sys.argv[1], "r+b").write(struct.pack("qqq", 5, 9, 7))' "$WORK/crash"
fi
kill -9 "$(pgrep -P "$KEEPER_PID" xtcpd)"
echoed second
xt_wait_for 30 said ready 2
said start $starts
grep 'had the layout of the release before' "$WORK/keeper.log"
python3 -c 'import sys; print("died last at", open(sys.argv[1], "rb").read()[40:296].split(b"\0")[0].decode())' "$WORK/crash"
kill -USR1 "$KEEPER_PID"
xt_wait_for 30 said hung 1
xt_wait_for 30 said watchdog 1
echoed third
exec 8>&-
if ctl upgrade >"$WORK/answer" 2>&1; then exit 1; fi
grep 'no keeper of its own' "$WORK/answer"
kill "$KEEPER_PID"
xt_wait_for 20 said stopped 1
said 'stopping' 1
said 'stopped 0' 1
