#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Memory, descriptors and processes are refused, one call after the other: to the daemon while it serves, to a stack process that takes
# over, and to a program. Who asked is told so; nobody crashes or hangs, nothing leaks, and an honest program beside notices nothing.
# usage: scarce.sh BUILD [SAMPLES [PART...]]; SAMPLES of each part, 0: all; PART: serving successor program
# XT_SEED chooses the samples, COUNT (1) so many calls fail one after the other, VERBOSE=1 shows each.
# CALLS=FROM-TO, with all of them: only these, to share the work or to go on with it.
set -euo pipefail
SAMPLES=${2:-5}
PARTS=("${@:3}")
[ ${#PARTS[@]} -gt 0 ] || PARTS=(serving successor program)
. "$(dirname "$0")/../lib/stage.sh"
HERE=$(cd "$(dirname "$0")" && pwd)
stage_up "$1" clean
EXCHANGE=$PLAIN/tests/chaos/exchange LIAR=$PLAIN/tests/chaos/xt-liar SCARCE=$PLAIN/tests/chaos/xt-scarce.so
truncate -s 4096 "$WORK/daemon" "$WORK/program"
cat >"$WORK/xtcpd" <<END
#!/bin/sh
exec env XT_SCARCE_FILE="$WORK/daemon" LD_PRELOAD="$SCARCE" ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" "$XTCPD" "\$@"
END
chmod +x "$WORK/xtcpd"
XTCPD=$WORK/xtcpd
xtcpd_start --restart-backoff 1ms # else each successor that fails would cost 5 s
xt_spawn k "$WORK/peer.log" "$EXCHANGE" peer 7000
xt_spawn k "$WORK/echo.log" "$LIAR" echo 7001
xt_wait_for 30 in_k sh -c '[ $(ss -Hltn "sport = :7000 or sport = :7001" | wc -l) = 2 ]'
xt_spawn x "$WORK/honest.log" "$LIAR" honest "$WORK/xtcpd.sock" "$ADDR_K" 7001
HONEST=$XT_PID
xt_wait_for 20 quiet grep begun "$WORK/honest.log"

# What a program and an administrator do.
cat >"$WORK/use" <<END
rc=0
env ${XTCP_ENV[*]} "$EXCHANGE" more "$ADDR_K" 7000 || rc=1
for what in status list config rules; do "$XTCPCTL" --socket "$WORK/xtcpd.sock" \$what >/dev/null || rc=1; done
exit \$rc
END
# Likewise of the program alone.
cat >"$WORK/program.sh" <<END
exec env XTCP_SOCKET="$WORK/xtcpd.sock" XT_SCARCE_FILE="$WORK/program" LD_PRELOAD="$PRELOAD:$SCARCE" \\
    "$EXCHANGE" more "$ADDR_K" 7000
END
each() { # FILE [--kill] -- COMMAND
    local file=$1 how=() && [ "$2" = -- ] || how=("$2")
    shift $((2 + ${#how[@]}))
    in_x python3 -B "$HERE/scarce/scarce.py" "$file" "$SAMPLES" "${COUNT:-1}" "${how[@]}" "$XTCPD_PID" "$XTCPCTL" "$WORK/xtcpd.sock" -- "$@"
}

rc=0
for part in "${PARTS[@]}"; do
    echo "-- $part"
    case $part in
    serving) each "$WORK/daemon" -- bash "$WORK/use" || rc=1 ;;
    successor) each "$WORK/daemon" --kill -- bash "$WORK/use" || rc=1 ;;
    program) each "$WORK/program" -- bash "$WORK/program.sh" || rc=1 ;;
    esac
done
kill -TERM "$HONEST" || { cat "$WORK/honest.log"; exit 1; }
xt_wait_for 60 xt_gone "$HONEST" || { echo "the honest program hangs"; exit 1; }
wait "$HONEST" || { cat "$WORK/honest.log"; exit 1; }
tail -n 1 "$WORK/honest.log"
exit $rc
