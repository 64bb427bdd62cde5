# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# gearmand: a worker that hashes, a large job, twenty of four clients.
commands="gearmand gearman"
job() {
    local i pids=()
    serve gearmand gearmand --port="$PORT" --listen=0.0.0.0 --log-file=stderr --verbose=INFO
    wait_port
    head -c 1000000 "$FILE" >"$DIR/large"
    client_bg worker gearman -w -h "$HOST" -p "$PORT" -f hash sha256sum
    same "a large job" "$(client gearman -h "$HOST" -p "$PORT" -f hash <"$DIR/large")" "$(sha256sum <"$DIR/large")"
    for i in 1 2 3 4; do
        (for _ in {1..5}; do echo "$i" | client gearman -h "$HOST" -p "$PORT" -f hash; done) >"$DIR/job.$i" &
        pids+=($!)
    done
    for i in 1 2 3 4; do
        wait "${pids[i - 1]}"
        same "jobs of $i" "$(sort "$DIR/job.$i" | uniq -c | tr -s ' ')" " 5 $(echo "$i" | sha256sum | tr -s " ")"
    done
}
