#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The preload library around its edges: what it exports, without a daemon, across exec, and what stays in the kernel.
#   preload.sh BUILD
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean

expect() { # NAME WANTED GOT
    [ "$2" = "$3" ] || { printf '%s: wanted "%s", got "%s"\n' "$1" "$2" "$3"; exit 1; }
    echo "$1: ok"
}

# Every exported name is one that libc has too.
libc=$(ldd "$PRELOAD" | awk '$1 == "libc.so.6" { print $3 }')
strange=$(comm -23 <(nm -D --defined-only "$PRELOAD" | awk '{ print $3 }' | sort -u) \
    <(nm -D --defined-only "$libc" | awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u))
expect "exports" "" "$strange"

mkdir -p "$WORK/www"
echo "a page" >"$WORK/www/file"
nginx_kernel_start
url=http://$ADDR_K/file

expect "no daemon" "xtcp: no xtcpd at $WORK/xtcpd.sock: No such file or directory; set XTCP_FALLBACK=kernel to use the kernel's TCP" \
    "$(on_xtcp curl -s "$url" 2>&1 || true)"
ip -n "$NS_X" addr show "$IF_X" | grep -q "$ADDR_XK" # the kernel can go there by itself
expect "fallback" "a page" "$(XTCP_FALLBACK=kernel on_xtcp curl -s "$url" 2>&1)"

xtcpd_start
decisions() { on_xtcp env XTCP_LOG=debug "$@" 2>&1 >/dev/null | grep -o 'fd [0-9]*: [a-z]*' | cut -d' ' -f3 | sort | uniq -c | xargs; }
expect "decision for another host" "1 xtcp" "$(decisions curl -s "$url")"
expect "decision for loopback" "1 kernel" "$(decisions curl -s http://127.0.0.1:9/)"
expect "decision by a rule" "1 kernel" "$(XTCP_RULES="kernel :22, kernel :80-81 by curl" decisions curl -s "$url")"
expect "a connect that fails" "1 connect 1 xtcp" "$(decisions bash -c ": </dev/tcp/$ADDR_K/81")"
expect "environment put back" "LD_PRELOAD=$PRELOAD XTCP_SOCKET=$WORK/xtcpd.sock" \
    "$(on_xtcp env -i /usr/bin/env | sort | xargs)"
expect "after cleaning its own environment" "a page" "$(on_xtcp python3 -c "
import os, urllib.request
os.environ.clear()
os.unsetenv('XTCP_SOCKET')
print(urllib.request.urlopen('$url').read().decode(), end='')" 2>&1)"
expect "through a cleaned environment" "1 xtcp" "$(decisions env -i XTCP_LOG=debug curl -s "$url")"
# A limit of address space is the program's own: what is mapped for xtcp does not count, before it is attached, after, and across exec.
for when in before after; do
    expect "address space, $when" "629145600 a page 614400 a page" "$(on_xtcp python3 -c "
import mmap, resource, subprocess, sys, urllib.request
if sys.argv[1] == 'after':
    urllib.request.urlopen('$url').read()
resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
mmap.mmap(-1, 100 << 20)
try:
    mmap.mmap(-1, 600 << 20)
    print('not limited')
except OSError:
    pass
print(resource.getrlimit(resource.RLIMIT_AS)[0], urllib.request.urlopen('$url').read().decode().strip(), flush=True)
subprocess.run(['sh', '-c', 'ulimit -v; exec curl -s $url'])" $when | xargs)"
done
expect "close of all descriptors" "a page" "$(on_xtcp python3 -c "
import os, urllib.request
urllib.request.urlopen('$url').read()
os.closerange(3, 20000)
print(urllib.request.urlopen('$url').read().decode(), end='')")"
# Before there are thread-local variables a socket is the kernel's.
expect "in an IFUNC resolver" "early: 1" "$(on_xtcp "$PLAIN/tests/e2e/ifunc" "$ADDR_K" 2>&1)"

# Together with other preload libraries, before ours and behind it: a file there and back.
make_file 2
mkdir -p "$WORK/www/up"
found() { ls /usr/lib/*/"$1" 2>/dev/null | head -n 1 || :; }
both_ways() { # PRELOAD
    local got=$WORK/got up=$WORK/www/up/file
    local XTCP_ENV=(XTCP_SOCKET="$WORK/xtcpd.sock" XT_COUNTER="$WORK/counter" FAKETIME="@2020-02-29 12:00:00" LD_PRELOAD="$1")
    rm -f "$got" "$up"
    on_xtcp env XTCP_LOG=debug curl -sS -o "$got" "$url" 2>"$WORK/curl.log"
    grep -q ': xtcp (connect' "$WORK/curl.log" || cat "$WORK/curl.log"
    on_xtcp curl -sS -T "$WORK/www/file" "http://$ADDR_K/up/file" 2>&1
    cat "$got" "$up" | sha256sum
}
want=$(cat "$WORK/www/file" "$WORK/www/file" | sha256sum)
for name in "$PLAIN/tests/e2e/libcounter.so" libeatmydata.so libjemalloc.so.2 faketime/libfaketime.so.1; do
    lib=$name
    [ "${name:0:1}" = / ] || lib=$(found "$name")
    if [ -z "$lib" ]; then
        echo "SKIP $name: not installed"
        continue
    fi
    for order in "$lib:$PRELOAD" "$PRELOAD:$lib"; do
        expect "preloaded: $(basename -a ${order//:/ } | xargs)" "$want" "$(both_ways "$order")"
        [ "$name" != "$lib" ] || expect "its calls" "called" "$(cat "$WORK/counter")"
    done
done
