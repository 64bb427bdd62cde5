#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Hostile clients of another user scribble over all that they share with the daemon and send it all kinds of messages. It stays, drops
# them with a reason, and serves an honest client beside them, all of whose bytes are right.
# usage: liar.sh BUILD [SECONDS]; XT_SEED chooses the lies.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
. "$(dirname "$0")/../lib/census.sh"
SECONDS_OF_LIES=${2:-${XT_LIAR_SECONDS:-8}}
SEED=${XT_SEED:-1}
echo "seed $SEED, $SECONDS_OF_LIES s"
stage_up "$1" clean
LIAR=$PLAIN/tests/chaos/xt-liar
install -m 755 "$LIAR" "$WORK/liar" # where nobody may run it
xtcpd_start
xt_spawn k "$WORK/echo.log" "$LIAR" echo 7000
xt_wait_for 30 in_k sh -c 'ss -Hltn "sport = :7000" | grep -q .'

as_nobody() { in_x setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
before=$(census "$XTCPD_PID" "$WORK/xtcpd.sock") stack=$(stack_pid)
xt_spawn x "$WORK/honest.log" "$LIAR" honest "$WORK/xtcpd.sock" "$ADDR_K" 7000
HONEST=$XT_PID
xt_wait_for 20 quiet grep begun "$WORK/honest.log"

as_nobody "$WORK/liar" lie "$WORK/xtcpd.sock" "$ADDR_K" 7000 "$SEED" "$SECONDS_OF_LIES"

kill -TERM "$HONEST" || { cat "$WORK/honest.log"; exit 1; }
xt_wait_for 60 xt_gone "$HONEST" || { echo "the honest client hangs"; exit 1; }
wait "$HONEST" || { cat "$WORK/honest.log"; exit 1; }
tail -n 1 "$WORK/honest.log"
[ "$(stack_pid)" = "$stack" ] || { echo "another stack process serves: the daemon has crashed"; exit 1; }
xt_wait_for 60 census_is "$before" "$XTCPD_PID" "$WORK/xtcpd.sock" || {
    echo "before: $before"
    echo "after:  $(census "$XTCPD_PID" "$WORK/xtcpd.sock")"
    ls -l "/proc/$stack/fd"
    exit 1
}
echo "before and after: $before"
ctl --json status | python3 -c '
import json, sys
s = json.load(sys.stdin)
print("liars", s["liars"], "crashes", s["crashes"])
sys.exit(s["crashes"] != 0 or s["liars"] == 0)'
grep -q 'impossible .* of socket .*: dropped' "$WORK/xtcpd.log"
grep -q 'uid 65534 is disconnected: ' "$WORK/xtcpd.log"
