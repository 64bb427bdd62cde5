#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A stack process that succeeds another has the same settings: those of the start and those set since, also when the file was broken
# meanwhile or names other ones. A connection outlives it all.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
config() { # LINE...: the file
    printf '[xtcpd]\ninterface = %s\naddress = %s/24\ngateway = %s\n' "$IF_X" "$ADDR_X" "$ADDR_K" >"$WORK/xtcpd.conf"
    printf '%s\n' "$@" >>"$WORK/xtcpd.conf"
}
config 'max-connections = 1000' 'delack = 30ms' 'msl = 7s'
xt_spawn x "$WORK/xtcpd.log" "$XTCPD" --config "$WORK/xtcpd.conf" --socket "$WORK/xtcpd.sock"
XTCPD_PID=$XT_PID
xt_wait_for 20 quiet ctl status
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
value_is() { # NAME VALUE
    ctl config | awk -v name="$1" -v value="$2" '$1 == name && $2 == value { found = 1 } END { exit !found }' ||
        { echo "$1 is not $2: $(ctl config | grep "^$1 ")"; return 1; }
}
as_before() { # WHEN
    xt_wait_for 30 quiet ctl status
    echoed "$1"
    value_is max-connections 1000
    value_is delack 35ms
    value_is msl 7s
    echo "the same settings $1"
}
killed() { # WHEN
    local before
    before=$(stack_pid)
    kill -9 "$before"
    xt_wait_for 30 xt_gone "$before"
    as_before "$1"
}
echoed first
ctl config set delack 35ms
killed 'after a kill'
config 'max-connections = 2000' 'msl = 9s'
killed 'with another file'
printf 'nonsense\n' >"$WORK/xtcpd.conf"
killed 'with a broken file'
old=$(stack_pid)
ctl upgrade
xt_wait_for 30 xt_gone "$old"
as_before 'after an upgrade'
rm "$WORK/xtcpd.conf"
killed 'without a file'
config 'max-connections = 2000' 'msl = 9s'
kill -HUP "$XTCPD_PID"
xt_wait_for 20 value_is msl 9s # a reload means the file
value_is max-connections 1000  # but for what cannot change
echoed last
exec 8>&-
