# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Traffic of all kinds that goes on until it is told to stop, for tests that disturb it. To be sourced after stage.sh.
#   loads_up [MIB [WORKERS]]   after stage_up: a file of that size (32), xtcpd and the servers, nginx with so many workers (2)
#   postgres_up      a database on xtcp, for the load pgbench; 77 when postgres is not installed
#   loads_start      starts the loads named in LOADS
#   loads_kill N     kills the stack process so often, each time after a random number of segments
#   loads_wait       until each load was through once more
#   loads_end        stops them, prints how often each was through; fails if one was not well. How often they came to the wrong bytes,
#                    failed or hung is in $MISMATCHED, $FAILED and $HUNG
# A load is a function that succeeds, returns $WRONG (what came is not what was sent), or fails; `timeout` tells of one that hangs.

WRONG=90
LIMIT=150 REQUESTS=5000 TRANSACTIONS=100 # seconds that a load may take; of a redis-benchmark; of each client of a pgbench
CHURN=$(cd "$(dirname "${BASH_SOURCE[0]}")/../e2e" && pwd)/churn.py

hash_is() { # WANT CMD...: what the command writes has this hash; if not, the load's words tell how much came and where it differs
    local want=$1 got=$ERR.$BASHPID rc=0
    shift
    "$@" 2>>"$ERR" >"$got" || rc=$?
    if [ $rc -eq 0 ] && [ "$(sha256sum <"$got")" != "$want" ]; then
        echo "$(wc -c <"$got") bytes came: $(cmp "$got" "$WORK/www/file" 2>&1)" >>"$ERR"
        rc=$WRONG
    fi
    rm -f "$got"
    return $rc
}
stored() { # NAME CMD...: the command has nginx store the file under that name
    rm -f "$WORK/www/up/$1"
    "${@:2}" -T "$WORK/www/file" >>"$ERR" 2>&1 || return
    hash_is "$WANT" cat "$WORK/www/up/$1"
}
x_curl() { on_xtcp timeout -k 5 "$LIMIT" env XTCP_LOG=debug curl -svS --fail "$@"; }
k_curl() { in_k timeout -k 5 "$LIMIT" curl -svS --fail "$@"; }

download() { hash_is "$WANT" x_curl "http://$ADDR_K/file"; }
upload() { stored to_kernel x_curl "http://$ADDR_K/up/to_kernel"; }
serve() { hash_is "$WANT" k_curl "http://$ADDR_X/file"; }
take() { stored to_xtcp k_curl "http://$ADDR_X/up/to_xtcp"; }
within() { hash_is "$WANT" x_curl "http://$ADDR_X/file" && stored within x_curl "http://$ADDR_X/up/within"; }
short_in() { hash_is "$SMALL" k_curl -r 0-1023 "http://$ADDR_X/file"; }
short_out() { hash_is "$SMALL" x_curl -r 0-1023 "http://$ADDR_K/file"; }
redis() {
    in_k timeout -k 5 "$LIMIT" redis-benchmark -h "$ADDR_X" -p 6379 -n "$REQUESTS" -c 20 -t set,get -q >"$WORK/redis.out" 2>&1 || return
    ! grep -qi error "$WORK/redis.out"
}
relay() { hash_is "$WANT" in_k timeout -k 5 "$LIMIT" nc -N "$ADDR_X" 7007 <"$WORK/www/file"; }
redis_value() {
    in_k timeout -k 5 "$LIMIT" redis-cli -h "$ADDR_X" -x set value <"$WORK/www/value" >>"$ERR" 2>&1 || return
    hash_is "$VALUE" in_k timeout -k 5 "$LIMIT" redis-cli -h "$ADDR_X" --raw get value
}
# A server for each: one that goes on closes its listener after a client, some time after that client's connections, and resets or
# refuses who comes just then.
iperf_way() {
    local rc=0 server
    ip netns exec "$NS_K" timeout -k 5 "$LIMIT" iperf3 -s -1 -p 5201 >>"$ERR" 2>&1 {XT_NEVER}>&- &
    server=$!
    xt_wait_for "$LIMIT" iperf_listens && on_xtcp timeout -k 5 "$LIMIT" iperf3 -c "$ADDR_K" -t 1 "$@" >>"$ERR" 2>&1 || rc=$?
    [ $rc -eq 0 ] || kill $server 2>/dev/null || :
    wait $server 2>/dev/null || :
    return $rc
}
iperf_listens() { [ -n "$(in_k ss -Hltn 'sport = :5201')" ]; }
iperf() { iperf_way && iperf_way -R; }

