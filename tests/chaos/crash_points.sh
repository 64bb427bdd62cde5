#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The stack process dies between two stores that belong together, at one such place after the other (daemon/base/crash.h); a short
# course of every call goes on as if nothing had been. Wants a build with -Dcrash_points=true.
# usage: crash_points.sh BUILD [SAMPLES [AGAIN [PEER [COURSE]]]]; SAMPLES 0: all points; AGAIN: the successor dies too, within so many points;
# PEER: where the other end is, k (the kernel's TCP) or x (the same xtcpd); c: the course is at the kernel's end, the other is a program's
# that gives its connections to cats, and only what the keeper is told is interrupted: all points with SAMPLES 0;
# COURSE: run, or another one of exchange.c
set -euo pipefail
BUILD=$1 SAMPLES=${2:-60} AGAIN=${3:-0} PEER=${4:-k} COURSE=${5:-run}
EXCHANGE=${XT_TEST_PLAIN:-$BUILD}/tests/chaos/exchange
if ! grep -q XT_CRASH_FILE "$BUILD/daemon/main/xtcpd"; then
    echo "SKIP: this build has no crash points (meson setup -Dcrash_points=true)"
    exit 77
fi
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$BUILD" clean
truncate -s 4096 "$WORK/crash"
export XT_CRASH_FILE=$WORK/crash
xtcpd_start --restart-backoff 1ms # deaths one after the other are what is wanted here
unset XT_CRASH_FILE
course=(python3 -B "$(dirname "$0")/crash_points.py" "$WORK/crash" "$SAMPLES" "$AGAIN" "${XT_SEED:-1}")
listens() { ctl list --listening | grep -q ":7000 "; }
rc=0
case $PEER in
k)
    xt_spawn k "$WORK/peer.log" "$EXCHANGE" peer 7000
    xt_wait_for 30 in_k sh -c 'ss -Hltn "sport = :7000" | grep -q .'
    in_x "${course[@]}" "" -- env "${XTCP_ENV[@]}" "$EXCHANGE" "$COURSE" "$ADDR_K" 7000 || rc=$?
    ;;
x)
    xt_spawn x "$WORK/peer.log" env "${XTCP_ENV[@]}" "$EXCHANGE" peer 7000
    xt_wait_for 30 listens
    in_x "${course[@]}" "" -- env "${XTCP_ENV[@]}" "$EXCHANGE" "$COURSE" "$ADDR_X" 7000 || rc=$?
    ;;
c)
    xt_spawn x "$WORK/peer.log" env "${XTCP_ENV[@]}" "$EXCHANGE" cats 7000
    xt_wait_for 30 listens
    in_k "${course[@]}" ctl/keep.c -- "$EXCHANGE" echoed "$ADDR_X" 7000 || rc=$?
    ;;
esac
[ $rc -eq 0 ] || { echo "-- peer:"; tail -n 5 "$WORK/peer.log"; }
grep -h 'dropped\|AddressSanitizer\|runtime error' "$WORK/xtcpd.log" && rc=1
exit $rc
