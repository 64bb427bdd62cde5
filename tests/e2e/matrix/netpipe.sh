# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# NPtcp: messages of one byte to a MiB and each a little more or less, checked byte by byte.
commands="NPtcp"
job() {
    serve server NPtcp -i -P "$PORT"
    wait_port
    client NPtcp -i -h "$HOST" -P "$PORT" -u 1048576 -n 3 -o "$DIR/np" >"$DIR/out" 2>&1 || :
    same "sizes that passed" "$(grep -c 'Integrity check passed' "$DIR/out")" 36
}
