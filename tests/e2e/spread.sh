#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# With several data-plane threads a listener is in all of them: its connections are spread, and of those of other hosts no segment is
# passed on. However the program waits and accepts, whatever it does with the listener, every byte is right and none is left waiting.
# usage: spread.sh BUILD [SHARDS]
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
SHARDS=${2:-4}
PY=$(dirname "$0")/spread.py
make_file 4
head -c 1024 "$WORK/www/file" >"$WORK/www/1k"
xtcpd_start --shards "$SHARDS"
port=7000

# serve WAY: $port is its port, $SERVER its process.
serve() {
    port=$((port + 1))
    rm -f "$WORK/$1.ready"
    xt_spawn x "$WORK/$1.log" env "${XTCP_ENV[@]}" python3 "$PY" serve "$1" $port "$WORK/$1.ready"
    SERVER=$XT_PID
    xt_wait_for 30 test -e "$WORK/$1.ready" || { cat "$WORK/$1.log"; return 1; }
}
ask() { in_k timeout 100 python3 "$PY" ask "$ADDR_X" "$port" "$@"; }
# figures: of each shard the frames that it got, then how many segments were passed on.
figures() {
    ctl --json status | python3 -c 'import json, sys; print(*[s["frames_in"] for s in json.load(sys.stdin)["shards"]])'
    ctl --json stats | python3 -c 'import json, sys; print(json.load(sys.stdin)["stack.crew_in"])'
}
# spread WAY: since "before" each shard has got a part that is worth the name, and next to nothing was passed on.
spread() {
    python3 - "$before" "$(figures)" "$1" <<'END'
import sys
a, b = ([int(n) for n in text.split()] for text in sys.argv[1:3])
got = [y - x for x, y in zip(a, b)]
passed = got.pop()
print(f'      frames by shard {got}, passed on {passed}')
sys.exit(None if min(got) * len(got) * 4 > sum(got) and passed < sum(got) / 50 else f'{sys.argv[3]}: not spread')
END
}
listeners() { [ "$(ctl list -l | grep -c ":$1 ")" -eq "$2" ]; }

for way in threads fork prefork select epoll exclusive shared late; do
    serve $way
    ask 8 1 # who only listens has but one queue until it accepts
    before=$(figures)
    ask 240 8 || { cat "$WORK/$way.log"; exit 1; }
    spread $way
    listeners $port "$SHARDS" || { echo "$way: not $SHARDS listeners"; ctl list -l; exit 1; }
    on_xtcp timeout 60 python3 "$PY" ask "$ADDR_X" "$port" 16 2 # from a program in one of the shards
    xt_stop "$SERVER"
    xt_wait_for 30 listeners $port 0 || { ctl list -l; exit 1; }
    echo "ok    $way"
done

serve again
ask 400 4 200 # what waits in a queue that is closed, and what comes when nobody listens
listeners $port "$SHARDS"
kill -KILL "$SERVER"
for i in 1 2 3 4 5; do # the port is free at once
    port=$((port - 1))
    serve again
    ask 40 4
    kill -KILL "$SERVER"
done
echo "ok    the port is listened on again and again"

# A program that inherits the listener knows of one queue: that one gets all.
serve activate
ask 40 4
xt_wait_for 30 listeners $port 1
xt_stop "$SERVER"
serve execute
ask 200 4 20
xt_wait_for 30 listeners $port 1
ask 40 4
xt_stop "$SERVER"
serve beside
ask 200 4 30 # what came to the other queues before the program knew of the listener
ask 100 4
xt_wait_for 30 listeners $port 1
xt_stop "$SERVER"
echo "ok    listeners that other programs get"

serve threads
ask 8 1
ask 2400 8 >"$WORK/asked" &
asked=$!
frames() { ctl --json status | python3 -c 'import json, sys; print(sum(s["frames_in"] for s in json.load(sys.stdin)["shards"]))'; }
more() { [ "$(frames)" -gt $((was + 1000)) ] || ! kill -0 $asked; }
for i in 1 2; do
    was=$(frames)
    xt_wait_for 30 more # it is in the middle of it
    old=$(stack_pid)
    kill -KILL "$old"
    changed() { [ -n "$(stack_pid)" ] && [ "$(stack_pid)" != "$old" ] && quiet ctl status; }
    xt_wait_for 30 changed
done
wait $asked || { cat "$WORK/asked"; exit 1; }
before=$(figures)
ask 240 8
spread "after kills"
listeners $port "$SHARDS"
xt_stop "$SERVER"
echo "ok    the stack process is killed"

nginx_xtcp_start 3
in_k timeout 60 wrk -t2 -c8 -d1s "http://$ADDR_X/1k" >"$WORK/wrk"
before=$(figures)
in_k timeout 60 wrk -t2 -c64 -d2s --timeout 30s -H "Connection: close" "http://$ADDR_X/1k" >"$WORK/wrk" &
load=$!
others() { for p in $(pgrep -P "$NGINX_X_PID"); do grep -qw "$p" <<<"$old" || return 0; done; return 1; }
for i in 1 2 3; do
    old=$(pgrep -P "$NGINX_X_PID")
    kill -HUP "$NGINX_X_PID"
    xt_wait_for 30 others # workers of the new configuration
done
wait $load
if ! grep 'requests in' "$WORK/wrk" || grep 'Socket errors\|Non-2xx' "$WORK/wrk"; then cat "$WORK/wrk"; exit 1; fi
spread nginx
[ "$(in_k curl -sS --fail "http://$ADDR_X/file" | sha256sum)" = "$WANT" ]
xt_stop "$NGINX_X_PID"
echo "ok    nginx, reloaded under load"

redis_xtcp_start
before=$(figures)
in_k redis-benchmark -h "$ADDR_X" -p 6379 -n 20000 -c 50 -t set,get -q
spread redis
iperf_x() { quiet in_k iperf3 -c "$ADDR_X" -n 1K; }
xt_spawn x "$WORK/iperf-x.log" env "${XTCP_ENV[@]}" iperf3 -s --forceflush
xt_wait_for 30 iperf_x
xt_wait_for 30 iperf_ready "$WORK/iperf-x.log"
in_k timeout 60 iperf3 -c "$ADDR_X" -P 8 -n 64M | grep 'SUM.*receiver'
xt_wait_for 30 iperf_ready "$WORK/iperf-x.log"
in_k timeout 60 iperf3 -c "$ADDR_X" -P 8 -n 64M -R | grep 'SUM.*receiver'
echo "ok    redis and iperf3"
