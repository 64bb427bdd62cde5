#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Once a program is warm, the calls for a short connection are none of the kernel's: accept, recv, send and close of a server;
# socket, fcntl, connect, setsockopt, epoll_ctl, send, recv and close of a client. The same on the kernel's TCP, to see that they
# are counted.
#   calls.sh BUILD
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
CALLS=$PLAIN/tests/e2e/calls
N=200

# serve NAME ADDRESS PORT [ENVIRONMENT...]: the server's calls in $WORK/NAME.out
serve() {
    xt_spawn x "$WORK/$1.out" "$CALLS" count env "${@:4}" "$CALLS" serve "$2" "$3" $N
    xt_wait_for 20 grep -q ready "$WORK/$1.out"
    in_k timeout 60 "$CALLS" connect "$2" "$3" $N
    xt_wait_for 20 xt_gone "$XT_PID"
    sed -i '/ready/d' "$WORK/$1.out"
    echo "$1: $(tr '\n' ' ' <"$WORK/$1.out")"
}
dial() { # NAME [ENVIRONMENT...]
    xt_spawn k "$WORK/peer.out" "$CALLS" serve "$ADDR_K" 7300 $N
    xt_wait_for 20 grep -q ready "$WORK/peer.out"
    in_x timeout 60 "$CALLS" count env "${@:2}" "$CALLS" connect "$ADDR_K" 7300 $N 2>"$WORK/$1.out" || { cat "$WORK/$1.out"; return 1; }
    xt_wait_for 20 xt_gone "$XT_PID"
    echo "$1: $(tr '\n' ' ' <"$WORK/$1.out")"
}
xtcpd_start
serve server-kernel "$ADDR_XK" 7200
serve server-xtcp "$ADDR_X" 7200 "${XTCP_ENV[@]}"
for call in "accept $N" "close $N" "sendto $N" "recvfrom $((2 * N))"; do
    grep -qx "$call" "$WORK/server-kernel.out" || { echo "not counted: $call"; exit 1; }
done
dial client-kernel
dial client-xtcp "${XTCP_ENV[@]}"
for call in socket connect close setsockopt; do
    grep -qx "$call $N" "$WORK/client-kernel.out" || { echo "not counted: $call"; exit 1; }
done
[ ! -s "$WORK/server-xtcp.out" ] || { echo "on xtcp the server made system calls"; exit 1; }
[ ! -s "$WORK/client-xtcp.out" ] || { echo "on xtcp the client made system calls"; exit 1; }
