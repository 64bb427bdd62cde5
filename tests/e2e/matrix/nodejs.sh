# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Node's own tests of net, http, https, tls, http2 and cluster, from Debian's source of node; a newer node fails some of them on
# any TCP. Each is a program.
commands="apt-get node tar"
rounds=xx
limit=3000

prepare() {
    debian_source nodejs || return
    chmod -R a+rX "$WORK/nodejs"
}

suite() {
    local only=$2.only out=$2 t flags
    export NODE_TEST_DIR=$PWD
    cd "$WORK/nodejs/test/parallel" || return
    for t in test-{net,http,https,tls,http2,cluster}-*.*js; do
        [ ! -e "$only" ] || grep -qx "$t" "$only" || continue
        read -ra flags <<<"$(sed -n 's|^// Flags: *||p' "$t" | tr '\n' ' ')"
        if ! on_loopback "$1" timeout -k 2 60 node "${flags[@]}" "$t" >"$out.said" 2>&1 </dev/null; then
            echo "FAIL $t" >>"$out"
            echo "-- $t:"
            tail -n 20 "$out.said"
        elif grep -q '^1\.\.0 # Skipped' "$out.said"; then
            echo "SKIP $t" >>"$out"
        else
            echo "PASS $t" >>"$out"
        fi
    done
}
job() { compare 300; }
