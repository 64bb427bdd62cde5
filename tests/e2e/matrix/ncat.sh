# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# ncat: a file each way, and one through TLS.
commands="ncat"
job() {
    serve out ncat -l --send-only -k -c "cat '$FILE'" "$PORT"
    serve tls ncat -l --ssl --send-only -k -c "cat '$FILE'" $((PORT + 1))
    serve in ncat -l --recv-only $((PORT + 2))
    local i
    for i in 0 1 2; do wait_port $((PORT + i)); done
    for i in 1 2 3; do same "from" "$(client ncat --recv-only "$HOST" "$PORT" | hash_of)" "$WANT"; done
    same "TLS" "$(client ncat --ssl --recv-only "$HOST" $((PORT + 1)) | hash_of)" "$WANT"
    client ncat --send-only "$HOST" $((PORT + 2)) <"$FILE"
    xt_wait_for 20 xt_gone "$SERVE_PID"
    same "to" "$(hash_of <"$DIR/in.log")" "$WANT"
}
