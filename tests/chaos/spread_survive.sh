#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A server in several shards, each request by a connection of its own, while the stack process is killed again and again and the server
# gets new workers: no connect, read or write fails. Workers that are killed take their own connections with them, and nothing more. In
# the end nothing is left of any.
# usage: spread_survive.sh BUILD [SHARDS [KILLS]]; XT_SEED chooses the points.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
. "$(dirname "$0")/../lib/census.sh"
. "$(dirname "$0")/loads.sh"
SHARDS=${2:-2} KILLS=${3:-8} RANDOM=${XT_SEED:-1}
stage_up "$1" clean
mkdir -p "$WORK/www"
head -c 1024 /dev/urandom >"$WORK/www/file"
xtcpd_start --shards "$SHARDS" --restart-backoff 1ms
# But for the descriptors of the stack process itself: a successor begins with those that are kept.
had() { census "$XTCPD_PID" "$WORK/xtcpd.sock" | sed 's/+[0-9]*$//'; }
before=$(had)
nginx_xtcp_start 3

asked() { in_k timeout 100 wrk -t2 -c64 -d1s --timeout 60s -H "Connection: close" "http://$ADDR_X/file" >"$WORK/wrk"; }
# Until told to stop.
ask() {
    while [ ! -e "$WORK/stop" ]; do
        asked && ! grep 'Socket errors\|Non-2xx' "$WORK/wrk" >>"$WORK/wrong" || { cat "$WORK/wrk" >>"$WORK/wrong"; break; }
        awk '/requests in/ { print $1 }' "$WORK/wrk" >>"$WORK/requests"
    done
}
workers() { pgrep -P "$NGINX_X_PID"; }
more_workers() { for p in $(workers); do grep -qw "$p" <<<"$old" || return 0; done; return 1; }
ask &
load=$!
XT_PIDS+=($load)
for ((n = 1; n <= KILLS; n++)); do
    [ $((n % 3)) -ne 0 ] || { old=$(workers); kill -HUP "$NGINX_X_PID"; }
    loads_kill 1
    [ $((n % 3)) -ne 0 ] || xt_wait_for 60 more_workers
    kill -0 $load 2>/dev/null || break
done
touch "$WORK/stop"
wait $load
[ ! -s "$WORK/wrong" ] || { cat "$WORK/wrong"; exit 1; }
awk '{ n += $1 } END { print n " requests, none failed" }' "$WORK/requests"

for ((n = 1; n <= 4; n++)); do
    asked &
    load=$!
    old=$(workers)
    xt_wait_for 60 segments_are 2000
    kill -KILL "$(head -n 1 <<<"$old")"
    [ $((n % 2)) -ne 0 ] || kill -KILL "$(stack_pid)"
    xt_wait_for 60 more_workers
    wait $load
done
asked
! grep 'Socket errors\|Non-2xx' "$WORK/wrk"
xt_stop "$NGINX_X_PID"
nothing_left() { [ -z "$(ctl flush-time-wait >/dev/null && ctl list | grep ":80 ")" ] && [ "$(had)" = "$before" ]; }
xt_wait_for 30 nothing_left || { ctl list; echo "before: $before"; echo "now:    $(had)"; exit 1; }
! grep 'AddressSanitizer\|runtime error' "$WORK/xtcpd.log"
echo "spread over $SHARDS: $KILLS kills, and nothing is left"
