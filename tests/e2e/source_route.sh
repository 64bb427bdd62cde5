#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# IP_OPTIONS of an unmodified program: its source route leads through the kernel, which takes its own address as the hop and then
# answers from the address behind it. The capture must show the route on every segment, and nothing that tshark calls wrong.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
for tool in tcpdump tshark python3; do
    command -v $tool >/dev/null || {
        echo "SKIP: no $tool"
        exit 77
    }
done
stage_up "$1" captured
here=$(dirname "$0")
behind=10.99.0.1
ip -n "$NS_K" addr add "$behind/32" dev lo
in_k sysctl -qw net.ipv4.conf.all.accept_source_route=1 "net.ipv4.conf.$XT_IF_K.accept_source_route=1"
xtcpd_start
xt_spawn k "$WORK/server.log" python3 "$here/source_route.py" server "$behind" 7000
xt_wait_for 20 grep -q ready "$WORK/server.log"
capture_start
on_xtcp python3 "$here/source_route.py" client "$behind" 7000 "$ADDR_K"
capture_stop
capture_check
direct=$(tshark -r "$WORK/capture.pcap" -Y "ip.src_host == $ADDR_X && tcp && !(ip.opt.type == 131)" 2>/dev/null | wc -l)
[ "$direct" -eq 0 ] || {
    echo "FAIL: $direct segments without the source route"
    exit 1
}
echo "active open: the route is on every segment"

# The other way round: the kernel sends its own segments over its loopback first, so that they come here with the route done, from
# the address behind. The way back is the hop: the kernel's address on the link.
in_k sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.lo.accept_source_route=1 net.ipv4.conf.lo.accept_local=1 \
    net.ipv4.conf.lo.rp_filter=0 net.ipv4.conf.all.rp_filter=0
xt_spawn x "$WORK/server2.log" env "${XTCP_ENV[@]}" python3 "$here/source_route.py" server "$ADDR_X" 7001
xt_wait_for 20 grep -q ready "$WORK/server2.log"
in_k python3 "$here/source_route.py" client "$ADDR_X" 7001 "$behind"
xt_wait_for 20 grep -q options "$WORK/server2.log"
back=$(printf '830704%02x%02x%02x%02x00' ${ADDR_K//./ }) # four words
grep -q "options $back" "$WORK/server2.log" || {
    echo "FAIL: the return route should be $back: $(cat "$WORK/server2.log")"
    exit 1
}
echo "passive open: the return route was used"
