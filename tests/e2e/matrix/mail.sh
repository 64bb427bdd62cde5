# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# exim takes a letter by SMTP from swaks.
commands="exim4 swaks"
job() {
    install -d -m 777 "$DIR/spool" "$DIR/log"
    cat >"$DIR/exim.conf" <<CONF
primary_hostname = mail.test
daemon_smtp_ports = $PORT
spool_directory = $DIR/spool
log_file_path = $DIR/log/%slog
pid_file_path = $DIR/exim.pid
acl_smtp_rcpt = accept
acl_smtp_data = accept
queue_only
message_size_limit = 100M
CONF
    chown -R Debian-exim "$DIR/spool" "$DIR/log"
    chmod 644 "$DIR/exim.conf"
    serve exim exim4 -C "$DIR/exim.conf" -bdf
    wait_port
    head -c 1000000 "$FILE" | base64 >"$DIR/body"
    client swaks --server "$HOST" --port "$PORT" --from a@mail.test --to b@mail.test --body "@$DIR/body" --silent 2
    same letters "$(ls "$DIR"/spool/input/*-D | wc -l)" 1
    same body "$(sed 1d "$DIR"/spool/input/*-D | tr -d '\r' | grep . | hash_of)" "$(hash_of <"$DIR/body")"
}
