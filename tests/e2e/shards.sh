#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Several data-plane threads: programs that are in different ones reach the kernel's host and each other, also when the stack process is
# killed in the middle, and after another one has taken over by plan. Every byte is right.
# usage: shards.sh BUILD [SHARDS]
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
SHARDS=${2:-3}
make_file 16
xtcpd_start --shards "$SHARDS"
nginx_kernel_start
nginx_xtcp_start

# get WHERE URL: the file is as it was made.
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
changed() { [ -n "$(stack_pid)" ] && [ "$(stack_pid)" != "$old" ] && quiet ctl status; }

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
