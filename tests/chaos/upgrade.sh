#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The stack process moves to another binary, again and again, under downloads and uploads both ways, redis and short connections: no
# request fails and every byte is right. Binaries that cannot take over are refused, and the running process goes on.
# usage: upgrade.sh BUILD [UPGRADES]
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
. "$(dirname "$0")/loads.sh"
UPGRADES=${2:-10}
HERE=$1/tests/chaos
stage_up "$1" clean
loads_up
loads_start

refused() { # WORDS BINARY: with these words, and the process stays the same
    local before
    before=$(stack_pid)
    if ctl upgrade "$2" >"$WORK/answer" 2>&1; then
        echo "$2 was not refused: $(cat "$WORK/answer")"
        return 1
    fi
    grep -q -- "$1" "$WORK/answer" || { echo "$2: $(cat "$WORK/answer")"; return 1; }
    [ "$(stack_pid)" = "$before" ] || { echo "$2: another process runs now"; return 1; }
    echo "refused: $(sed 's/^xtcpctl: not upgraded: //' "$WORK/answer")"
}

cp "$XTCPD" "$WORK/xtcpd-new"
chmod 644 "$WORK/xtcpd-new"
refused 'not executable' "$WORK/xtcpd-new"
refused 'not a regular file' "$WORK"
refused 'cannot open' "$WORK/nothing"
refused 'is it an xtcpd' /bin/true
refused 'ended with code 7' "$HERE/bad-xtcpd-exits"
refused 'signal 6' "$HERE/bad-xtcpd-crashes"
refused 'another number of connections' "$HERE/bad-xtcpd-refuses"
refused 'in time\|does not follow' "$HERE/bad-xtcpd-hangs"
if setpriv --reuid 65534 --clear-groups "$XTCPCTL" --socket "$WORK/xtcpd.sock" upgrade >"$WORK/answer" 2>&1; then
    echo "another user may upgrade"
    exit 1
fi
loads_wait

chmod 755 "$WORK/xtcpd-new"
for ((n = 1; n <= UPGRADES; n++)); do
    before=$(stack_pid)
    if [ $((n % 2)) -eq 0 ]; then ctl upgrade "$XTCPD"; else ctl upgrade "$WORK/xtcpd-new"; fi
    [ "$(stack_pid)" != "$before" ]
    xt_wait_for 30 quiet ctl status
    [ $((n % 3)) -ne 0 ] || loads_wait
done
ctl upgrade # to itself, as it lies on the disk
grep -q "upgraded to $XTCPD" "$WORK/xtcpd.log" || { echo "the binary's path is not known"; exit 1; }

# It fails when the old one has stood still already: the old binary goes on, and a kill after it changes nothing.
if ctl upgrade "$HERE/bad-xtcpd-late-crashes" >"$WORK/answer" 2>&1; then exit 1; fi
grep 'old binary goes on' "$WORK/answer"
xt_wait_for 30 quiet ctl status
loads_wait
kill -9 "$(stack_pid)"
xt_wait_for 30 quiet ctl status
loads_wait
loads_end
