# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# smbd and smbclient: a file there and back.
commands="smbd smbclient"
job() {
    mkdir -p "$DIR"/{lock,state,cache,private,share,pid,ncalrpc}
    chmod 777 "$DIR/share"
    cat >"$DIR/conf" <<CONF
[global]
lock directory = $DIR/lock
state directory = $DIR/state
cache directory = $DIR/cache
private dir = $DIR/private
pid directory = $DIR/pid
ncalrpc dir = $DIR/ncalrpc
log file = $DIR/log
map to guest = Bad User
disable netbios = yes
smb ports = $PORT
load printers = no
[m]
path = $DIR/share
read only = no
guest ok = yes
force user = root
CONF
    serve smbd smbd -F --no-process-group -s "$DIR/conf"
    wait_port
    client smbclient -s "$DIR/conf" -N -p "$PORT" "//$HOST/m" -c "put $FILE up" >"$DIR/client" 2>&1
    same "up" "$(hash_of <"$DIR/share/up")" "$WANT"
    client smbclient -s "$DIR/conf" -N -p "$PORT" "//$HOST/m" -c "get up $DIR/got" >>"$DIR/client" 2>&1
    same "down" "$(hash_of <"$DIR/got")" "$WANT"
}
