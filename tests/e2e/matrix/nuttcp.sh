# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# nuttcp: to, from, three streams; the server as well counts every byte.
commands="nuttcp"
# The client connects 30 ms after the server has agreed, whether it listens for data by then or not; a busy machine takes longer, and the
# server then waits for ever. That is no failure of the TCP below: such a transfer is begun again, with a new server.
transfer() { # WAY
    local try
    for try in {1..10}; do
        serve nuttcp nuttcp -S --nofork -P "$PORT" -p $((PORT + 1))
        wait_port
        client nuttcp -fparse $1 -P "$PORT" -p $((PORT + 1)) -n 32m "$HOST" >"$DIR/out" 2>&1 && break
        grep -q "connect: Connection refused" "$DIR/out" || break
        kill "$SERVE_PID"
        xt_wait_for 30 xt_gone "$SERVE_PID"
        note "begun $((try + 1)) times"
    done
    same "megabytes $1" "$(grep -o '^megabytes=[0-9]*' "$DIR/out" || cat "$DIR/out")" megabytes=32
    kill "$SERVE_PID"
    xt_wait_for 30 xt_gone "$SERVE_PID"
}
job() {
    local way
    for way in -t -r "-t -N3"; do transfer "$way"; done
}
