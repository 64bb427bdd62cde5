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
xt_wait_for 10 grep -q listening "$WORK/peer.log"
rc=0
in_x timeout 60 python3 "$HERE/holders.py" "$ADDR_K" 9000 "$ADDR_XK" 9100 "${@:2}" >"$WORK/kernel.txt" 2>&1 || rc=$?
on_xtcp timeout 100 python3 "$HERE/holders.py" "$ADDR_K" 9000 "$ADDR_X" 9100 "${@:2}" >"$WORK/xtcp.txt" 2>&1 || rc=$?
diff "$WORK/kernel.txt" "$WORK/xtcp.txt" || { echo "(< kernel, > xtcp)"; rc=1; }
nothing_left() { ! ctl list --json | grep -q '"ESTABLISHED"\|"CLOSE_WAIT"\|"LISTEN"' && ! in_x grep -q '@xtcp/' /proc/net/unix; }
xt_wait_for 10 nothing_left || { echo "something is left:"; ctl list; rc=1; }
[ $rc -ne 0 ] || echo "holders: $(wc -l <"$WORK/kernel.txt") answers, all as the kernel's"
exit $rc
