# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Traffic of all kinds that goes on until it is told to stop, for tests that disturb it. To be sourced after stage.sh.
#   loads_start   after stage_up: starts xtcpd, its servers and all loads
#   loads_wait    until each load was through once more
#   loads_end     stops them, prints how often each was through; fails if one failed

hash_is() { # WANT CMD...: the command succeeds and what it writes has this hash
    local want=$1 got
    shift
    got=$("$@" 2>>"$WORK/load.err" | sha256sum && exit "${PIPESTATUS[0]}") && [ "$got" = "$want" ]
}

# load NAME CMD...: again and again until told to stop; a line for each time.
load() {
    local name=$1
    shift
    while kill -0 $$ 2>/dev/null && [ ! -e "$WORK/stop" ]; do
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
relay() { hash_is "$WANT" in_k timeout 60 nc -N "$ADDR_X" 7007 <"$WORK/www/file"; }
LOADS=(download serve short_in short_out redis relay)
LOAD_PIDS=()

loads_start() {
    local l
    make_file 32
    xtcpd_start
    nginx_kernel_start
    nginx_xtcp_start 2
    redis_xtcp_start
    # The connection becomes the standard input and output of cat: the daemon relays the bytes.
    xt_spawn x "$WORK/socat.log" env "${XTCP_ENV[@]}" socat TCP-LISTEN:7007,reuseaddr,fork EXEC:cat,nofork
    xt_wait_for 10 quiet in_k nc -z "$ADDR_X" 7007
    SMALL=$(head -c 1024 "$WORK/www/file" | sha256sum)
    for l in "${LOADS[@]}"; do
        touch "$WORK/$l.load"
        load "$l" "$l" &
        LOAD_PIDS+=($!)
    done
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

loads_end() {
    local l bad rc=0
    touch "$WORK/stop"
    wait "${LOAD_PIDS[@]}"
    for l in "${LOADS[@]}"; do
        bad=$(grep -vc '^ok$' "$WORK/$l.load" || true)
        echo "$l: $(wc -l <"$WORK/$l.load") times, $bad failed"
        [ "$bad" -eq 0 ] || rc=1
    done
    [ $rc -eq 0 ] || tail -n 20 "$WORK/load.err"
    return $rc
}
