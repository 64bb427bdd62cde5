#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a TCP socket answers in every state: on the kernel's stack, then under the preload on xtcpd. The only differences allowed are those
# that apiprobe.known lists with their reasons; one that is listed and does not show is a failure too.
#   apiprobe.sh BUILD [fake]
# fake: the preload over a libxtcp made of the kernel's TCP, without a daemon: tells the preload's mistakes from the daemon's.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
PROBE=$PLAIN/tests/e2e/apiprobe

# Both run at once, each with a peer of its own, which ends by itself when the prober is done.
peer() { # PORT
    xt_spawn k "$WORK/peer-$1.log" "$PROBE" peer "$ADDR_K" "$1"
    xt_wait_for 30 in_k sh -c "ss -Hltn 'sport = :$1' | grep -q ."
}
# probe RUNNER OWN-ADDRESS PEER-PORT OUTPUT
probe() {
    local rc=0
    "$1" timeout 600 "$PROBE" run "$ADDR_K" "$3" "$2" $(($3 + 100)) "${kinds[@]}" >"$4" || rc=$?
    [ $rc -eq 0 ] || echo "apiprobe ended with $rc after: $(tail -n 1 "$4")"
    return $rc
}

own=$ADDR_X
kinds=()
if [ "${2:-}" = fake ]; then
    XTCP_ENV=(LD_PRELOAD="$PLAIN/tests/unit/preload/libxtcp-preload-fake.so")
    own=$ADDR_XK
    kinds=(-shared) # only xtcpd makes sockets that several processes know
else
    xtcpd_start
fi
rc=0
peer 9000
peer 9010
probe in_x "$ADDR_XK" 9000 "$WORK/kernel.txt" &
at_kernel=$!
probe on_xtcp "$own" 9010 "$WORK/xtcp.txt" || rc=$?
wait $at_kernel || rc=$?
# Each answer with the headings that it stands under.
headed() {
    awk '/^ [^ ]/ { sub_ = $0; next } /^[^ ]/ { head = $0; sub_ = "" } { print /^ / ? head sub_ $0 : $0 }' "$1"
}
headed "$WORK/kernel.txt" >"$WORK/kernel.headed"
headed "$WORK/xtcp.txt" >"$WORK/xtcp.headed"
known=$(dirname "$0")/apiprobe.known
[ "${2:-}" != fake ] || known=$(dirname "$0")/apiprobe-fake.known
diff "$WORK/kernel.headed" "$WORK/xtcp.headed" | grep '^[<>]' >"$WORK/differences" || :
grep '^[<>]' "$known" >"$WORK/allowed" || :
diff "$WORK/allowed" "$WORK/differences" || { echo "(differences, < kernel, > xtcp: < listed only, > found only)"; rc=1; }
[ $rc -ne 0 ] || echo "apiprobe: $(wc -l <"$WORK/kernel.txt") answers, all as the kernel's but $(grep -c '^>' "$WORK/allowed" || :) that are listed"
exit $rc
