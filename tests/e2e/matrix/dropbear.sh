# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# dropbear: a status, a file through a pipe, one back.
commands="dropbear dbclient dropbearkey"
job() {
    local opts rc=0 home=$DIR/home
    mkdir -p -m 700 "$home/.ssh"
    dropbearkey -t ed25519 -f "$DIR/hostkey" >/dev/null
    dropbearkey -t ed25519 -f "$DIR/key" | grep '^ssh' >"$home/.ssh/authorized_keys"
    # The folder with its key is root's home in a name space of mounts that ends with it.
    serve dropbear unshare -m sh -c 'mount --bind "$0" /root && exec dropbear -F -E -s -r "$1" -p "$2"' "$home" "$DIR/hostkey" "$PORT"
    wait_port
    opts=(env HOME="$DIR" dbclient -y -y -i "$DIR/key" -p "$PORT")
    client "${opts[@]}" root@"$HOST" 'exit 42' || rc=$?
    same "its exit status" $rc 42
    same "a file through a pipe" "$(client "${opts[@]}" root@"$HOST" sha256sum <"$FILE")" "$WANT  -"
    same "a file back" "$(client "${opts[@]}" root@"$HOST" cat "$FILE" | hash_of)" "$WANT"
}
