# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What servers are watched by: zabbix_agentd, munin-node, nrpe.
commands="zabbix_agentd munin-node nrpe /usr/lib/nagios/plugins/check_nrpe nc python3"
job() {
    printf '%s\n' "ListenPort=$PORT" "ListenIP=0.0.0.0" "Server=0.0.0.0/0" "LogType=console" "PidFile=$DIR/pid" "AllowRoot=1" \
        "UserParameter=hash,sha256sum $FILE" >"$DIR/zabbix.conf"
    serve zabbix zabbix_agentd -f -c "$DIR/zabbix.conf"
    wait_port
    cat >"$DIR/get.py" <<'PY'
import socket, struct, sys
for key in ("agent.ping", "hash", "hash"):
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    s.sendall(b"ZBXD\1" + struct.pack("<Q", len(key)) + key.encode())
    got = b"".join(iter(lambda: s.recv(4096), b""))
    print(got[13:].decode().split()[0])
PY
    same zabbix "$(client /usr/bin/python3 "$DIR/get.py" "$HOST" "$PORT" | xargs)" "1 $WANT $WANT"
    printf '%s\n' "log_file $DIR/munin" "pid_file $DIR/munin.pid" "background 0" "setsid 0" "user root" "group root" "host 0.0.0.0" \
        "port $((PORT + 1))" "cidr_allow 0.0.0.0/0" "host_name m" >"$DIR/munin.conf"
    serve munin munin-node --config "$DIR/munin.conf"
    wait_port $((PORT + 1))
    same munin "$(printf '%s\n' nodes 'fetch nothing' quit | client nc -w 20 "$HOST" $((PORT + 1)) | xargs -d '\n')" \
        "# munin node at m m . # Unknown service ."
    printf '%s\n' "server_port=$((PORT + 2))" "nrpe_user=nobody" "nrpe_group=nogroup" "pid_file=$DIR/nrpe.pid" \
        "command[say]=/bin/echo all is well" >"$DIR/nrpe.conf"
    serve nrpe nrpe -c "$DIR/nrpe.conf" -f -n
    wait_port $((PORT + 2))
    same nrpe "$(client /usr/lib/nagios/plugins/check_nrpe -n -H "$HOST" -p $((PORT + 2)) -c say)" "all is well"
}
