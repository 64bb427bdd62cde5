# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# php: its web server with four workers, streams and the sockets extension (which the linker binds past a preload) as clients.
commands="php curl"
job() {
    serve php env PHP_CLI_SERVER_WORKERS=4 php -S "0.0.0.0:$PORT" -t "$WORK/www"
    serve sockets php "$MATRIX/sockets.php" serve $((PORT + 1)) "$FILE"
    wait_port
    wait_port $((PORT + 1))
    same "curl" "$(client curl -sS --fail "http://$HOST:$PORT/file" | hash_of)" "$WANT"
    same "a stream" "$(client php -r 'readfile($argv[1]);' "http://$HOST:$PORT/file" | hash_of)" "$WANT"
    same "the extension" "$(client php "$MATRIX/sockets.php" get "$HOST" $((PORT + 1)) | hash_of)" "$WANT"
}
