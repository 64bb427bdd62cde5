# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# git daemon: a clone, a push, a fetch.
commands="git"
job() {
    export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=m GIT_AUTHOR_EMAIL=m@m GIT_COMMITTER_NAME=m GIT_COMMITTER_EMAIL=m@m
    git -c init.defaultBranch=main init -q --bare "$DIR/repo.git"
    git -C "$DIR/repo.git" config daemon.receivepack true
    serve git git daemon --reuseaddr --export-all --base-path="$DIR" --port="$PORT" "$DIR"
    wait_port
    git -c init.defaultBranch=main init -q "$DIR/one"
    cp "$FILE" "$DIR/one/file"
    git -C "$DIR/one" add file
    git -C "$DIR/one" commit -qm one
    client git -C "$DIR/one" push -q "git://$HOST:$PORT/repo.git" main
    client git clone -q "git://$HOST:$PORT/repo.git" "$DIR/two"
    same "a clone" "$(hash_of <"$DIR/two/file")" "$WANT"
    git -C "$DIR/one" commit -qm two --allow-empty
    client git -C "$DIR/one" push -q "git://$HOST:$PORT/repo.git" main
    client git -C "$DIR/two" pull -q
    same "a fetch" "$(git -C "$DIR/two" log --format=%s | head -n 1)" two
}
