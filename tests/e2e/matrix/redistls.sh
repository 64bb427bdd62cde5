# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# redis with TLS and four threads that read and write: a benchmark with pipelines, redis-cli --pipe, messages to subscribers.
commands="redis-server redis-cli redis-benchmark openssl"
limit=240
cli() { client redis-cli -h "$HOST" -p "$1" "${@:2}"; }
subscribers() { [ "$(cli $((PORT + 1)) pubsub numsub news | tail -n 1)" = "$1" ]; }
job() {
    local n tls=(--tls --insecure) pids=() i
    n=$(amount 50000)
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=m -keyout "$DIR/key" -out "$DIR/cert" 2>/dev/null
    serve redis redis-server --port $((PORT + 1)) --tls-port "$PORT" --tls-cert-file "$DIR/cert" --tls-key-file "$DIR/key" --tls-auth-clients no \
        --bind 0.0.0.0 --protected-mode no --save '' --io-threads 4 --io-threads-do-reads yes
    wait_port
    wait_port $((PORT + 1))
    client redis-benchmark -h "$HOST" -p "$PORT" "${tls[@]}" -q -c 20 -P 16 -n "$n" -t set,get,lpush >/dev/null
    client redis-benchmark -h "$HOST" -p $((PORT + 1)) -q -c 50 -P 64 --threads 2 -n "$n" -r 1000 -t set,incr,lrange_100 >/dev/null
    seq "$n" | awk '{ printf "*3\r\n$3\r\nSET\r\n$%d\r\nk%s\r\n$%d\r\n%s\r\n", length($1) + 1, $1, length($1), $1 }' |
        cli "$PORT" "${tls[@]}" --pipe >"$DIR/pipe"
    same "keys by --pipe" "$(tail -n 1 "$DIR/pipe")" "errors: 0, replies: $n"
    same "one of them" "$(cli "$PORT" "${tls[@]}" get "k$n")" "$n"
    for i in 1 2 3 4; do
        client_bg "sub$i" redis-cli -h "$HOST" -p "$PORT" "${tls[@]}" subscribe news
        pids+=("$CLIENT_PID")
    done
    xt_wait_for 20 subscribers 4
    same "who heard" "$(seq 200 | sed 's/^/publish news /' | cli $((PORT + 1)) | uniq -c | tr -s ' ')" " 200 4"
    client redis-cli -h "$HOST" -p "$PORT" "${tls[@]}" client kill type pubsub >/dev/null
    for i in 1 2 3 4; do
        wait "${pids[i - 1]}" || :
        same "messages" "$(grep -c '^news$' "$DIR/sub$i.log")" 201
    done
}
