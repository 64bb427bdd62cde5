# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# redis: a cluster of three, keys that clients are sent on for; a sentinel that makes the replica of a killed master the next one.
commands="redis-server redis-cli"
cli() { client redis-cli -h "$HOST" -p "$@"; }
whole() { cli $((PORT + 1)) cluster info | grep -q cluster_state:ok && cli $((PORT + 3)) cluster info | grep -q cluster_state:ok; }
linked() { cli $((PORT + 5)) info replication | grep -q master_link_status:up; }
watched() { cli $((PORT + 6)) sentinel replicas m | grep -q "^$((PORT + 5))"; }
promoted() { [ "$(cli $((PORT + 6)) sentinel get-master-addr-by-name m | tail -n 1)" = $((PORT + 5)) ]; }
store() { # PORT NAME ARGS...
    serve "$2" redis-server --port "$1" --bind 0.0.0.0 --protected-mode no --save '' --dir "$DIR" --dbfilename "$2" "${@:3}"
    wait_port "$1"
}
job() {
    local i master
    for i in 1 2 3; do
        store $((PORT + i)) "node$i" --cluster-enabled yes --cluster-config-file "nodes$i" --cluster-announce-ip "$HOST"
    done
    client redis-cli --cluster create "$HOST:$((PORT + 1))" "$HOST:$((PORT + 2))" "$HOST:$((PORT + 3))" --cluster-yes >"$DIR/create"
    xt_wait_for 30 whole || { cat "$DIR/create"; cli $((PORT + 1)) cluster nodes; return 1; }
    seq 200 | sed 's/.*/set key:& value-&/' | cli $((PORT + 1)) -c | grep -v Redirected | sort | uniq -c | tr -s ' ' >"$DIR/set"
    same "keys set all over the cluster" "$(cat "$DIR/set")" " 200 OK"
    same "keys read" "$(seq 200 | sed 's/.*/get key:&/' | cli $((PORT + 2)) -c | grep -v Redirected | hash_of)" "$(seq 200 | sed 's/.*/value-&/' | hash_of)"
    store $((PORT + 4)) master
    master=$SERVE_PID
    store $((PORT + 5)) replica --replicaof "$HOST" $((PORT + 4))
    xt_wait_for 30 linked
    printf '%s\n' "port $((PORT + 6))" "bind 0.0.0.0" "protected-mode no" "dir $DIR" "sentinel monitor m $HOST $((PORT + 4)) 1" \
        "sentinel down-after-milliseconds m 60000" "sentinel failover-timeout m 5000" >"$DIR/sentinel.conf"
    serve sentinel redis-server "$DIR/sentinel.conf" --sentinel
    wait_port $((PORT + 6))
    xt_wait_for 30 watched || { cat "$DIR/sentinel.log"; return 1; }
    same "a value for the replica" "$(cli $((PORT + 4)) set k v)$(cli $((PORT + 4)) wait 1 20000)" OK1
    xt_stop "$master"
    # Not before: a master that this machine only lets wait so long would be replaced, too.
    same "the sentinel's patience" "$(cli $((PORT + 6)) sentinel set m down-after-milliseconds 500)" OK
    xt_wait_for 40 promoted || { cat "$DIR/sentinel.log"; return 1; }
    same "the value at the new master" "$(cli $((PORT + 5)) get k)" v
    same "the new master takes another" "$(cli $((PORT + 5)) set k w)" OK
}
