#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sockets where few programs use them: corners says what it sees there on the kernel's TCP and on xtcp's, and its peer notes
# what comes; both must be the same.
#   corners.sh BUILD [SCENARIO...]
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/stage.sh"
stage_up "$1" clean || exit
xtcpd_start || exit
shift
CORNERS=$PLAIN/tests/e2e/corners
failed=0

peer_start() { # k|x PORT: for the prober on the other side
    mkdir -p "$WORK/notes-$2"
    xt_spawn k "$WORK/peer-$2.log" python3 "$here/corners.py" "$1" "$WORK/notes-$2"
    xt_wait_for 20 in_k sh -c "ss -Hltn 'sport = :$1' | grep -q ." || exit
}
peer_start 7000 kernel
peer_start 7001 xtcp

noted() { # STACK: what its peer has written
    (cd "$WORK/notes-$1" && for f in *; do [ ! -f "$f" ] || printf '%s: %s\n' "$f" "$(head -c 60 "$f") $(sha256sum <"$f")"; done)
    ls "$WORK/notes-$1"/.[a-z]* 2>/dev/null
}
all_noted() { [ "$(noted kernel)" = "$(noted xtcp)" ]; }
at_rest() { ! ctl list --all | grep -v TIME_WAIT | grep -q ':[0-9]'; }

compare() {
    local took=${EPOCHREALTIME/./}
    in_x timeout -k 2 50 "$CORNERS" "$1" "$ADDR_K" 7000 >"$WORK/kernel" 2>&1
    echo "exit status $?" >>"$WORK/kernel"
    on_xtcp timeout -k 2 50 "$CORNERS" "$1" "$ADDR_K" 7001 >"$WORK/xtcp" 2>&1
    echo "exit status $?" >>"$WORK/xtcp"
    if ! diff "$WORK/kernel" "$WORK/xtcp" || grep WRONG "$WORK/kernel"; then
        echo "FAIL $1 (<: kernel, >: xtcp)"
        failed=1
    elif ! xt_wait_for 30 all_noted; then
        diff <(noted kernel) <(noted xtcp)
        echo "FAIL $1: the peer got something else"
        failed=1
    elif ! xt_wait_for 30 at_rest; then
        ctl list --all
        echo "FAIL $1: sockets are left"
        failed=1
    else
        took=$((${EPOCHREALTIME/./} - took))
        echo "ok   $1: $(wc -l <"$WORK/xtcp") lines, $((took / 1000)) ms"
    fi
}

for scenario in ${*:-$("$CORNERS" list)}; do
    compare "$scenario"
done
noted xtcp
cat "$WORK"/peer-*.log
exit $failed
