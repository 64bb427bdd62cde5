# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# nfs-ganesha, a file read and a folder listed by libnfs.
commands="ganesha.nfsd nfs-cat nfs-ls"
job() {
    local files="nfs://$HOST/m" how="version=4&nfsport=$PORT"
    mkdir "$DIR/export"
    cp "$FILE" "$DIR/export"
    cat >"$DIR/ganesha.conf" <<CONF
NFS_CORE_PARAM { Protocols = 4; NFS_Port = $PORT; Bind_addr = 0.0.0.0; Enable_NLM = false; Enable_RQUOTA = false; }
NFSv4 { Graceless = true; RecoveryBackend = fs; RecoveryRoot = $DIR; Minor_Versions = 0; }
EXPORT {
    Export_Id = 1; Path = $DIR/export; Pseudo = /m; Protocols = 4; Access_Type = RO; Squash = No_root_squash; SecType = sys;
    FSAL { Name = VFS; }
}
CONF
    serve ganesha ganesha.nfsd -F -f "$DIR/ganesha.conf" -L "$DIR/ganesha.messages" -p "$DIR/ganesha.pid"
    wait_port
    same "a file" "$(client nfs-cat "$files/file?$how" | hash_of)" "$WANT" || { tail -n 20 "$DIR/ganesha.messages"; return 1; }
    client nfs-ls "$files/?$how" >"$DIR/ls"
    same "its size" "$(awk '$NF == "file" { print $5 }' "$DIR/ls")" "$SIZE" || { cat "$DIR/ls"; return 1; }
}
