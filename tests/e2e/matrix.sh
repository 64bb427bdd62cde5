#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Real programs, each in five rounds: the client and the server on the kernel's TCP or on xtcp's, both on one xtcpd, or each on
# an xtcpd of its own with the wire between. A job is a file of tests/e2e/matrix/ (tests/lib/matrix.sh says what it may
# use); each proves by hash, count or exit status that all arrived.
#   matrix.sh BUILD PROGRAM             all five rounds: kk xk kx xx xy
#   ROUNDS="xk kx" matrix.sh ...        only these: client's side, server's side
# 0: all good; 77: a program is not installed; 1: something failed.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/stage.sh"
. "$here/../lib/matrix.sh"
MATRIX=$here/matrix
build=$1 program=$2
declare -A names=([k]=kernel [x]=xtcp [y]="another xtcp")

. "$here/matrix/$program.sh"
for c in $commands; do
    [ -e "$c" ] || PATH=$PATH:/usr/sbin:/sbin type -P "$c" >/dev/null || {
        echo "SKIP: $c is not installed (tools/deps matrix installs it)"
        exit 77
    }
done

stage_up "$build" clean || exit
chmod 711 "$WORK"
xtcpd_start || exit
make_file 8
chmod -R a+rX "$WORK/www"
FILE=$WORK/www/file WANT=${WANT%% *}
failed=0 PORT=20000

round() { # one round of the program $1; what it said is shown if it failed
    local began=${EPOCHREALTIME/./} rc stack
    local -A hosts=([k]=$ADDR_K [x]=$ADDR_X [y]=$ADDR_Y)
    DIR=$WORK/$1-$CLIENT$SERVER
    mkdir -m 755 "$DIR"
    PORT=$((PORT + 10))
    HOST=${hosts[$SERVER]}
    [ "$SERVER" != y ] || other_start || return
    stack=$(stacks)
    (
        trap round_sweep EXIT
        trap - INT TERM
        set -e
        job
    ) >"$DIR/out" 2>&1
    rc=$?
    if [ "$(stacks)" != "$stack" ]; then
        echo "xtcpd's stack process died" >>"$DIR/out"
        rc=1
    elif [ $rc -eq 0 ] && ! xt_wait_for 10 daemons_at_rest; then
        { echo "sockets are left:"; ctl_of x list; ctl_of y list; } >>"$DIR/out" 2>&1
        rc=1
    fi
    printf '%-5s %-10s %s -> %s, %d.%d s%s\n' "$([ $rc -eq 0 ] && echo ok || echo FAIL)" "$1" "${names[$CLIENT]}" \
        "${names[$SERVER]}" $(((${EPOCHREALTIME/./} - began) / 1000000)) $(((${EPOCHREALTIME/./} - began) / 100000 % 10)) \
        "$([ -s "$DIR/note" ] && printf ', %s' "$(cat "$DIR/note")")"
    [ $rc -eq 0 ] || sed 's/^/    /' "$DIR/out" | tail -n 40
    [ -n "${KEEP:-}" ] && cp -r "$DIR" "$KEEP/"
    rm -rf "$DIR"
    return $rc
}

for r in ${ROUNDS:-${rounds:-kk xk kx xx xy}}; do
    CLIENT=${r:0:1} SERVER=${r:1:1}
    round "$program" # not in a condition: that would turn off "set -e" in the job
    [ $? -eq 0 ] || failed=1
done
exit $failed
