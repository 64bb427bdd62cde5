# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# rsync with its daemon: up, down, and down again with half of it there.
commands="rsync"
job() {
    mkdir -m 777 "$DIR/m"
    printf 'port = %s\nuse chroot = no\npid file = %s\n[m]\npath = %s\nread only = no\nuid = root\ngid = root\n' "$PORT" "$DIR/pid" "$DIR/m" >"$DIR/conf"
    serve rsync rsync --daemon --no-detach --config="$DIR/conf"
    wait_port
    client rsync -a "$FILE" "rsync://$HOST:$PORT/m/file"
    same "up" "$(hash_of <"$DIR/m/file")" "$WANT"
    client rsync -a "rsync://$HOST:$PORT/m/file" "$DIR/got"
    same "down" "$(hash_of <"$DIR/got")" "$WANT"
    head -c $((SIZE / 2)) "$FILE" >"$DIR/part"
    client rsync --ignore-times --no-whole-file --stats "rsync://$HOST:$PORT/m/file" "$DIR/part" >"$DIR/stats"
    same "the other half" "$(hash_of <"$DIR/part")" "$WANT"
    mkdir "$DIR/tree"
    for i in {1..200}; do head -c "$i" "$FILE" >"$DIR/tree/$i"; done
    client rsync -az "$DIR/tree" "rsync://$HOST:$PORT/m/"
    same "a tree" "$(cd "$DIR/m/tree" && cat {1..200} | hash_of)" "$(cd "$DIR/tree" && cat {1..200} | hash_of)"
}
