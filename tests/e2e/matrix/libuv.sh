# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# libuv's own tests, made from the source of the installed libuv; as a user, for they refuse to run as root.
commands="apt-get gcc setpriv tar"
rounds=xx
limit=3000

prepare() {
    debian_source libuv1 || return
    local src=$WORK/libuv1
    mkdir "$src/objects"
    find "$src/test" -name '*.c' ! -name '*bench*' ! -name '*-win*' ! -name '*dns-server*' ! -name 'test-fs-fd-hash.c' |
        (cd "$src/objects" && xargs -P 2 -n 12 gcc -c -w -O0 -D_GNU_SOURCE -DUSING_UV_SHARED=1 -I"$src/include" -I"$src/src") &&
        gcc "$src"/objects/*.o -o "$src/uv_run_tests" -luv -lpthread -ldl || {
        echo "SKIP: libuv's tests can't be built here"
        return 77
    }
    chmod -R a+rX "$src"
}

# TAP becomes the lines that compare() wants; a test that is run by itself says nothing but its exit status.
suite() {
    local as=(timeout -k 5 900 setpriv --reuid=65534 --regid=65534 --clear-groups "$WORK/libuv1/uv_run_tests") t
    cp -r "$WORK/libuv1/test" . && chmod -R a+rwX test
    if [ -e "$2.only" ]; then
        while read -r t; do
            if on_loopback "$1" "${as[@]}" "$t"; then echo "PASS $t"; else echo "FAIL $t"; fi >>"$2"
        done <"$2.only"
    else
        on_loopback "$1" "${as[@]}" | tee "$2.tap"
        awk '/^not ok/ { print "FAIL", $5; next } /^ok/ { print (/# SKIP/ ? "SKIP" : "PASS"), $4 }' "$2.tap" >"$2"
    fi
}
job() { compare 50; }
