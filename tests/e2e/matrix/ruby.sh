# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# ruby: a server with threads, one that forks; TCPSocket, IO.select and net/http as clients.
commands="ruby nginx"
job() {
    serve thread ruby "$MATRIX/ruby.rb" thread "$PORT" "$FILE"
    serve fork ruby "$MATRIX/ruby.rb" fork $((PORT + 1)) "$FILE"
    wait_port && wait_port $((PORT + 1))
    client ruby "$MATRIX/ruby.rb" get "$HOST" "$PORT" 10 "$WANT"
    client ruby "$MATRIX/ruby.rb" get "$HOST" $((PORT + 1)) 10 "$WANT"
    PORT=$((PORT + 2))
    web nginx
    same "net/http" "$(client ruby -r net/http -e 'print Net::HTTP.get(URI(ARGV[0]))' "http://$HOST:$PORT/file" | hash_of)" "$WANT"
}
