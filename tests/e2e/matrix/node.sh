# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# node: http with keep-alive, net, a cluster of three workers, one of which dies.
commands="node"
job() {
    serve http node "$MATRIX/node.js" http "$PORT" "$FILE"
    serve cluster node "$MATRIX/node.js" cluster $((PORT + 1)) "$FILE"
    serve shared env NODE_CLUSTER_SCHED_POLICY=none node "$MATRIX/node.js" cluster $((PORT + 2)) "$FILE"
    serve net node "$MATRIX/node.js" net $((PORT + 3)) "$FILE"
    local i
    for i in 0 1 2 3; do wait_port $((PORT + i)); done
    for i in 0 1 2; do
        client node "$MATRIX/node.js" get "$HOST" $((PORT + i)) 30 "$WANT" keep
        client node "$MATRIX/node.js" get "$HOST" $((PORT + i)) 30 "$WANT" each
    done
    client node "$MATRIX/node.js" echo "$HOST" $((PORT + 3)) "$FILE" "$WANT"
}
