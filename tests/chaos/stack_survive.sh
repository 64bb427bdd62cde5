#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Connections outlive the stack process: it is killed again and again, at random points of the traffic, under downloads and uploads
# both ways, redis and short connections. No request fails and every byte is right.
# usage: stack_survive.sh BUILD [KILLS]; XT_SEED chooses the points.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
KILLS=${2:-20}
SEED=${XT_SEED:-$RANDOM}
RANDOM=$SEED
echo "seed $SEED, $KILLS kills"
stage_up "$1" clean
make_file 32
xtcpd_start
nginx_kernel_start
nginx_xtcp_start 2
redis_xtcp_start
SMALL=$(head -c 1024 "$WORK/www/file" | sha256sum)

hash_is() { # WANT CMD...: the command succeeds and what it writes has this hash
    local want=$1 got
    shift
    got=$("$@" 2>>"$WORK/load.err" | sha256sum && exit "${PIPESTATUS[0]}") && [ "$got" = "$want" ]
}

# load NAME CMD...: again and again until told to stop; a line for each time.
load() {
    local name=$1
    shift
    while [ ! -e "$WORK/stop" ]; do
        if "$@"; then echo ok; else echo "FAILED at start $(stack_pid)"; fi >>"$WORK/$name.load"
    done
}
download() { hash_is "$WANT" on_xtcp curl -sS --fail -m 60 "http://$ADDR_K/file"; }
serve() { hash_is "$WANT" in_k curl -sS --fail -m 60 "http://$ADDR_X/file"; }
short_in() { hash_is "$SMALL" in_k curl -sS --fail -m 60 -r 0-1023 "http://$ADDR_X/file"; }
short_out() { hash_is "$SMALL" on_xtcp curl -sS --fail -m 60 -r 0-1023 "http://$ADDR_K/file"; }
redis() {
    in_k timeout 60 redis-benchmark -h "$ADDR_X" -p 6379 -n 20000 -c 20 -t set,get -q >"$WORK/redis.out" 2>&1 &&
        ! grep -qi error "$WORK/redis.out"
}
LOADS=(download serve short_in short_out redis)
pids=()
for l in "${LOADS[@]}"; do
    load "$l" "$l" &
    pids+=($!)
done

segments() { ctl stats 2>/dev/null | awk '$1 == "tcp.segs_in" || $1 == "stack.frames_in" { print $2; exit }'; }
moved() { local n; n=$(segments) && [ -n "$n" ] && [ "$n" -ge "$1" ]; }
progress() { local l; for l in "${LOADS[@]}"; do [ "$(wc -l <"$WORK/$l.load")" -gt "${1:-0}" ] || return 1; done; }

for l in "${LOADS[@]}"; do touch "$WORK/$l.load"; done
for ((kill = 1; kill <= KILLS; kill++)); do
    xt_wait_for 30 moved $((RANDOM % 8000 + 100))
    kill -9 "$(stack_pid)"
    xt_wait_for 30 quiet ctl status
done
xt_wait_for 90 progress
touch "$WORK/stop"
wait "${pids[@]}"

rc=0
for l in "${LOADS[@]}"; do
    bad=$(grep -vc '^ok$' "$WORK/$l.load" || true)
    echo "$l: $(wc -l <"$WORK/$l.load") times, $bad failed"
    [ "$bad" -eq 0 ] || rc=1
done
[ $rc -eq 0 ] || tail -n 20 "$WORK/load.err"
exit $rc
