#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A connection at which the stack process crashes twice in a row is reset; another one lives on. Wants -Dcrash_points=true.
set -euo pipefail
BUILD=$1
if ! grep -q XT_CRASH_FILE "$BUILD/daemon/main/xtcpd"; then
    echo "SKIP: this build has no crash points (meson setup -Dcrash_points=true)"
    exit 77
fi
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$BUILD" clean
truncate -s 4096 "$WORK/crash"
export XT_CRASH_FILE=$WORK/crash
xtcpd_start
unset XT_CRASH_FILE
xt_spawn k "$WORK/echo.log" python3 -c '
import socket, threading
l = socket.create_server(("", 7000))
def echo(c):
    try:
        while data := c.recv(65536):
            c.sendall(data)
    except OSError:
        pass
while True:
    threading.Thread(target=echo, args=(l.accept()[0],), daemon=True).start()'
xt_wait_for 30 in_k sh -c 'ss -Hltn "sport = :7000" | grep -q .'
on_xtcp timeout 60 python3 - "$ADDR_K" "$WORK/crash" <<'PY'
import socket, struct, sys

def dial(port):
    s = socket.socket()
    s.bind(("", port))
    s.connect((sys.argv[1], 7000))
    return s

def echo(s, text):
    s.sendall(text)
    got = b""
    while len(got) < len(text):
        got += s.recv(100) or sys.exit("an early end")
    assert got == text, got

good, bad = dial(7170), dial(7171)
echo(good, b"before")
echo(bad, b"before")
with open(sys.argv[2], "r+b", buffering=0) as f:
    f.write(struct.pack("5q", 0, 6, 1, 7171, 0)) # SIGABRT, and once more
    f.seek(0)
    f.write(struct.pack("q", 1))
try:
    echo(bad, b"fatal")
    sys.exit("the connection lives")
except OSError as e:
    print("the deadly one:", e)
echo(good, b"after")
echo(dial(7172), b"new")
PY
xt_wait_for 20 quiet ctl status
ctl status | grep restarts
ctl --json status | python3 -c 'import json, sys; s = json.load(sys.stdin); sys.exit((s["crashes"], s["quarantined"]) != (2, 1))'
