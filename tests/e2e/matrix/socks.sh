# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# danted, whose processes hand each other their connections, in front of nginx; rinetd, redir.
commands="danted rinetd redir curl nginx"
job() {
    local i pids=() behind
    web_behind
    behind=$BEHIND:$((PORT + 1))
    cat >"$DIR/danted.conf" <<CONF
logoutput: stderr
internal: 0.0.0.0 port = $((PORT + 2))
external: $HOST
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: nobody
client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
CONF
    serve danted danted -f "$DIR/danted.conf" -p "$DIR/danted.pid"
    wait_port $((PORT + 2))
    same danted "$(client curl -sS --fail --socks5 "$HOST:$((PORT + 2))" "http://$behind/file" | hash_of)" "$WANT"
    for i in 1 2 3 4 5 6 7 8; do
        client curl -sS --fail --socks4 "$HOST:$((PORT + 2))" "http://$behind/file" >"$DIR/got.$i" &
        pids+=($!)
    done
    for i in 1 2 3 4 5 6 7 8; do
        wait "${pids[i - 1]}"
        same "danted, eight at once" "$(hash_of <"$DIR/got.$i")" "$WANT"
    done
    echo "0.0.0.0 $((PORT + 3)) $BEHIND $((PORT + 1))" >"$DIR/rinetd.conf"
    serve rinetd rinetd -f -c "$DIR/rinetd.conf"
    wait_port $((PORT + 3))
    same rinetd "$(client curl -sS --fail "http://$HOST:$((PORT + 3))/file" | hash_of)" "$WANT"
    serve redir redir -n ":$((PORT + 4))" "$behind"
    wait_port $((PORT + 4))
    same redir "$(client curl -sS --fail "http://$HOST:$((PORT + 4))/file" | hash_of)" "$WANT"
}
