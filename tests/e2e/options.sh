#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Options that were set before a socket became xtcp's are set after it; an unknown option is ENOPROTOOPT, and one line in the log;
# SO_BINDTODEVICE says whose a socket is.
#   options.sh BUILD
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
xtcpd_start
xt_spawn k "$WORK/server.log" python3 -m http.server --bind "$ADDR_K" 8000
xt_wait_for 20 in_k sh -c 'ss -Hltn "sport = :8000" | grep -q .'
XTCP_ENV+=(XTCP_LOG=debug)
on_xtcp timeout 60 python3 "$(dirname "$0")/options.py" "$ADDR_K" 8000 "$IF_X" >"$WORK/out" 2>"$WORK/log" || { cat "$WORK/out" "$WORK/log"; exit 1; }
cat "$WORK/out"
[ "$(grep -c 'unknown: ENOPROTOOPT ENOPROTOOPT' "$WORK/out")" -eq 3 ]
grep 'not known' "$WORK/log"
[ "$(grep -c "on $IF_X $ADDR_X$" "$WORK/out")" -eq 2 ]
[ "$(grep -c ': kernel (.*bound to another device' "$WORK/log")" -eq 4 ]
[ "$(grep -c 'setsockopt: option 6/9999 is not known' "$WORK/log")" -eq 1 ]
[ "$(grep -c 'getsockopt: option 6/9998 is not known' "$WORK/log")" -eq 1 ]

# connect() to AF_UNSPEC, as on the kernel's TCP.
in_x timeout 60 python3 "$(dirname "$0")/disconnect.py" 10.77.0.99 "$ADDR_K" 8000 >"$WORK/disconnect.kernel"
on_xtcp timeout 60 python3 "$(dirname "$0")/disconnect.py" 10.77.0.99 "$ADDR_K" 8000 >"$WORK/disconnect.xtcp" 2>"$WORK/log"
cat "$WORK/disconnect.xtcp"
diff "$WORK/disconnect.kernel" "$WORK/disconnect.xtcp"
