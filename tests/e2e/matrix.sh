#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Real programs, each in five rounds: the client and the server on the kernel's TCP or on xtcp's, both on one xtcpd, or each on
# an xtcpd of its own with the wire between. A job is a file of tests/e2e/matrix/ (tests/lib/matrix.sh says what it may
# use); each proves by hash, count or exit status that all arrived.
#   matrix.sh BUILD PROGRAM             all five rounds: kk xk kx xx xy
#   ROUNDS="xk kx" matrix.sh ...        only these: client's side, server's side
#   REPEAT=N matrix.sh ...              all of it N times on the same daemons, with the same steps and proofs but a file of 1 MiB and a
#                                       tenth of the requests. The daemons' sockets, sessions and descriptors must each time
#                                       return to what they were after the first repetitions, and their memory must not grow;
#                                       ends with a table of lines "repeated PROGRAM ROUND REPETITIONS FAILURES LONGEST"
# A round that takes more than 120 s (or what the job says: limit=N) has failed, and shows who waits for what.
# 0: all good; 77: a program is not installed; 1: something failed.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/stage.sh"
. "$here/../lib/matrix.sh"
. "$here/../lib/census.sh"
. "$here/../lib/suites.sh"
MATRIX=$here/matrix
build=$1 program=$2
declare -A names=([k]=kernel [x]=xtcp [y]="another xtcp")

limit=120 # seconds that a round may take
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
make_file "$([ "${REPEAT:-1}" -gt 1 ] && echo 1 || echo 8)"
chmod -R a+rX "$WORK/www"
FILE=$WORK/www/file WANT=${WANT%% *} SIZE=$(stat -c %s "$WORK/www/file")
declare -A runs failures longest # by round
failed=0 differences=0 PORT=20000
if declare -F prepare >/dev/null; then prepare || exit; fi

# What everybody in both namespaces is doing.
who_waits() {
    echo "not over after $limit s:"
    ctl_of x list --all
    ctl_of y list --all
    ps -o pid,ppid,stat,wchan:20,etime,args -p "$({ ip netns pids "$NS_X"; ip netns pids "$NS_K"; } | paste -sd,)" | cut -c 1-160
}

# The job in a process of its own, which has so much time and no more.
bounded_job() {
    local rc=0 pids=("${XT_PIDS[@]}") job
    (
        trap '[ $? -eq 0 ] || echo "it ended at: $BASH_COMMAND"; round_sweep' EXIT
        trap - INT TERM
        set -e
        job
    ) >"$DIR/out" 2>&1 &
    job=$!
    XT_PIDS+=("$job")
    xt_wait_for "$limit" xt_gone "$job" || {
        who_waits >>"$DIR/out" 2>&1
        rc=1
        kill -KILL "$job"
    }
    wait "$job" || rc=1
    XT_PIDS=("${pids[@]}")
    [ $rc -eq 0 ] || round_sweep
    return $rc
}

round() { # one round of the program $1; what it said is shown if it failed
    local began=${EPOCHREALTIME/./} rc stack took r=$CLIENT$SERVER
    local -A hosts=([k]=$ADDR_K [x]=$ADDR_X [y]=$ADDR_Y)
    DIR=$WORK/$1-$r
    mkdir -m 755 "$DIR"
    PORT=$((PORT < 32000 ? PORT + 10 : 20000))
    HOST=${hosts[$SERVER]}
    [ "$SERVER" != y ] || other_start || return
    stack=$(stacks)
    bounded_job
    rc=$?
    if [ "$(stacks)" != "$stack" ]; then
        echo "xtcpd's stack process died" >>"$DIR/out"
        rc=1
    elif [ $rc -eq 0 ] && ! xt_wait_for 30 daemons_at_rest; then
        { echo "sockets are left:"; ctl_of x list; ctl_of y list; } >>"$DIR/out" 2>&1
        rc=1
    fi
    took=$((${EPOCHREALTIME/./} - began))
    runs[$r]=$((${runs[$r]:-0} + 1))
    [ $rc -eq 0 ] || failures[$r]=$((${failures[$r]:-0} + 1))
    [ $took -le "${longest[$r]:-0}" ] || longest[$r]=$took
    printf '%-5s %-10s %s -> %s, %d.%d s%s\n' "$([ $rc -eq 0 ] && echo ok || echo FAIL)" "$1" "${names[$CLIENT]}" \
        "${names[$SERVER]}" $((took / 1000000)) $((took / 100000 % 10)) \
        "$([ -s "$DIR/note" ] && printf ', %s' "$(cat "$DIR/note")")"
    [ $rc -eq 0 ] || sed 's/^/    /' "$DIR/out" | tail -n 40
    [ -n "${KEEP:-}" ] && cp -r "$DIR" "$KEEP/"
    rm -rf "$DIR"
    return $rc
}

repetition() { # all rounds; not to be called in a condition: that would turn off "set -e" in the job
    local r
    for r in ${ROUNDS:-${rounds:-kk xk kx xx xy}}; do
        CLIENT=${r:0:1} SERVER=${r:1:1}
        round "$program"
        [ $? -eq 0 ] || failed=1
    done
}

# What both daemons have.
both() {
    "$1" "$XTCPD_PID" "$WORK/xtcpd.sock"
    [ -z "${OTHER_PID:-}" ] || "$1" "$OTHER_PID" "$WORK/other.sock"
}
both_are() { [ "$(both census)" = "$1" ]; }

# After repetition $1: caches are warm after a few, and from then on nothing may stay. What does stay is told once.
compare_census() {
    if [ "$1" -le 3 ]; then
        xt_wait_for 30 daemons_at_rest
        before=$(both census)
    elif ! xt_wait_for 30 both_are "$before"; then
        printf 'repetition %d: not as before:\n%s\nbefore:\n%s\n' "$1" "$(both census)" "$before"
        differences=$((differences + 1))
        before=$(both census)
    fi
    memory_of "$XTCPD_PID" "$WORK/xtcpd.sock" >>"$WORK/memory"
    [ -z "${OTHER_PID:-}" ] || memory_of "$OTHER_PID" "$WORK/other.sock" >>"$WORK/memory.other"
}

totals() {
    local r
    printf 'repeated %-10s %5s %11s %8s %s\n' program round repetitions failures longest
    for r in ${ROUNDS:-${rounds:-kk xk kx xx xy}}; do
        printf 'repeated %-10s %5s %11d %8d %d.%d s of %d\n' "$program" "$r" "${runs[$r]:-0}" "${failures[$r]:-0}" \
            $((${longest[$r]:-0} / 1000000)) $((${longest[$r]:-0} / 100000 % 10)) "$limit"
    done
    printf "repeated %-10s the daemons' sockets, sessions and descriptors differed after %d of %d, their memory %s\n" "$program" \
        $differences "$REPEAT" "$1"
}

if [ "${REPEAT:-1}" -eq 1 ]; then
    repetition
    exit $failed
fi
for ((n = 1; n <= REPEAT; n++)); do
    repetition
    compare_census $n
done
memory="does not grow"
for f in "$WORK"/memory*; do memory_steady "$f" || memory=GROWS; done
both census
totals "$memory"
[ $failed -eq 0 ] && [ $differences -eq 0 ] && [ "$memory" != GROWS ]
