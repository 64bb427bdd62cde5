#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each thread of the stack process runs as the user that was asked for, without capabilities and under seccomp; a successor and another
# binary do too, and the file is read again as that user. The keeper stays what it was. Frames are received by requests to the ring,
# which is restricted to those it makes; other tests run the backend that does without.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
printf '[xtcpd]\ninterface = %s\naddress = %s/24\nuser = daemon\ndelack = 30ms\nrx-mode = multishot\n' "$IF_X" "$ADDR_X" >"$WORK/xtcpd.conf"
chmod 644 "$WORK/xtcpd.conf"
xt_spawn x "$WORK/xtcpd.log" "$XTCPD" --config "$WORK/xtcpd.conf" --socket "$WORK/xtcpd.sock"
XTCPD_PID=$XT_PID
xt_wait_for 20 quiet ctl status

has() { # FIELD VALUE: every thread
    local t
    for t in "/proc/$(stack_pid)"/task/*/status; do
        awk -v f="$1:" -v v="$2" '$1 == f && $2 == v { found = 1 } END { exit !found }' "$t" ||
            { echo "$t: not $1 $2 but $(grep "^$1:" "$t")"; return 1; }
    done
}
confined() { # WHEN
    xt_wait_for 20 quiet ctl status
    has Uid "$(id -u daemon)"
    has Gid "$(id -g daemon)"
    for set in CapInh CapPrm CapEff CapBnd CapAmb; do has $set 0000000000000000; done
    has NoNewPrivs 1
    has Seccomp 2
    [ -z "$(awk '$1 == "Groups:" { print $2 }' "/proc/$(stack_pid)/status")" ]
    echo "confined $1"
}
value_is() { ctl config | awk -v name="$1" -v value="$2" '$1 == name && $2 == value { found = 1 } END { exit !found }'; }

confined 'at first'
old=$(stack_pid)
kill -9 "$old"
xt_wait_for 20 xt_gone "$old"
confined 'after a kill'
old=$(stack_pid)
ctl upgrade
xt_wait_for 20 xt_gone "$old"
confined 'after an upgrade'
sed -i 's/30ms/35ms/' "$WORK/xtcpd.conf"
kill -HUP "$XTCPD_PID"
xt_wait_for 20 value_is delack 35ms
ctl config set msl 5s
value_is msl 5s
grep -q '^Uid:	0' "/proc/$XTCPD_PID/status"
make_file 8
nginx_kernel_start
job_download
# What would stay root without a word.
if in_x "$XTCPD" --interface "$IF_X" --address "$ADDR_X/24" --socket "$WORK/other.sock" --user no-such-user >"$WORK/refused" 2>&1; then
    exit 1
fi
grep "no user 'no-such-user'" "$WORK/refused"
