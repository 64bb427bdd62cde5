#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The stack process moves to another binary, again and again, under downloads and uploads both ways, redis and short connections: no
# request fails and every byte is right. Binaries that cannot take over are refused, and the running process goes on.
# It begins with a daemon that has the layouts of the release before. In a build with crash points, the new process dies in the middle of
# reading them, at one place after the other.
# usage: upgrade.sh BUILD [UPGRADES [BEFORE]]; BEFORE: an xtcpd of the release before, in the place of the one made for this test
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
. "$(dirname "$0")/loads.sh"
UPGRADES=${2:-10}
BEFORE=${3:-${XT_TEST_PLAIN:-$1}/tests/chaos/xtcpd-before}
HERE=$1/tests/chaos
LOADS+=(upload)
stage_up "$1" clean
NEW=$XTCPD
truncate -s 4096 "$WORK/crash"
chmod 666 "$WORK/crash"
export XT_CRASH_FILE=$WORK/crash # the keeper's successors look for it
XTCPD=$BEFORE
loads_up
XTCPD=$NEW
unset XT_CRASH_FILE

# Connections on which nothing is said, but for a line now and then: each end has twenty.
xt_spawn x "$WORK/idle-x.log" env "${XTCP_ENV[@]}" python3 -u "$(dirname "$0")/idle.py" serve 7100
xt_spawn k "$WORK/idle-k.log" python3 -u "$(dirname "$0")/idle.py" serve 7100
serves() { in_k bash -c ": </dev/tcp/$1/7100"; }
xt_wait_for 20 quiet serves "$ADDR_X"
xt_wait_for 20 quiet serves "$ADDR_K"
mkfifo "$WORK/to-x" "$WORK/to-k"
xt_spawn x "$WORK/idle-out.log" env "${XTCP_ENV[@]}" python3 -u "$(dirname "$0")/idle.py" use "$ADDR_K" 7100 20 "$WORK/to-x"
xt_spawn k "$WORK/idle-in.log" python3 -u "$(dirname "$0")/idle.py" use "$ADDR_X" 7100 20 "$WORK/to-k"
exec 8>"$WORK/to-x" 9>"$WORK/to-k"
ROUNDS_SAID=0
idle_well() { # each of them says something, and hears it
    ROUNDS_SAID=$((ROUNDS_SAID + 1))
    echo "round $ROUNDS_SAID" >&8
    echo "round $ROUNDS_SAID" >&9
    xt_wait_for 60 grep -q "^all 20 said round $ROUNDS_SAID$" "$WORK/idle-out.log"
    xt_wait_for 60 grep -q "^all 20 said round $ROUNDS_SAID$" "$WORK/idle-in.log"
}
idle_well
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

# The old process may take a moment to end after the new one has taken over.
upgrade() { # [BINARY]
    OLD=$(stack_pid)
    ctl upgrade "$@"
    xt_wait_for 30 xt_gone "$OLD"
    [ -n "$(stack_pid)" ]
}

# ---- from the release before ----

went_back() { # WORDS BINARY: it fails when the old one stands still already; the old binary goes on
    if ctl upgrade "$2" >"$WORK/answer" 2>&1; then echo "$2 has taken over" && return 1; fi
    grep -q -- "$1" "$WORK/answer" || { echo "$2: $(cat "$WORK/answer")"; return 1; }
    xt_wait_for 30 quiet ctl status
}
crash_after() { python3 -c 'import struct, sys; open(sys.argv[1], "r+b").write(struct.pack("qq", int(sys.argv[2]), 9))' "$WORK/crash" "$1"; }
crashed_at() { python3 -c 'import sys; print(open(sys.argv[1], "rb").read()[40:296].split(b"\0")[0].decode())' "$WORK/crash"; }

went_back 'old binary goes on' "$HERE/bad-xtcpd-late-crashes"
idle_well
if grep -q XT_CRASH_FILE "$NEW"; then
    for point in 1 2 3 5 6 9 11 12 "$((RANDOM % 30 + 13))"; do # state memfd up to 6, then six for each client
        crash_after "$point"
        went_back 'old binary goes on' "$NEW"
        echo "died at $(crashed_at), point $point: the old binary goes on"
    done
    crash_after 0
    idle_well
else
    echo "this build has no crash points: nothing dies in the middle of reading the layouts of the release before"
fi
loads_wait
upgrade "$NEW"
kill -9 "$(stack_pid)"
xt_wait_for 30 quiet ctl status
grep -q 'had the layout of the release before' "$WORK/xtcpd.log" || { echo "$BEFORE has the layouts of $NEW"; exit 1; }
idle_well
loads_wait
refused 'kept connections have layout' "$BEFORE" # what is newer than its own

# ---- from one to the other ----

chmod 755 "$WORK/xtcpd-new"
for ((n = 1; n <= UPGRADES; n++)); do
    if [ $((n % 2)) -eq 0 ]; then upgrade "$XTCPD"; else upgrade "$WORK/xtcpd-new"; fi
    xt_wait_for 30 quiet ctl status
    [ $((n % 3)) -ne 0 ] || loads_wait
done
upgrade # to itself, as it lies on the disk
grep -q "upgraded to $XTCPD" "$WORK/xtcpd.log" || { echo "the binary's path is not known"; exit 1; }

# It fails when the old one has stood still already: the old binary goes on, and a kill after it changes nothing.
if ctl upgrade "$HERE/bad-xtcpd-late-crashes" >"$WORK/answer" 2>&1; then exit 1; fi
grep 'old binary goes on' "$WORK/answer"
xt_wait_for 30 quiet ctl status
loads_wait
kill -9 "$(stack_pid)"
xt_wait_for 30 quiet ctl status
loads_wait
idle_well
loads_end
