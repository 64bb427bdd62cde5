# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# dropbear: a status, a file through a pipe, one back.
commands="dropbear dbclient dropbearkey"
job() {
    local opts rc=0 home=$DIR/home
    mkdir -p -m 700 "$home/.ssh"
    dropbearkey -t ed25519 -f "$DIR/hostkey" >/dev/null
    dropbearkey -t ed25519 -f "$DIR/key" | grep '^ssh' >"$home/.ssh/authorized_keys"
    serve_root dropbear dropbear -F -E -s -r "$DIR/hostkey" -p "$PORT"
    wait_port
    opts=(env HOME="$DIR" dbclient -y -y -i "$DIR/key" -p "$PORT")
    client "${opts[@]}" root@"$HOST" 'exit 42' || rc=$?
    same "its exit status" $rc 42
    same "a file through a pipe" "$(client "${opts[@]}" root@"$HOST" sha256sum <"$FILE")" "$WANT  -"
    same "a file back" "$(client "${opts[@]}" root@"$HOST" cat "$FILE" | hash_of)" "$WANT"
}
