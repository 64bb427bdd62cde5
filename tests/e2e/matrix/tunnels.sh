# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shadowsocks before nginx, twemproxy before redis.
commands="ss-server ss-local nutcracker redis-server redis-cli curl nginx"
job() {
    web_behind
    serve ss ss-server -s 0.0.0.0 -p $((PORT + 2)) -k secret -m aes-256-gcm -t 60
    wait_port $((PORT + 2))
    client_bg local ss-local -s "$HOST" -p $((PORT + 2)) -b 127.0.0.1 -l $((PORT + 3)) -k secret -m aes-256-gcm -t 60
    xt_wait_for 20 client_listens $((PORT + 3))
    same shadowsocks "$(client curl -sS --fail --socks5 "127.0.0.1:$((PORT + 3))" "http://$BEHIND:$((PORT + 1))/file" | hash_of)" "$WANT"
    serve redis redis-server --port $((PORT + 4)) --bind 0.0.0.0 --protected-mode no --save ''
    wait_port $((PORT + 4))
    printf '%s\n' "pool:" "  listen: 0.0.0.0:$((PORT + 5))" "  redis: true" "  distribution: ketama" "  auto_eject_hosts: false" "  servers:" \
        "   - $HOST:$((PORT + 4)):1" >"$DIR/nutcracker.yml"
    serve nutcracker nutcracker -c "$DIR/nutcracker.yml" -s $((PORT + 6)) -p "$DIR/nutcracker.pid"
    wait_port $((PORT + 5))
    same "keys by twemproxy" "$(seq 500 | sed 's/.*/set key:& value-&/' | client redis-cli -h "$HOST" -p $((PORT + 5)) | uniq -c | tr -s ' ')" " 500 OK"
    same "keys read" "$(seq 500 | sed 's/.*/get key:&/' | client redis-cli -h "$HOST" -p $((PORT + 5)) | hash_of)" \
        "$(seq 500 | sed 's/.*/value-&/' | hash_of)"
}
