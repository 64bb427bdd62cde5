# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# socat as server (fork, exec, a file) and as client, half-closing.
commands="socat"
job() {
    serve echo socat "TCP-LISTEN:$PORT,fork,reuseaddr,backlog=64" EXEC:cat
    serve hash socat "TCP-LISTEN:$((PORT + 1)),fork,reuseaddr" SYSTEM:sha256sum,nofork
    serve file socat -u "FILE:$FILE" "TCP-LISTEN:$((PORT + 2)),reuseaddr"
    wait_port && wait_port $((PORT + 1)) && wait_port $((PORT + 2))
    same "echo" "$(client socat -t 20 - "TCP:$HOST:$PORT" <"$FILE" | hash_of)" "$WANT"
    same "an answer after the end" "$(client socat -t 20 - "TCP:$HOST:$((PORT + 1))" <"$FILE")" "$WANT  -"
    client socat -u "TCP:$HOST:$((PORT + 2))" "CREATE:$DIR/got"
    same "a file" "$(hash_of <"$DIR/got")" "$WANT"
    # A relay in between: the client's side forwards to the server.
    client_bg relay socat "TCP-LISTEN:$((PORT + 3)),bind=127.0.0.1,fork,reuseaddr" "TCP:$HOST:$PORT"
    xt_wait_for 30 client_listens $((PORT + 3))
    same "through a relay" "$(client socat -t 20 - "TCP:127.0.0.1:$((PORT + 3))" <"$FILE" | hash_of)" "$WANT"
}
