# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# busybox: its httpd and its wget, which reads its socket by stdio.
commands="busybox"
job() {
    serve httpd busybox httpd -f -p "$PORT" -h "$WORK/www"
    wait_port
    client busybox wget -q -O "$DIR/got" "http://$HOST:$PORT/file"
    same "wget" "$(hash_of <"$DIR/got")" "$WANT"
}
