# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Databases that follow another on the other side: postgres by pg_basebackup and streaming, mariadb by its binary log.
commands="psql pg_basebackup setpriv /usr/lib/postgresql/15/bin/postgres mariadbd mariadb mariadb-install-db"
bin=/usr/lib/postgresql/15/bin
as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)
pg() { xt_in "$1" timeout 60 psql -X -h "$2" -p "$PORT" -U postgres -At "${@:3}"; }
rows() { [ "$(pg "$(side_of_client)" "$DIR/s" -c 'select count(*), max(v) from t' 2>/dev/null)" = "$1" ]; }
my() { xt_in "$1" timeout 60 mariadb --no-defaults -S "$2" -u root -N -B "${@:3}"; }
my_ready() { quiet my "$1" "$2" -e 'select 1'; }
my_sum() { [ "$(my "$(side_of_client)" "$DIR/r.sock" -e 'select count(*), sum(id) from m.t' 2>/dev/null)" = $'20000\t200010000' ]; }
my_server() { # NAME ID
    [ -d "$WORK/my" ] || {
        install -d -o mysql -m 700 "$WORK/my"
        mariadb-install-db --no-defaults --user=mysql --datadir="$WORK/my" --auth-root-authentication-method=normal --skip-test-db >/dev/null
    }
    cp -a "$WORK/my" "$DIR/$1"
    MY=(mariadbd --no-defaults --user=mysql --datadir="$DIR/$1" --server-id="$2" --log-bin --skip-name-resolve --socket="$DIR/$1.sock"
        --pid-file="$DIR/$1.pid")
}
limit=300
follow_postgres() {
    local side
    side=$(side_of_server)
    [ -d "$WORK/pg" ] || {
        install -d -o postgres -m 700 "$WORK/pg"
        "${as_postgres[@]}" "$bin/initdb" -D "$WORK/pg" -A trust --no-sync >/dev/null
        echo "host all,replication all 0.0.0.0/0 trust" >>"$WORK/pg/pg_hba.conf"
    }
    cp -a "$WORK/pg" "$DIR/primary"
    install -d -o postgres -m 700 "$DIR/standby" "$DIR/p" "$DIR/s"
    serve primary "${as_postgres[@]}" "$bin/postgres" -D "$DIR/primary" -p "$PORT" -k "$DIR/p" -c "listen_addresses=0.0.0.0" -c fsync=off
    wait_port
    xt_wait_for 20 quiet pg "$side" "$DIR/p" -c 'select 1'
    pg "$side" "$DIR/p" -c 'create table t as select md5(i::text) v from generate_series(1, 50000) i' >/dev/null
    client "${as_postgres[@]}" pg_basebackup -h "$HOST" -p "$PORT" -U postgres -D "$DIR/standby" -R -X stream -c fast
    client_bg standby "${as_postgres[@]}" "$bin/postgres" -D "$DIR/standby" -p "$PORT" -k "$DIR/s" -c "listen_addresses=" -c fsync=off
    pg "$side" "$DIR/p" -c "insert into t select repeat('z', 100) from generate_series(1, 20000)" >/dev/null
    xt_wait_for 30 rows "70000|$(printf 'z%.0s' {1..100})" || { cat "$DIR/standby.log"; return 1; }
    same "who follows" "$(pg "$side" "$DIR/p" -c 'select count(*), max(state) from pg_stat_replication')" "1|streaming"
}
follow_mariadb() {
    local side
    side=$(side_of_server)
    my_server m 1
    serve mariadb "${MY[@]}" --port=$((PORT + 1)) --bind-address=0.0.0.0
    wait_port $((PORT + 1))
    xt_wait_for 30 my_ready "$side" "$DIR/m.sock"
    my "$side" "$DIR/m.sock" -e "create user r@'%'; grant replication slave on *.* to r@'%'; create database m; create table m.t (id int)"
    my_server r 2
    client_bg replica "${MY[@]}" --skip-networking
    xt_wait_for 30 my_ready "$(side_of_client)" "$DIR/r.sock"
    my "$(side_of_client)" "$DIR/r.sock" -e "change master to master_host='$HOST', master_port=$((PORT + 1)), master_user='r',
        master_use_gtid=slave_pos; start slave"
    my "$side" "$DIR/m.sock" m -e "insert into t select seq from seq_1_to_20000"
    xt_wait_for 30 my_sum || { my "$(side_of_client)" "$DIR/r.sock" -e 'show slave status\G'; return 1; }
}
job() {
    chmod 777 "$DIR"
    follow_postgres
    follow_mariadb
}
