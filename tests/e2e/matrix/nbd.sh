# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# nbdkit and nbdcopy: an image there and back. (nbd-client gives its connection to the kernel, which cannot use ours.)
commands="nbdkit nbdcopy"
job() {
    cp "$FILE" "$DIR/image"
    serve nbdkit nbdkit -f -p "$PORT" -P "$DIR/pid" file "$DIR/image"
    wait_port
    client nbdcopy "nbd://$HOST:$PORT" "$DIR/got"
    same "from" "$(hash_of <"$DIR/got")" "$WANT"
    head -c "$SIZE" /dev/urandom >"$DIR/new"
    client nbdcopy "$DIR/new" "nbd://$HOST:$PORT"
    same "to" "$(hash_of <"$DIR/image")" "$(hash_of <"$DIR/new")"
}
