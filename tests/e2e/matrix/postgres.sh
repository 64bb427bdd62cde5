# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# postgres: psql, COPY both ways, pgbench, a session that is killed, a statement that is cancelled.
commands="psql pgbench setpriv /usr/lib/postgresql/15/bin/postgres"
bin=/usr/lib/postgresql/15/bin
as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)
sql() { client psql -X -h "$HOST" -p "$PORT" -U postgres -At "$@"; }
job() {
    local p rows
    rows=$(amount 50000)
    [ -d "$WORK/pg" ] || {
        install -d -o postgres -m 700 "$WORK/pg"
        "${as_postgres[@]}" "$bin/initdb" -D "$WORK/pg" -A trust --no-sync >/dev/null
        echo "host all all 0.0.0.0/0 trust" >>"$WORK/pg/pg_hba.conf"
    }
    chmod 777 "$DIR"
    serve postgres "${as_postgres[@]}" "$bin/postgres" -D "$WORK/pg" -p "$PORT" -k "$DIR" -c "listen_addresses=0.0.0.0" -c fsync=off
    wait_port
    xt_wait_for 20 quiet sql postgres -c 'select 1'
    sql postgres -c 'drop database if exists m' -c 'create database m'
    sql m -c 'create table t (id int primary key, v text)' -c "insert into t select i, md5(i::text) from generate_series(1, $rows) i"
    sql m -c '\copy t to '"'$DIR/rows'"
    same "rows by COPY" "$(wc -l <"$DIR/rows")" "$rows"
    sql m -c 'create table u (id int, v text)' -c '\copy u from '"'$DIR/rows'"
    same "rows that came back" "$(sql m -c 'select count(*), count(distinct u.v) from t join u using (id, v)')" "$rows|$rows"
    client pgbench -h "$HOST" -p "$PORT" -U postgres -i -q -s 1 m
    client pgbench -h "$HOST" -p "$PORT" -U postgres -n -c 8 -j 2 -t "$(amount 100)" m
    same "rows of the benchmark" "$(sql m -c 'select count(*) from pgbench_history')" $((8 * $(amount 100)))
    client pgbench -h "$HOST" -p "$PORT" -U postgres -n -C -S -c 4 -t "$(amount 25)" m # a connection for each transaction
    # A client that dies: its backend ends.
    client_bg victim psql -X -h "$HOST" -p "$PORT" -U postgres m -c "select pg_sleep(60) /* victim */"
    xt_wait_for 20 victim_runs 1
    p=$CLIENT_PID
    same "a cancelled statement" "$(sql m -c "select bool_and(pg_cancel_backend(pid)) from pg_stat_activity where query like '%victim */%' and state='active' and pid <> pg_backend_pid()")" t
    wait "$p" && return 1
    same "what it says" "$(grep -c 'canceling statement due to user request' "$DIR/victim.log")" 1
    kill -INT "$SERVE_PID"
    xt_wait_for 20 xt_gone "$SERVE_PID"
}
victim_runs() { [ "$(sql m -c "select count(*) from pg_stat_activity where query like '%victim */%' and state='active' and pid <> pg_backend_pid()")" = "$1" ]; }
