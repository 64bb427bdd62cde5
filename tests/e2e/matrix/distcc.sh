# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# distccd compiles for a distcc that may not do it itself, four files at once.
commands="distcc distccd gcc"
job() {
    local i pids=()
    serve distccd distccd --no-detach --daemon --allow 0.0.0.0/0 --port "$PORT" --jobs 4 --enable-tcp-insecure --log-stderr --log-level info
    wait_port
    for i in 1 2 3 4; do
        {
            echo "static const unsigned char data${i}[] = {"
            head -c 100000 "$FILE" | od -An -v -tu1 | sed 's/[0-9]\+/&,/g'
            echo "}; int at$i(int i) { return data${i}[i]; }"
        } >"$DIR/$i.c"
        gcc -c "$DIR/$i.c" -o "$DIR/$i.local.o"
        client env HOME="$DIR" DISTCC_DIR="$DIR" DISTCC_FALLBACK=0 DISTCC_HOSTS="$HOST:$PORT" distcc gcc -c "$DIR/$i.c" -o "$DIR/$i.o" &
        pids+=($!)
    done
    for i in 1 2 3 4; do
        wait "${pids[i - 1]}"
        same "object $i" "$(hash_of <"$DIR/$i.o")" "$(hash_of <"$DIR/$i.local.o")"
    done
    same "compiled by the server" "$(grep -c 'COMPILE_OK' "$DIR/distccd.log")" 4
}
