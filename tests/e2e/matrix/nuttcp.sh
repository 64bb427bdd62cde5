# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# nuttcp: to, from, three streams; the server as well counts every byte.
commands="nuttcp"
job() {
    local way
    serve nuttcp nuttcp -S --nofork -P "$PORT" -p $((PORT + 1))
    for way in -t -r "-t -N3"; do
        wait_port # between two clients it listens anew
        client nuttcp -fparse $way -P "$PORT" -p $((PORT + 1)) -n 32m "$HOST" >"$DIR/out$way"
        same "megabytes $way" "$(grep -o '^megabytes=[0-9]*' "$DIR/out$way")" megabytes=32
    done
}
