# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# netcat both ways, a scan, a connection that is refused.
commands="nc.openbsd"
job() {
    local rc=0
    serve in nc.openbsd -l "$PORT"
    wait_port
    client nc.openbsd -N "$HOST" "$PORT" <"$FILE"
    xt_wait_for 30 xt_gone "$SERVE_PID"
    same "to" "$(hash_of <"$DIR/in.log")" "$WANT"
    serve out sh -c "exec nc.openbsd -N -l $((PORT + 1)) <'$FILE'"
    wait_port $((PORT + 1))
    same "from" "$(client nc.openbsd -d "$HOST" $((PORT + 1)) | hash_of)" "$WANT"
    serve keep nc.openbsd -k -l $((PORT + 2))
    wait_port $((PORT + 2))
    client nc.openbsd -z -w 10 "$HOST" $((PORT + 2))
    client nc.openbsd -z -w 10 "$HOST" $((PORT + 3)) || rc=$?
    same "refused" $rc 1
}
