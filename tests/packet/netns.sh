#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/lib/netns.sh and xt-relay with the kernel's TCP at both ends. Arguments: the repository, xt-relay.
set -u
export XT_RELAY=$2
lib=$1/tests/lib/netns.sh

skip() { echo "SKIP: $*"; exit 77; }
fail() { echo "FAIL: $*"; exit 1; }
[ "$(id -u)" = 0 ] || skip "needs root"
unshare -n true 2>/dev/null || skip "no network namespaces here"
for tool in ip ethtool python3; do
    command -v $tool >/dev/null || skip "$tool is not installed"
done
tmp=$(mktemp -d)
export XT_RELAY_LOG=$tmp/relay.log

# 4 MiB each way at once, checked at the end that receives.
common='
import hashlib, random, socket, sys, threading
data = random.Random(7).randbytes(4 << 20)
def both(s):
    t = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
    t.start()
    got = b"".join(iter(lambda: s.recv(65536), b""))
    t.join()
    return got == data
'
server=$common'
l = socket.create_server((sys.argv[1], 5001))
print("listening")
print("equal" if both(l.accept()[0]) else "different")
'
client=$common'
sys.exit(not both(socket.create_connection((sys.argv[1], 5001))))
'

# The kernel's TCP through a bad line: all data comes, and the line was bad.
bad_line() (
    . "$lib"
    xt_net_up_relay bad --loss 1% --reorder 20 --dup 10 --corrupt 10 --delay 1ms --jitter 500us --seed 42 ||
        fail "no network"
    ip -n "$XT_NS_X" addr add "$XT_ADDR_X/24" dev "$XT_IF_X"
    xt_spawn x "$tmp/server" python3 -u -c "$server" "$XT_ADDR_X"
    xt_wait_for 30 grep -q listening "$tmp/server" || fail "server: $(cat "$tmp/server")"
    xt_in k timeout 60 python3 -c "$client" "$XT_ADDR_X" || fail "the data differs"
    xt_wait_for 30 grep -q equal "$tmp/server" || fail "server: $(cat "$tmp/server")"
    xt_stop "$XT_RELAY_PID"
    for what in lost reordered duplicated corrupted; do
        grep -Eq "^xtr0>xtr1 .*$what=[1-9]" "$XT_RELAY_LOG" || fail "nothing $what: $(cat "$XT_RELAY_LOG")"
    done
    grep -q '^xtr0>xtr1 .*longest=1514$' "$XT_RELAY_LOG" || fail "offloads are on: $(cat "$XT_RELAY_LOG")"
)

none_left() { ! ip netns list | grep -q "^xt$1-"; }

# However a script ends, nothing stays.
cleans_up() (
    ending=$1
    bash -c '. "$1"; xt_net_up '"$ending"' || exit 1; xt_spawn k /dev/null sleep 1000; echo "$XT_PID" >"$2/pid.new"
        mv "$2/pid.new" "$2/pid"; '"$2" bash "$lib" "$tmp" &
    script=$!
    . "$lib"
    xt_wait_for 30 test -e "$tmp/pid" || fail "$ending: no start"
    [ -z "${3:-}" ] || kill "-$3" "$script"
    wait "$script"
    none_left "$script" || fail "$ending: namespaces are left"
    xt_gone "$(cat "$tmp/pid")" || fail "$ending: a process is left"
    rm "$tmp/pid"
)

rc=0
bad_line || rc=1
cleans_up exit 'exit 3' || rc=1
cleans_up down 'xt_net_down' || rc=1
cleans_up term 'wait' TERM || rc=1
# Under `set -e`, with a process that is gone already and one that has to be killed.
cleans_up errexit 'set -eu; xt_spawn k /dev/null true; xt_spawn x /dev/null sh -c "trap : TERM; while :; do sleep 1; done"
    false' || rc=1
[ $rc = 0 ] && echo ok
rm -rf "$tmp"
exit $rc
