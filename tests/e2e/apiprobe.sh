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

# probe RUNNER OWN-ADDRESS OUTPUT
probe() {
    local rc=0
    xt_spawn k "$WORK/peer.log" "$PROBE" peer "$ADDR_K" 9000
    xt_wait_for 30 in_k sh -c 'ss -Hltn "sport = :9000" | grep -q .'
    "$1" timeout 600 "$PROBE" run "$ADDR_K" 9000 "$2" 9100 "${kinds[@]}" >"$3" || rc=$?
    xt_stop "$XT_PID" || : # it ends by itself when the prober is done
    [ $rc -eq 0 ] || echo "apiprobe ended with $rc after: $(tail -n 1 "$3")"
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
probe in_x "$ADDR_XK" "$WORK/kernel.txt"
rc=0
probe on_xtcp "$own" "$WORK/xtcp.txt" || rc=$?
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