# A reset that is lost is not repeated.
CHURN_NOT="server_aborts"
# shellcheck disable=SC2086 # several words
churn_in() { in_k timeout -k 5 "$LIMIT" /usr/bin/python3 "$CHURN" use "$ADDR_X" 7000 1 $CHURN_NOT 2>>"$ERR"; }
# shellcheck disable=SC2086
churn_out() { on_xtcp timeout -k 5 "$LIMIT" /usr/bin/python3 "$CHURN" use "$ADDR_K" 7000 1 $CHURN_NOT 2>>"$ERR"; }

# Every transaction is done, and once.
pgbench() {
    sql -c "truncate pgbench_history" >>"$ERR" 2>&1 || return
    in_k timeout -k 5 "$LIMIT" pgbench -h "$ADDR_X" -U postgres -n -c 8 -j 2 -t "$TRANSACTIONS" postgres >>"$ERR" 2>&1 || return
    [ "$(sql -c "select count(*) from pgbench_history" 2>>"$ERR")" = $((8 * TRANSACTIONS)) ] || return $WRONG
}
sql() { in_k timeout -k 5 "$LIMIT" psql -X -At -h "$ADDR_X" -U postgres "$@"; }

LOADS=(download serve within short_in short_out redis relay)
LOAD_PIDS=()

loads_up() {
    make_file "${1:-32}"
    mkdir -p "$WORK/www/up"
    ERR=$WORK/load.err
    head -c 300000 /dev/urandom | base64 -w 0 >"$WORK/www/value"
    SMALL=$(head -c 1024 "$WORK/www/file" | sha256sum)
    VALUE=$({ cat "$WORK/www/value"; echo; } | sha256sum)
    xtcpd_start
    nginx_kernel_start
    nginx_xtcp_start "${2:-2}"
    redis_xtcp_start
    # The connection becomes the standard input and output of cat: the daemon relays the bytes.
    xt_spawn x "$WORK/socat.log" env "${XTCP_ENV[@]}" socat TCP-LISTEN:7007,reuseaddr,fork EXEC:cat,nofork
    xt_wait_for 30 quiet in_k nc -z "$ADDR_X" 7007
}

postgres_up() {
    local bin=/usr/lib/postgresql/15/bin as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
    [ -x $bin/postgres ] || return 77
    chmod 711 "$WORK"
    install -d -o postgres -m 700 "$WORK/pg"
    "${as[@]}" $bin/initdb -D "$WORK/pg" -A trust --no-sync >"$WORK/initdb.log"
    echo "host all all 0.0.0.0/0 trust" >>"$WORK/pg/pg_hba.conf"
    xt_spawn x "$WORK/postgres.log" env "${XTCP_ENV[@]}" "${as[@]}" $bin/postgres -D "$WORK/pg" -k "$WORK/pg" \
        -c listen_addresses=0.0.0.0 -c fsync=off
    xt_wait_for 20 quiet sql -c "select 1" && in_k pgbench -h "$ADDR_X" -U postgres -i -q postgres >"$WORK/pgbench.log" 2>&1
}

