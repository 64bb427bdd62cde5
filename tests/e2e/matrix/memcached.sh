# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# memcached with four threads: its own clients, then many values from many connections.
commands="memcached memccp memccat memccapable"
job() {
    serve memcached memcached -u nobody -p "$PORT" -U 0 -l 0.0.0.0 -t 4 -m 64 -I 10m
    wait_port
    cp "$FILE" "$DIR/blob"
    client memccp --servers="$HOST:$PORT" "$DIR/blob"
    same "a large value" "$(client memccat --servers="$HOST:$PORT" blob | head -c "$SIZE" | hash_of)" "$WANT"
    client memccapable -h "$HOST" -p "$PORT" -a >"$DIR/capable"
    client /usr/bin/python3 "$MATRIX/memcached.py" "$HOST" "$PORT" 40 "$(amount 250)"
}
