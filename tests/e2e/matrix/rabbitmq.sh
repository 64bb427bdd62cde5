# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# rabbitmq: a large message and many small ones, by pika.
commands="/usr/lib/rabbitmq/bin/rabbitmq-server epmd /usr/lib/python3/dist-packages/pika"
limit=300 # it takes its time to start
job() {
    install -d -m 777 "$DIR/h"
    export HOME=$DIR/h
    cat >"$DIR/rabbit.conf" <<CONF
listeners.tcp.1 = 0.0.0.0:$PORT
loopback_users = none
CONF
    printf '[].\n' >"$DIR/enabled"
    serve rabbit env RABBITMQ_NODENAME=m@localhost RABBITMQ_BASE="$DIR/h" RABBITMQ_MNESIA_BASE="$DIR/h" RABBITMQ_LOG_BASE="$DIR/h" \
        RABBITMQ_LOGS=- RABBITMQ_CONFIG_FILE="$DIR/rabbit.conf" RABBITMQ_ENABLED_PLUGINS_FILE="$DIR/enabled" \
        ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$((PORT + 1)) RABBITMQ_DIST_PORT=$((PORT + 2)) /usr/lib/rabbitmq/bin/rabbitmq-server
    xt_wait_for 200 listens "$PORT" || { tail -n 40 "$DIR/rabbit.log"; return 1; }
    LIMIT=200 client /usr/bin/python3 "$MATRIX/rabbitmq.py" "$HOST" "$PORT" "$FILE" "$(amount 1000)"
}
