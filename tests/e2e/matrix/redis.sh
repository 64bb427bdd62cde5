# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# redis: many keys, a snapshot by a forked child meanwhile, a replica on the client's side, the benchmark.
commands="redis-server redis-cli redis-benchmark"
cli() { client redis-cli -h "$HOST" -p "$PORT" "$@"; }
replica() { client redis-cli -p "$((PORT + 1))" -h 127.0.0.1 "$@"; }
in_step() { [ "$(cli debug digest)" = "$(replica debug digest)" ]; }
saved() { cli info persistence | grep -q 'rdb_bgsave_in_progress:0'; }
job() {
    mkdir "$DIR/s" "$DIR/r"
    serve redis redis-server --port "$PORT" --bind 0.0.0.0 --protected-mode no --save '' --dir "$DIR/s" --enable-debug-command yes
    wait_port
    seq "$(amount 20000)" | sed 's/.*/SET key:& value-&/' >"$DIR/cmds"
    same "many keys" "$(client redis-cli -h "$HOST" -p "$PORT" --pipe <"$DIR/cmds" | tail -n 1)" "errors: 0, replies: $(amount 20000)"
    client redis-cli -h "$HOST" -p "$PORT" -x set big <"$FILE"
    same "a large value" "$(cli get big | head -c "$SIZE" | hash_of)" "$WANT"
    # The replica's own clients reach it on loopback, its master is on the other side.
    client_bg replica redis-server --port "$((PORT + 1))" --bind 127.0.0.1 --save '' --dir "$DIR/r" --replicaof "$HOST $PORT" \
        --enable-debug-command yes
    cli bgsave
    client redis-benchmark -h "$HOST" -p "$PORT" -n "$(amount 20000)" -c 50 -t set,get,lrange_100 -q >"$DIR/bench"
    client redis-benchmark -h "$HOST" -p "$PORT" -n "$(amount 50000)" -c 20 -P 16 -t set,incr -q >>"$DIR/bench"
    same "the benchmark's tests" "$(tr '\r' '\n' <"$DIR/bench" | grep -c 'requests per second')" 6
    xt_wait_for 20 saved || { echo "the snapshot does not end"; return 1; }
    same "the snapshot" "$(head -c 5 "$DIR/s/dump.rdb")" REDIS
    xt_wait_for 20 in_step || { echo "master and replica differ"; replica info replication; return 1; }
    cli shutdown nosave
    xt_wait_for 30 xt_gone "$SERVE_PID"
}
