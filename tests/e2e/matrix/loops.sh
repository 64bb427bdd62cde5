# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The event loops and clients of languages: bytes there and back at once, or a file. perl: AnyEvent on EV, POE, Net::Server; ruby:
# EventMachine, WEBrick; node: ws, fetch and worker threads; C#: mono's HttpListener and asynchronous sockets.
commands="/usr/bin/perl /usr/share/perl5/POE.pm /usr/share/perl5/Net/Server/PreFork.pm ruby node /usr/share/nodejs/ws mono mcs"
limit=240
prepare() { mcs -out:"$WORK/loops.exe" "$MATRIX/Loops.cs" >"$WORK/mcs" 2>&1 || { cat "$WORK/mcs"; return 1; }; }
both_ends() { # NAME PROGRAM... : serves, is asked, and asked once more with two at a time
    local name=$1 p
    shift
    serve "$name" "$@" serve "$PORT" "$FILE"
    wait_port
    same "$name" "$(client "$@" ask "$HOST" "$PORT" "$FILE" | tail -n 1)" "$WANT"
    client "$@" ask "$HOST" "$PORT" "$FILE" >"$DIR/other" &
    p=$!
    same "$name, one of two" "$(client "$@" ask "$HOST" "$PORT" "$FILE" | tail -n 1)" "$WANT"
    wait "$p"
    same "$name, two of two" "$(tail -n 1 "$DIR/other")" "$WANT"
    xt_stop "$SERVE_PID"
    PORT=$((PORT + 1))
}
job() {
    local kind
    for kind in anyevent poe prefork; do both_ends $kind /usr/bin/perl "$MATRIX/loops.pl" $kind; done
    for kind in em webrick; do both_ends $kind ruby "$MATRIX/loops.rb" $kind; done
    both_ends node node "$MATRIX/loops.mjs"
    both_ends mono mono "$WORK/loops.exe"
}
