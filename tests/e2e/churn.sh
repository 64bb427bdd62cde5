#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Some hundred connections that end in every way there is: closed, aborted, left to a child, given to an executed program, killed with
# their process. Afterwards the daemon has the sockets, sessions, memory and descriptors that it had before.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
. "$(dirname "$0")/../lib/census.sh"
here=$(cd "$(dirname "$0")" && pwd)
stage_up "$1" clean
xtcpd_start
have() { census "$XTCPD_PID" "$WORK/xtcpd.sock"; }
is() { [ "$(have)" = "$1" ]; }
use() { timeout -k 2 150 "$@" /usr/bin/python3 "$here/churn.py" use "$ADDR_X" 7000 3; }

xt_spawn x "$WORK/server.log" env "${XTCP_ENV[@]}" /usr/bin/python3 "$here/churn.py" serve "$ADDR_X" 7000
xt_wait_for 20 sh -c "'$XTCPCTL' --socket '$WORK/xtcpd.sock' list --listening | grep -q 7000"
settled=$(have)
echo "with the server alone: $settled"
for round in 1 2 3 4 5 6; do
    use ip netns exec "$NS_X" env "${XTCP_ENV[@]}"
    use ip netns exec "$NS_K"
    [ $round -gt 1 ] || xt_wait_for 20 is "$settled" || settled=$(have)
    xt_wait_for 20 is "$settled" || {
        echo "round $round leaves something: $(have)"
        ctl list --all
        exit 1
    }
    memory_of "$XTCPD_PID" "$WORK/xtcpd.sock" >>"$WORK/memory"
    echo "round $round: 72 connections, anonymous and shared KiB: $(tail -n 1 "$WORK/memory")"
done
[ -n "${XT_TEST_PLAIN:-}" ] || memory_steady "$WORK/memory" 64 # a sanitizer keeps what is freed