churn_servers_start() {
    xt_spawn k "$WORK/churn-k.log" /usr/bin/python3 "$CHURN" serve "$ADDR_K" 7000
    xt_spawn x "$WORK/churn-x.log" env "${XTCP_ENV[@]}" /usr/bin/python3 "$CHURN" serve "$ADDR_X" 7000
    xt_wait_for 20 quiet in_k bash -c ": </dev/tcp/$ADDR_K/7000 && : </dev/tcp/$ADDR_X/7000"
}

# again NAME: until told to stop; a line for each time.
again() {
    local rc stack ERR=$WORK/$1.err
    while kill -0 $$ 2>/dev/null && [ -d "$WORK" ] && [ ! -e "$WORK/stop" ]; do
        stack=$(stack_pid || echo "not there") rc=0
        : >"$ERR"
        "$1" || rc=$?
        case $rc in
        0) echo ok ;;
        "$WRONG") echo "MISMATCHED, began at stack process $stack" ;;
        124 | 137 | 142) echo "HUNG, began at stack process $stack" ;;
        *) echo "FAILED ($rc), began at stack process $stack" ;;
        esac >>"$WORK/$1.load"
        [ $rc -eq 0 ] || tail -n 20 "$ERR" >>"$WORK/$1.failed"
    done
}

loads_start() {
    local l
    for l in "${LOADS[@]}"; do
        touch "$WORK/$l.load"
        again "$l" &
        LOAD_PIDS+=($!) XT_PIDS+=($!) # at once: an interrupt may come
    done
}

segments() { ctl stats 2>/dev/null | awk '$1 == "tcp.segs_in" || $1 == "stack.frames_in" { print $2; exit }'; }
segments_are() { local n; n=$(segments) && [ -n "$n" ] && [ "$n" -ge "$1" ]; }
loads_kill() {
    local kill
    for ((kill = 1; kill <= $1; kill++)); do
        xt_wait_for 60 segments_are $((RANDOM % 8000 + 100)) || { echo "no segments come before kill $kill"; return 1; }
        kill -9 "$(stack_pid)"
        xt_wait_for 60 quiet ctl status || { echo "xtcpd does not answer after kill $kill"; return 1; }
    done
}

loads_moved() { # L=N...: each load L was through more than N times
    local l
    for l in "$@"; do [ "$(wc -l <"$WORK/${l%=*}.load")" -gt "${l#*=}" ] || return 1; done
}

loads_wait() {
    local l at=()
    for l in "${LOADS[@]}"; do at+=("$l=$(wc -l <"$WORK/$l.load")"); done
    xt_wait_for $((LIMIT + 30)) loads_moved "${at[@]}"
}

loads_count() { cat "$WORK"/*.load | grep -c "^$1" || true; }

loads_end() {
    local l
    FAILED=0
    kill -0 "${LOAD_PIDS[@]}" || FAILED=1 # it has to go on until it is told
    touch "$WORK/stop"
    wait "${LOAD_PIDS[@]}"
    for l in "${LOADS[@]}"; do
        echo "$l: $(grep -c '^ok' "$WORK/$l.load") of $(wc -l <"$WORK/$l.load") times well"
        grep -v '^ok' "$WORK/$l.load" | cat - "$WORK/$l.failed" 2>/dev/null | sed 's/^/    /' || true
    done
    # Who was sent away may have come back unnoticed. A program that gets no processor for ten seconds may say nothing for as long.
    if grep ' is disconnected: \|: dropped$' "$WORK/xtcpd.log" | grep -v 'it has said nothing'; then FAILED=$((FAILED + 1)); fi
    MISMATCHED=$(loads_count MISMATCHED) FAILED=$((FAILED + $(loads_count FAILED))) HUNG=$(loads_count HUNG)
    [ $((MISMATCHED + FAILED + HUNG)) -eq 0 ] || { loads_words && return 1; }
}
# What the servers said, and what xtcpd's last stack process counted of resets.
loads_words() {
    tail -v -n 10 "$WORK"/socat.log "$WORK"/nginx-*/error.log "$WORK"/redis-x/log 2>/dev/null || :
    ctl stats | grep 'reset\|records_bad' || :
}
