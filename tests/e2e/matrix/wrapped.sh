# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Programs in what looks at them or comes before them too: strace, gdb, valgrind, proxychains with a library of its own; and one
# whose memory is locked.
commands="strace gdb valgrind proxychains4 microsocks curl nginx /usr/bin/python3"
limit=300
job() {
    local url
    web nginx
    url=http://$HOST:$PORT/file
    client strace -f -o "$DIR/calls" curl -sS --fail -o "$DIR/got" "$url"
    same strace "$(hash_of <"$DIR/got")" "$WANT"
    client gdb -q -batch -ex run --args curl -sS --fail -o "$DIR/got2" "$url" >"$DIR/gdb" 2>&1 </dev/null
    same gdb "$(hash_of <"$DIR/got2")" "$WANT"
    # At its end it would look for pointers in all that is mapped, 16 GiB of it.
    same valgrind "$(client valgrind -q --leak-check=no curl -sS --fail "$url" | hash_of)" "$WANT"
    serve socks microsocks -i 0.0.0.0 -p $((PORT + 1))
    wait_port $((PORT + 1))
    printf '%s\n' strict_chain "[ProxyList]" "socks5 $HOST $((PORT + 1))" >"$DIR/proxychains"
    same proxychains "$(client proxychains4 -q -f "$DIR/proxychains" curl -sS --fail "$url" | hash_of)" "$WANT"
    cat >"$DIR/locked.py" <<'PY'
import ctypes, hashlib, sys, urllib.request
assert ctypes.CDLL(None).mlockall(2) == 0  # MCL_FUTURE
print(hashlib.sha256(urllib.request.urlopen(sys.argv[1], timeout=60).read()).hexdigest())
locked = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmLck")][0]
print("locked less than 1 GiB" if int(locked) < 1 << 20 else f"locked {locked} KiB")
PY
    same "locked memory" "$(client /usr/bin/python3 "$DIR/locked.py" "$url")" "$WANT"$'\nlocked less than 1 GiB'
}
