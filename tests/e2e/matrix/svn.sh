# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# svnserve: a commit and a checkout. mercurial's own server: a clone.
commands="svn svnserve svnadmin hg"
job() {
    local svn=(svn -q --non-interactive --config-dir "$DIR/svn")
    svnadmin create "$DIR/r"
    printf '[general]\nanon-access = write\n' >"$DIR/r/conf/svnserve.conf"
    serve svnserve svnserve -d --foreground --listen-port "$PORT" -r "$DIR"
    wait_port
    client "${svn[@]}" import -m one "$FILE" "svn://$HOST:$PORT/r/file"
    client "${svn[@]}" checkout "svn://$HOST:$PORT/r" "$DIR/w"
    same "svn" "$(hash_of <"$DIR/w/file")" "$WANT"
    export HGRCPATH= HGUSER=m
    hg init "$DIR/h"
    cp "$FILE" "$DIR/h/file"
    hg -R "$DIR/h" commit -qAm one
    serve hg hg -R "$DIR/h" serve -p $((PORT + 1)) -a 0.0.0.0
    wait_port $((PORT + 1))
    client hg clone -q "http://$HOST:$((PORT + 1))/" "$DIR/clone"
    same "hg" "$(hash_of <"$DIR/clone/file")" "$WANT"
}
