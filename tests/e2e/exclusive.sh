#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Eight processes watch one listener with EPOLLEXCLUSIVE, each in a set of its own, as nginx's workers do: a connection wakes about
# one of them, on the kernel's TCP and on xtcp's. Without EPOLLEXCLUSIVE it wakes most.
#   exclusive.sh BUILD
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
PY=$(dirname "$0")/exclusive.py
PORT=7100 WORKERS=8 CONNECTIONS=12

# wake_ups ON ADDRESS KIND: their number, in $COUNT
wake_ups() {
    local line n=0
    coproc SERVER { "$1" timeout 160 python3 "$PY" "$2" $PORT $WORKERS $CONNECTIONS "$3" 2>"$WORK/$1.$3.log"; }
    local server=$SERVER_PID in=${SERVER[0]} out=${SERVER[1]}
    while read -r line <&"$in" && [ "$line" = ready ]; do
        # It closes first, and is open when this has its end of file.
        in_k timeout 60 python3 -c 'import socket, sys; assert socket.create_connection((sys.argv[1], int(sys.argv[2]))).recv(1) == b""' \
            "$2" $PORT
        n=$((n + 1))
        echo >&"$out"
    done
    wait "$server" || { cat "$WORK/$1.$3.log"; return 1; }
    [ $n -eq $CONNECTIONS ] || { echo "$n connections"; return 1; }
    COUNT=$line
    echo "$1, $3: $COUNT wake-ups of $WORKERS processes for $CONNECTIONS connections"
}

xtcpd_start
wake_ups in_x "$ADDR_XK" exclusive
kernel=$COUNT
wake_ups on_xtcp "$ADDR_X" exclusive
xtcp=$COUNT
wake_ups on_xtcp "$ADDR_X" plain
[ "$COUNT" -ge $((CONNECTIONS * WORKERS / 2)) ] || { echo "the count does not count"; exit 1; }
[ "$xtcp" -ge $CONNECTIONS ] && [ "$xtcp" -le $((kernel + CONNECTIONS)) ] || { echo "kernel $kernel, xtcp $xtcp"; exit 1; }
