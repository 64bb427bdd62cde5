# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# wget: one file, the rest of a file, a tree.
commands="wget nginx"
job() {
    web nginx
    client wget -nv -O "$DIR/one" "http://$HOST:$PORT/file"
    same "a file" "$(hash_of <"$DIR/one")" "$WANT"
    head -c $((SIZE / 3)) "$FILE" >"$DIR/part"
    client wget -nv -c -O "$DIR/part" "http://$HOST:$PORT/file"
    same "the rest of a file" "$(hash_of <"$DIR/part")" "$WANT"
    printf '<a href="file?1">1</a> <a href="file?2">2</a> <a href="file?3">3</a>\n' >"$WORK/www/tree.html"
    client wget -nv -r -l 1 -nH -P "$DIR/tree" "http://$HOST:$PORT/tree.html"
    same "a tree" "$(for i in 1 2 3; do hash_of <"$DIR/tree/file?$i"; done | uniq -c | tr -s ' ')" " 3 $WANT"
}
