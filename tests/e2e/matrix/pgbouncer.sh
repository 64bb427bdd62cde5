# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# pgbouncer in front of postgres: pgbench with more clients than server connections, a big COPY.
commands="pgbouncer psql pgbench setpriv /usr/lib/postgresql/15/bin/postgres"
bin=/usr/lib/postgresql/15/bin
as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)
sql() { client psql -X -h "$HOST" -p "$PORT" -U postgres -At "$@"; }
job() {
    [ -d "$WORK/pg" ] || {
        install -d -o postgres -m 700 "$WORK/pg"
        "${as_postgres[@]}" "$bin/initdb" -D "$WORK/pg" -A trust --no-sync >/dev/null
        echo "host all all 0.0.0.0/0 trust" >>"$WORK/pg/pg_hba.conf"
    }
    chmod 777 "$DIR"
    behind postgres "${as_postgres[@]}" "$bin/postgres" -D "$WORK/pg" -p $((PORT + 1)) -k "$DIR" -c listen_addresses=0.0.0.0 -c fsync=off
    printf '[databases]\n* = host=%s port=%s\n[pgbouncer]\nlisten_addr = 0.0.0.0\nlisten_port = %s\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 4\n' \
        "$BEHIND" $((PORT + 1)) "$PORT" | sed 's/^\* = /&user=postgres /' >"$DIR/conf"
    serve pgbouncer "${as_postgres[@]}" pgbouncer "$DIR/conf"
    wait_port
    xt_wait_for 20 quiet sql postgres -c 'select 1'
    sql postgres -c 'drop database if exists m' -c 'create database m'
    client pgbench -h "$HOST" -p "$PORT" -U postgres -i -q -s 1 m
    client pgbench -h "$HOST" -p "$PORT" -U postgres -n -c 16 -j 2 -t 50 m
    same "rows of the benchmark" "$(sql m -c 'select count(*) from pgbench_history')" 800
    same "rows by COPY" "$(sql m -c 'copy pgbench_accounts to stdout' | wc -l)" 100000
}
