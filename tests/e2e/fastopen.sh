#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# TCP Fast Open between xtcp and the kernel, both ways round, and between two programs on xtcp: every call gives what it gives with
# the kernel's TCP at both ends.
#   fastopen.sh BUILD
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
PY=$(dirname "$0")/fastopen.py
in_k() { ip netns exec "$XT_NS_K" "$@"; }
skip() { echo "SKIP: $1"; exit 77; }
in_k sysctl -qw net.ipv4.tcp_fastopen=3 2>/dev/null || skip "net.ipv4.tcp_fastopen cannot be set"
ip netns exec "$XT_NS_X" sysctl -qw net.ipv4.tcp_fastopen=3
ip -n "$XT_NS_K" link set lo mtu 1500
xtcpd_start
port=7400

# pair NAME SERVER-SIDE ADDRESS CLIENT-SIDE: what the client printed is in $WORK/NAME.
pair() {
    local name=$1 on=$2 address=$3 from=$4 pid
    port=$((port + 10))
    "$on" python3 "$PY" server "$address" $port "$WORK/$name.ready" >"$WORK/$name.server" 2>&1 &
    pid=$!
    xt_wait_for 20 test -e "$WORK/$name.ready" || { cat "$WORK/$name.server"; exit 1; }
    "$from" timeout 60 python3 "$PY" client "$address" $port >"$WORK/$name" 2>&1 || { echo "$name: the client failed"; cat "$WORK/$name" "$WORK/$name.server"; exit 1; }
    wait $pid || { echo "$name: the server failed"; cat "$WORK/$name.server"; exit 1; }
}

pair kernel-kernel in_k "$ADDR_K" in_k
grep -q 'data answer 100 1 SYN data True' "$WORK/kernel-kernel" || skip "the kernel does no Fast Open here"
pair xtcp-kernel in_k "$ADDR_K" on_xtcp
pair kernel-xtcp on_xtcp "$ADDR_X" in_k
pair xtcp-xtcp on_xtcp "$ADDR_X" on_xtcp
for name in xtcp-kernel kernel-xtcp xtcp-xtcp; do
    diff "$WORK/kernel-kernel" "$WORK/$name" || { echo "$name differs"; exit 1; }
    echo "$name: $(wc -l <"$WORK/$name") results as between kernels"
done
