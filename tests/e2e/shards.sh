#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Several data-plane threads: programs that are in different ones reach the kernel's host and each other, many at once, share a port,
# and go on when the stack process is killed in the middle, and after another one has taken over by plan. Every byte is right.
# usage: shards.sh BUILD [SHARDS]
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
make_file 16
head -c 1024 "$WORK/www/file" >"$WORK/www/1k"
head -c 2097152 "$WORK/www/file" >"$WORK/www/piece"
nginx_kernel_start

# get WHERE URL: its hash is $WANT.
get() { [ "$("$1" timeout 60 curl -sS --fail "${@:2}" | sha256sum)" = "$WANT" ]; }
# Programs come to the shards in turns: as many as there are shards, and nginx is in each one's place once.
all() {
    for ((i = 0; i < SHARDS; i++)); do
        get on_xtcp "http://$ADDR_K/file" || { echo "$1: from the kernel, program $i"; return 1; }
        get on_xtcp "http://$ADDR_X/file" || { echo "$1: between shards, program $i"; return 1; }
    done
    get in_k "http://$ADDR_X/file" || { echo "$1: to the kernel"; return 1; }
    echo "ok    $1"
}
# Programs that share a port, one in each shard: requests by many connections from either host, none fails, all of them serve.
# share keep-alive|close
share() {
    local i who servers=()
    for ((i = 0; i < SHARDS; i++)); do
        nginx_conf "share-$i" 1
        sed -i "s,listen 80;,listen 8080 reuseport;, ; s,access_log off;,access_log $WORK/share-$i/served;," "$WORK/share-$i/nginx.conf"
        xt_spawn x "$WORK/share-$i/out" env "${XTCP_ENV[@]}" nginx -p "$WORK/share-$i" -c "$WORK/share-$i/nginx.conf" \
            -e "$WORK/share-$i/error.log"
        servers+=("$XT_PID")
    done
    xt_wait_for 20 shared || { ctl list -l; return 1; }
    for who in in_k on_xtcp; do
        "$who" timeout 60 wrk -t2 -c64 -d1s --timeout 30s -H "Connection: $1" "http://$ADDR_X:8080/1k" >"$WORK/wrk"
        if ! grep 'requests in' "$WORK/wrk" || grep 'Socket errors\|Non-2xx' "$WORK/wrk"; then return 1; fi
    done
    for ((i = 0; i < SHARDS; i++)); do
        xt_wait_for 30 has_served "$i" || { echo "program $i has served nothing"; return 1; }
    done
    for i in "${servers[@]}"; do xt_stop "$i"; done
    echo "ok    a port of $SHARDS programs"
}
has_served() { quiet in_k curl -s --fail "http://$ADDR_X:8080/1k" && [ -s "$WORK/share-$1/served" ]; }
shared() { [ "$(ctl list -l | grep -c ":8080 ")" -eq "$SHARDS" ]; }
# Eight at once, each a program in the shard whose turn it is; and eight streams of one program.
eight() {
    local i url gets WANT
    WANT=$(sha256sum <"$WORK/www/piece")
    for url in "http://$ADDR_K/piece" "http://$ADDR_X/piece"; do
        gets=()
        for i in {1..8}; do
            get on_xtcp "$url" &
            gets+=($!)
        done
        for i in "${gets[@]}"; do wait "$i" || { echo "one of eight from $url"; return 1; }; done
    done
    for i in "" -R; do
        xt_wait_for 20 iperf_ready "$WORK/iperf-server.log"
        on_xtcp timeout 60 iperf3 -c "$ADDR_K" -P 8 -n 32M ${i:+"$i"} >"$WORK/iperf" || { cat "$WORK/iperf"; return 1; }
    done
    echo "ok    eight at once, $SHARDS shards"
}
changed() { [ -n "$(stack_pid)" ] && [ "$(stack_pid)" != "$old" ] && quiet ctl status; }

iperf_server
SHARDS=2
xtcpd_start --shards $SHARDS
nginx_xtcp_start
share close
eight
xt_stop "$NGINX_X_PID"
xt_stop "$XTCPD_PID"

SHARDS=${2:-4}
xtcpd_start --shards "$SHARDS"
nginx_xtcp_start
share keep-alive
eight
all "at first"
ctl status | grep -E '^shards|^ +[0-9]+: ' || { echo "status does not show the shards"; exit 1; }
passed=$(ctl --json stats | python3 -c 'import json, sys; print(json.load(sys.stdin)["stack.crew_in"])')
[ "$passed" -gt 0 ] || { echo "nothing went from shard to shard"; exit 1; }

old=$(stack_pid)
get on_xtcp --limit-rate 4M "http://$ADDR_X/file" &
first=$!
in_k timeout 60 curl -sS --fail --limit-rate 4M "http://$ADDR_X/file" | sha256sum >"$WORK/slow" &
second=$!
xt_wait_for 20 listed 'ESTABLISHED.*curl'
kill -KILL "$old"
xt_wait_for 30 changed
wait $first
wait $second
[ "$(cat "$WORK/slow")" = "$WANT" ]
all "after a kill"

old=$(stack_pid)
ctl upgrade
xt_wait_for 30 changed # the old process may take a moment to end
all "after an upgrade"
