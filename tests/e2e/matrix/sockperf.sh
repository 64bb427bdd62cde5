# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# sockperf over TCP: every message of a ping-pong answered, through recv and through epoll; a throughput.
commands="sockperf"
job() {
    local how
    for how in recvfrom epoll; do
        printf 'T:%s:%s\n' 0.0.0.0 "$PORT" >"$DIR/feed"
        if [ $how = recvfrom ]; then
            serve $how sockperf sr --tcp -i 0.0.0.0 -p "$PORT"
        else
            PORT=$((PORT + 1))
            printf 'T:0.0.0.0:%s\nT:0.0.0.0:%s\n' "$PORT" $((PORT + 1)) >"$DIR/feed"
            serve $how sockperf sr -f "$DIR/feed" -F epoll
        fi
        wait_port
        client sockperf pp --tcp -i "$HOST" -p "$PORT" -t 1 -m 1000 >"$DIR/pp"
        same "$how: dropped, twice, out of order" "$(sed 's/\x1b\[[0-9;]*m//g' "$DIR/pp" |
            grep -o '# dropped messages = 0; # duplicated messages = 0; # out-of-order messages = 0')" \
            "# dropped messages = 0; # duplicated messages = 0; # out-of-order messages = 0"
    done
    client sockperf tp --tcp -i "$HOST" -p "$PORT" -t 1 -m 1400 >"$DIR/tp"
}
