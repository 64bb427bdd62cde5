# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What a daemon has, to be compared with what it had before. To be sourced.
#
#   census KEEPER SOCKET       sockets, sessions, control connections, mapped regions, descriptors of keeper and stack process: a
#                              line that is the same when all programs have ended as it was before they began. TIME_WAIT is over
#                              at once for it.
#   census_is LINE KEEPER SOCKET
#   memory_of KEEPER           resident KiB of keeper and stack process
#   memory_steady FILE [KIB]   FILE has such a figure a line: false when they grow, that is when even the least of the last third is
#                              more than the most of the first third and so much (1024)
# Needs $XTCPCTL.

stack_of() { pgrep -P "$1" | head -n 1; }
fds_of() { ls "/proc/$1/fd" | wc -l; }

census() {
    local stack
    stack=$(stack_of "$1")
    "$XTCPCTL" --socket "$2" flush-time-wait >/dev/null
    echo "$("$XTCPCTL" --socket "$2" --json status | python3 -c '
import json, sys
s = json.load(sys.stdin)
print(*(f"{k}={s[k]}" for k in ("connections", "sessions", "control_connections")))') regions=$(grep -c \
        'memfd:xtcp-client' "/proc/$stack/maps") descriptors=$(fds_of "$1")+$(fds_of "$stack")"
}
census_is() { [ "$(census "${@:2}")" = "$1" ]; }

memory_of() { cat "/proc/$1/status" "/proc/$(stack_of "$1")/status" | awk '/^VmRSS/ { kib += $2 } END { print kib }'; }

memory_steady() {
    awk -v slack="${2:-1024}" '
        { v[NR] = $1 }
        END {
            third = int(NR / 3)
            if (third < 1) exit 0
            for (i = 1; i <= third; i++) if (v[i] > most) most = v[i]
            least = v[NR]
            for (i = NR - third + 1; i <= NR; i++) if (v[i] < least) least = v[i]
            printf "memory: at most %d KiB in the first third, at least %d KiB in the last\n", most, least
            exit least > most + slack
        }' "$1"
}
