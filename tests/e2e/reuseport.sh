#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Four server processes share a port by SO_REUSEPORT: each has its part of the connections, the others go on when one is killed, one
# that joins later has its part too. The same on the kernel's TCP and on xtcp's, there also after the stack process was killed.
# With several shards each of them listens in all.
#   reuseport.sh BUILD [SHARDS]
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
chmod 711 "$WORK" # the daemon's socket is for all users
PY=$(dirname "$0")/reuseport.py
PORT=7100
SHARDS=${2:-${XT_SHARDS:-1}}

# serve ON ADDRESS NAME
serve() {
    "$1" python3 "$PY" serve "$2" $PORT "$3" "$WORK/$1.$3" >"$WORK/$1.$3.log" 2>&1 &
    xt_wait_for 30 test -e "$WORK/$1.$3" || { cat "$WORK/$1.$3.log"; exit 1; }
}
# listeners_are ON SERVERS
listeners_are() {
    if [ "$1" = on_xtcp ]; then
        [ "$(ctl list --listening | grep -c ":$PORT " || :)" -eq $(($2 * SHARDS)) ]
    else
        [ "$(in_x ss -Hltn "sport = :$PORT" | wc -l)" -eq "$2" ]
    fi
}
ask() { in_k timeout 120 python3 "$PY" ask "$1" $PORT "${@:2}"; }

# all ON ADDRESS
all() {
    local name
    for name in a b c d; do
        serve "$1" "$2" $name
    done
    "$1" python3 "$PY" refused "$2" $PORT
    xt_wait_for 30 listeners_are "$1" 4
    ask "$2" 200 a b c d
    kill -KILL "$(cat "$WORK/$1.c")"
    xt_wait_for 30 listeners_are "$1" 3
    ask "$2" 150 a b d
    serve "$1" "$2" e
    xt_wait_for 30 listeners_are "$1" 4
    ask "$2" 200 a b d e
}

echo "-- kernel"
all in_x "$ADDR_XK"
echo "-- xtcp"
xtcpd_start --shards "$SHARDS"
all on_xtcp "$ADDR_X"
old=$(stack_pid)
kill -KILL "$old"
new_stack() { [ -n "$(stack_pid)" ] && [ "$(stack_pid)" != "$old" ] && quiet ctl status && listeners_are on_xtcp 4; }
xt_wait_for 30 new_stack
ask "$ADDR_X" 200 a b d e
echo "SO_REUSEPORT: shared, after a death, by a newcomer, after a restart"
