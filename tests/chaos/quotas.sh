#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Programs of two users other than root: ports below 1024, sockets, buffers and connects in a second have limits of a user's own, which
# do not touch the other, hold after the stack process was killed, and are back at nothing when the programs are dead. xtcpctl is for
# root and a group.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
chmod 755 "$WORK" # strangers are to come as far as the socket, ...
cp "$XTCPCTL" "$PRELOAD" "$WORK" # ... and to what the build folder need not let them see
XTCPCTL=$WORK/xtcpctl
ONE=61801 OTHER=61802 GROUP=61803
xtcpd_start --max-connections 4096 --user-sockets 30 --user-connects 1000 --user-memory 64M

as() { # UID GROUP CMD...: on xtcp, as that user with that group beside its own
    local uid=$1 group=$2
    shift 2
    in_x setpriv --reuid "$uid" --regid "$uid" --groups "$group" env XTCP_SOCKET="$WORK/xtcpd.sock" \
        LD_PRELOAD="$WORK/libxtcp-preload.so" "$@"
}
ctl_as() { in_x setpriv --reuid "$1" --regid "$1" --groups "$2" "$XTCPCTL" --socket "$WORK/xtcpd.sock" "${@:3}"; }
cat >"$WORK/binds.py" <<'PY'
import socket, sys
s = socket.socket()
try:
    s.bind((sys.argv[1], int(sys.argv[2])))
    print("bound")
except OSError as e:
    print(e.strerror)
PY
# Opens as many listeners as it gets, says how many and why no more, and does so again for each line that it reads.
cat >"$WORK/takes.py" <<'PY'
import errno, socket, sys
held = []
for line in sys.stdin:
    why = "-"
    while len(held) < 100:
        s = socket.socket()
        try:
            s.bind((sys.argv[1], 0))
        except OSError as e:
            why = errno.errorcode[e.errno]
            break
        held.append(s)
    print(len(held), why, flush=True)
PY
# Connects so many times, without waiting, and holds them all.
cat >"$WORK/connects.py" <<'PY'
import errno, socket, sys
seen, held = {}, []
for i in range(int(sys.argv[3])):
    s = socket.socket()
    s.setblocking(False)
    rc = s.connect_ex((sys.argv[1], int(sys.argv[2])))
    seen[errno.errorcode[rc]] = seen.get(errno.errorcode[rc], 0) + 1
    held.append(s)
print(*sorted(seen.items()))
PY
says() { # PATTERN CMD...
    local got pattern=$1
    shift
    got=$("$@" 2>&1) || true
    grep -qE -- "$pattern" <<<"$got" || { echo "not $pattern but: $got"; return 1; }
}
of() { ctl --json list --uids | python3 -c 'import json, sys
print(next((u[sys.argv[2]] for u in json.load(sys.stdin)["users"] if u["uid"] == int(sys.argv[1])), 0))' "$1" "$2"; }
has() { [ "$(of "$1" "$2")" = "$3" ]; }

port() { as "$1" "$2" python3 "$WORK/binds.py" "$ADDR_X" 81; }
says 'Permission denied' port $ONE $ONE
ctl config set low-ports "user $ONE, group $GROUP"
says '^bound' port $ONE $ONE
says 'Permission denied' port $OTHER $OTHER
says '^bound' port $OTHER $GROUP
echo "low ports: as the rule says"

says 'root and members' ctl_as $ONE $GROUP status
ctl config set admin-group $GROUP
says 'interface' ctl_as $ONE $GROUP status
ctl_as $ONE $GROUP config set delack 33ms
says 'root and members' ctl_as $ONE $ONE config set delack 34ms
says 'only root may upgrade' ctl_as $ONE $GROUP upgrade
echo "administration: by the group"

mkfifo "$WORK/in" "$WORK/out"
as $ONE $ONE python3 -u "$WORK/takes.py" "$ADDR_X" <"$WORK/in" >"$WORK/out" 2>"$WORK/takes.log" &
TAKES=$!
exec 8>"$WORK/in" 9<"$WORK/out"
takes() { # WANTED
    local got
    echo >&8
    read -r -t 60 got <&9 && [ "$got" = "$1" ] || { echo "wanted $1, got $got: $(cat "$WORK/takes.log")"; return 1; }
}
takes '30 ENOBUFS'
has $ONE sockets 30
says '^bound' as $OTHER $OTHER python3 "$WORK/binds.py" "$ADDR_X" 8100
grep -q "uid $ONE has all the sockets that it may have" "$WORK/xtcpd.log"
old=$(stack_pid)
kill -9 "$old"
xt_wait_for 20 xt_gone "$old"
xt_wait_for 20 quiet ctl status
has $ONE sockets 30
takes '30 ENOBUFS'
ctl config set user-sockets 40
takes '40 ENOBUFS'
exec 8>&-
wait $TAKES
xt_wait_for 20 has $ONE sockets 0
xt_wait_for 20 has $ONE memory 0
echo "sockets: 30, after a kill too, 40 when it may, then none"

ctl config set user-sockets 4000
ctl config set user-connects 5
says "ENOBUFS" as $ONE $ONE python3 "$WORK/connects.py" "$ADDR_K" 9 500
[ "$(ctl --json stats --all | python3 -c 'import json, sys; print(json.load(sys.stdin)["app.quota_connects"])')" -gt 0 ]
says "EINPROGRESS', 4\)|EINPROGRESS', 5\)" as $OTHER $OTHER python3 "$WORK/connects.py" "$ADDR_K" 9 4
echo "connects: 5 in a second"

ctl config set user-connects 1000
ctl config set user-memory 1M
says "EINPROGRESS.*ENOBUFS" as $ONE $ONE python3 "$WORK/connects.py" "$ADDR_K" 9 100
grep -q "uid $ONE has all the buffers that it may have" "$WORK/xtcpd.log"
echo "buffers: 1 MiB"
ctl list --uids
xt_wait_for 20 has $ONE clients 0
