# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Traffic of all kinds that goes on until it is told to stop, for tests that disturb it. To be sourced after stage.sh.
#   loads_up [MIB [WORKERS]]   after stage_up: a file of that size (32), xtcpd and the servers, nginx with so many workers (2)
#   loads_start      starts the loads named in LOADS
#   loads_wait       until each load was through once more
#   loads_end        stops them, prints how often each was through; fails if one was not well. How often they came to the wrong bytes,
#                    failed or hung is in $MISMATCHED, $FAILED and $HUNG
# A load is a function that succeeds, returns $WRONG (what came is not what was sent), or fails; `timeout` tells of one that hangs.

WRONG=90
LIMIT=60 REQUESTS=20000 # seconds that a load may take; of a redis-benchmark
CHURN=$(cd "$(dirname "${BASH_SOURCE[0]}")/../e2e" && pwd)/churn.py

hash_is() { # WANT CMD...: what the command writes has this hash
    local want=$1 got
    shift
    got=$("$@" 2>>"$ERR" | sha256sum && exit "${PIPESTATUS[0]}") || return
    [ "$got" = "$want" ] || return $WRONG
}
stored() { # NAME CMD...: the command has nginx store the file under that name
    rm -f "$WORK/www/up/$1"
    "${@:2}" -T "$WORK/www/file" >>"$ERR" 2>&1 || return
    hash_is "$WANT" cat "$WORK/www/up/$1"
}
x_curl() { on_xtcp timeout -k 5 "$LIMIT" curl -sS --fail "$@"; }
k_curl() { in_k timeout -k 5 "$LIMIT" curl -sS --fail "$@"; }

download() { hash_is "$WANT" x_curl "http://$ADDR_K/file"; }
upload() { stored to_kernel x_curl "http://$ADDR_K/up/to_kernel"; }
serve() { hash_is "$WANT" k_curl "http://$ADDR_X/file"; }
take() { stored to_xtcp k_curl "http://$ADDR_X/up/to_xtcp"; }
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
# The server serves one at a time, and turns another away as long as it has not seen the end of the last one.
iperf_idle() { [ -z "$(in_k ss -Htn state established state close-wait 'sport = :5201')" ]; }
iperf_way() {
    xt_wait_for "$LIMIT" iperf_idle || return
    on_xtcp timeout -k 5 "$LIMIT" iperf3 -c "$ADDR_K" -t 1 "$@" >>"$ERR" 2>&1
}
iperf() { iperf_way && iperf_way -R; }

# A reset that is lost is not repeated.
CHURN_NOT="server_aborts"
# shellcheck disable=SC2086 # several words
churn_in() { in_k timeout -k 5 "$LIMIT" /usr/bin/python3 "$CHURN" use "$ADDR_X" 7000 1 $CHURN_NOT 2>>"$ERR"; }
# shellcheck disable=SC2086
churn_out() { on_xtcp timeout -k 5 "$LIMIT" /usr/bin/python3 "$CHURN" use "$ADDR_K" 7000 1 $CHURN_NOT 2>>"$ERR"; }

LOADS=(download serve short_in short_out redis relay)
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
    xt_wait_for 10 quiet in_k nc -z "$ADDR_X" 7007
}

churn_servers_start() {
    xt_spawn k "$WORK/churn-k.log" /usr/bin/python3 "$CHURN" serve "$ADDR_K" 7000
    xt_spawn x "$WORK/churn-x.log" env "${XTCP_ENV[@]}" /usr/bin/python3 "$CHURN" serve "$ADDR_X" 7000
    xt_wait_for 20 quiet in_k bash -c ": </dev/tcp/$ADDR_K/7000 && : </dev/tcp/$ADDR_X/7000"
}

# again NAME: until told to stop; a line for each time.
again() {
    local rc stack ERR=$WORK/$1.err
    while kill -0 $$ 2>/dev/null && [ ! -e "$WORK/stop" ]; do
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
        LOAD_PIDS+=($!)
    done
    XT_PIDS+=("${LOAD_PIDS[@]}")
}

loads_moved() { # L=N...: each load L was through more than N times
    local l
    for l in "$@"; do [ "$(wc -l <"$WORK/${l%=*}.load")" -gt "${l#*=}" ] || return 1; done
}

loads_wait() {
    local l at=()
    for l in "${LOADS[@]}"; do at+=("$l=$(wc -l <"$WORK/$l.load")"); done
    xt_wait_for 90 loads_moved "${at[@]}"
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
    MISMATCHED=$(loads_count MISMATCHED) FAILED=$((FAILED + $(loads_count FAILED))) HUNG=$(loads_count HUNG)
    [ $((MISMATCHED + FAILED + HUNG)) -eq 0 ]
}
