# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# mariadb: rows loaded and counted, a value of 8 MiB, mariadb-slap with eight clients, a statement that is killed.
commands="mariadbd mariadb mariadb-slap mariadb-install-db"
sql() { client mariadb --no-defaults -h "$HOST" -P "$PORT" -u matrix --skip-ssl --local-infile --max-allowed-packet=64M -N -B "$@"; }
sleeper() { sql -e "select id from information_schema.processlist where info like 'select sleep%'"; }
sleeps() { [ -n "$(sleeper)" ]; }
job() {
    local rc=0
    [ -d "$WORK/mariadb" ] || {
        install -d -o mysql -m 700 "$WORK/mariadb"
        mariadb-install-db --no-defaults --user=mysql --datadir="$WORK/mariadb" --auth-root-authentication-method=normal \
            --skip-test-db >/dev/null
        printf '%s;\n' "create user if not exists matrix@'%'" "grant all on *.* to matrix@'%'" 'create database if not exists m' >"$WORK/mariadb/init"
        chmod a+r "$WORK/mariadb/init"
    }
    chmod 777 "$DIR"
    serve mariadb mariadbd --no-defaults --user=mysql --datadir="$WORK/mariadb" --port="$PORT" --socket="$DIR/sock" \
        --pid-file="$DIR/pid" --bind-address=0.0.0.0 --skip-name-resolve --max-allowed-packet=64M --init-file="$WORK/mariadb/init"
    wait_port
    xt_wait_for 30 quiet sql -e 'select 1'
    seq 50000 | sed 's/.*/&\tvalue &/' >"$DIR/rows"
    sql m -e "create or replace table t (id int primary key, v text); load data local infile '$DIR/rows' into table t"
    same "rows" "$(sql m -e 'select count(*), sum(id) from t')" $'50000\t1250025000'
    same "rows that came back" "$(sql m -e 'select id, v from t order by id' | hash_of)" "$(hash_of <"$DIR/rows")"
    { printf "create or replace table b (v longblob); insert into b values (x'"; od -An -v -tx1 "$FILE" | tr -d ' \n'; echo "')"; } >"$DIR/big"
    sql m <"$DIR/big"
    same "a value of 8 MiB" "$(sql m -e 'select sha2(v, 256) from b')" "$WANT"
    same "the same back" "$(sql m -e 'select hex(v) from b' | tr -d '\n' | hash_of)" "$(od -An -v -tx1 "$FILE" | tr -d ' \n' | tr a-f A-F | hash_of)"
    client mariadb-slap --no-defaults -h "$HOST" -P "$PORT" -u matrix --skip-ssl -a --auto-generate-sql-load-type=mixed \
        -c 8 --number-of-queries=800 >"$DIR/slap"
    client_bg killed mariadb --no-defaults -h "$HOST" -P "$PORT" -u matrix --skip-ssl -e 'select sleep(60) from m.t'
    xt_wait_for 30 sleeps
    sql -e "kill query $(sleeper)"
    wait "$CLIENT_PID" || rc=$?
    same "a killed statement" $rc 1
    kill -TERM "$SERVE_PID"
    xt_wait_for 30 xt_gone "$SERVE_PID"
}
