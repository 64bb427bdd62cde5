# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# java: HttpServer with HttpClient, NIO with a selector and transferTo, blocking sockets in threads.
commands="java javac"
run() { client java -Xshare:auto -XX:TieredStopAtLevel=1 -cp "$WORK/java" Sockets "$@"; }
job() {
    [ -d "$WORK/java" ] || javac -d "$WORK/java" "$MATRIX/Sockets.java"
    local kind p=$PORT
    for kind in http nio threads; do
        serve $kind java -XX:TieredStopAtLevel=1 -cp "$WORK/java" Sockets $kind "$p" "$FILE"
        p=$((p + 1))
    done
    p=$PORT
    for kind in http nio threads; do
        wait_port "$p"
        run get-$kind "$HOST" "$p" 10 "$WANT"
        p=$((p + 1))
    done
}
