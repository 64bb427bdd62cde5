#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A client killed with kill -9 in the middle of a transfer: its connections end, its memory comes back, others go on. Then clients
# and their children killed at random instants of a course of all calls, and a fork bomb: what the daemon has is what it had.
# usage: client_kill.sh BUILD [KILLS]; XT_SEED chooses the instants
set -euo pipefail
KILLS=${2:-50}
. "$(dirname "$0")/../lib/stage.sh"
. "$(dirname "$0")/../lib/census.sh"
stage_up "$1" clean
make_file 64
xtcpd_start
nginx_kernel_start

before=$(census "$XTCPD_PID" "$WORK/xtcpd.sock")
as_before() {
    xt_wait_for 60 census_is "$before" "$XTCPD_PID" "$WORK/xtcpd.sock" || {
        echo "before: $before"
        echo "after:  $(census "$XTCPD_PID" "$WORK/xtcpd.sock")"
        return 1
    }
}
for round in 1 2 3 4 5; do
    xt_spawn x /dev/null env "${XTCP_ENV[@]}" curl -sS --limit-rate 1M -o /dev/null "http://$ADDR_K/file"
    xt_wait_for 30 listed 'ESTABLISHED.*curl'
    kill -9 "$XT_PID"
    wait "$XT_PID" 2>/dev/null || true
    xt_wait_for 30 listed_none ESTABLISHED
done
as_before
echo "5 kills, before and after: $before"
job_download

EXCHANGE=$PLAIN/tests/chaos/exchange
xt_spawn k "$WORK/peer.log" "$EXCHANGE" peer 7000
xt_wait_for 30 in_k sh -c 'ss -Hltn "sport = :7000" | grep -q .'
kill_some() { # KILLS SEED
    in_x python3 "$(dirname "$0")/client_kill.py" "$1" "$2" 150 -- env "${XTCP_ENV[@]}" "$EXCHANGE" more "$ADDR_K" 7000
}
LIAR=$PLAIN/tests/chaos/xt-liar
xt_spawn k "$WORK/echo.log" "$LIAR" echo 7001
xt_wait_for 30 in_k sh -c 'ss -Hltn "sport = :7001" | grep -q .'
BOMB=(100 300)
[ "$KILLS" -lt 1000 ] || BOMB=(500 2000)
bomb() { # LOG: beside it somebody is served all the time
    xt_spawn x "$WORK/$1" "$LIAR" honest "$WORK/xtcpd.sock" "$ADDR_K" 7001
    xt_wait_for 20 quiet grep begun "$WORK/$1"
    on_xtcp "$PLAIN/tests/chaos/xt-bomb" "$ADDR_K" 7001 "${BOMB[@]}"
    kill -TERM "$XT_PID"
    wait "$XT_PID" || { cat "$WORK/$1"; return 1; }
    tail -n 1 "$WORK/$1"
}
before=$(census "$XTCPD_PID" "$WORK/xtcpd.sock") stack=$(stack_pid)
kill_some $((KILLS / 10)) 0 # what is allocated once
for block in 1 2 3; do
    kill_some $((KILLS / 3)) $((${XT_SEED:-1} * 3 + block))
    bomb honest.$block
    as_before
    memory_of "$XTCPD_PID" "$WORK/xtcpd.sock" >>"$WORK/memory"
done
[ "$(stack_pid)" = "$stack" ] || { echo "the stack process has died"; exit 1; }
echo "before and after: $before"
[ -n "${XT_TEST_PLAIN:-}" ] || memory_steady "$WORK/memory" 64 # a sanitizer keeps what is freed
job_download
