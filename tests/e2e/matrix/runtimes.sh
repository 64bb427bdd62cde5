# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Programs of other runtimes: hledger-web (Haskell), unison (OCaml), swipl (Prolog, threads), neovim (libuv), tarantool (libev, coroutines),
# libwebsockets' server, pulseaudio.
commands="hledger-web unison swipl nvim tarantool libwebsockets-test-server pulseaudio pactl curl"
limit=240
job() {
    export HOME=$DIR
    serve hledger hledger-web --serve --host=0.0.0.0 --port="$PORT" --base-url="http://$HOST:$PORT" -f /dev/null
    wait_port
    client curl -sSL --fail -o "$DIR/page" "http://$HOST:$PORT/"
    grep -q hledger "$DIR/page"
    mkdir "$DIR/left" "$DIR/right"
    cp "$FILE" "$DIR/left"
    serve unison unison -socket $((PORT + 1))
    wait_port $((PORT + 1))
    client unison -batch -auto -ui text "$DIR/left" "socket://$HOST:$((PORT + 1))/$DIR/right" >"$DIR/unison.out" 2>&1
    same unison "$(hash_of <"$DIR/right/file")" "$WANT"
    serve swipl swipl -g "use_module(library(http/thread_httpd)), use_module(library(http/http_files)), use_module(library(http/http_dispatch)),
        http_handler(root(.), http_reply_from_files('$WORK/www', []), [prefix]), http_server(http_dispatch, [port('0.0.0.0':$((PORT + 2)))]),
        thread_get_message(_)"
    wait_port $((PORT + 2))
    same swipl "$(client curl -sS --fail "http://$HOST:$((PORT + 2))/file" | hash_of)" "$WANT"
    serve nvim nvim --headless --clean --listen "0.0.0.0:$((PORT + 3))"
    wait_port $((PORT + 3))
    same nvim "$(client nvim --headless --clean --server "$HOST:$((PORT + 3))" --remote-expr '6*7' 2>&1)" 42
    printf '%s\n' "box.cfg{listen='0.0.0.0:$((PORT + 4))', log_level=1, memtx_dir='$DIR', vinyl_dir='$DIR', wal_mode='none'}" \
        "box.schema.user.grant('guest', 'super')" >"$DIR/serve.lua"
    serve tarantool tarantool "$DIR/serve.lua"
    wait_port $((PORT + 4))
    cat >"$DIR/ask.lua" <<'LUA'
local fiber, got, left = require('fiber'), 0, 50
local c = require('net.box').connect(arg[1])
for i = 1, 50 do
    fiber.create(function()
        local n = #c:eval('return string.rep("x", 10000)')
        got, left = got + n, left - 1
    end)
end
while left > 0 do fiber.sleep(0.01) end
print(got)
os.exit(0)
LUA
    same tarantool "$(client tarantool "$DIR/ask.lua" "$HOST:$((PORT + 4))")" 500000
    serve lws libwebsockets-test-server -p $((PORT + 5))
    wait_port $((PORT + 5))
    client curl -sS --fail -o "$DIR/page" "http://$HOST:$((PORT + 5))/"
    grep -qi '<html' "$DIR/page"
    serve pulse pulseaudio -n --daemonize=no --exit-idle-time=-1 --use-pid-file=no --load=module-null-sink \
        --load="module-native-protocol-tcp port=$((PORT + 6)) auth-anonymous=1 listen=0.0.0.0"
    wait_port $((PORT + 6))
    same pulseaudio "$(client pactl -s "tcp:$HOST:$((PORT + 6))" list short sinks | cut -f 2)" null
}
