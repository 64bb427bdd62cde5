# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What a daemon has, to be compared with what it had before. To be sourced.
#
#   census KEEPER SOCKET       sockets, sessions, control connections, mapped regions, descriptors of keeper and stack process: a
#                              line that is the same when all programs have ended as it was before they began. TIME_WAIT is over
#                              at once for it.
#   census_is LINE KEEPER SOCKET
#   memory_of KEEPER SOCKET    KiB of the stack process: its own, allocated (what is resident, or taken of the kernel, depends on how much
#                              was in use at once), and resident shared (rings, connection records)
#   shared_of KEEPER           the latter alone
#   memory_steady FILE [OWN]   FILE has such figures a line: false when they grow, that is when even the least of the last third is more
#                              than the most of the first third and OWN (256) KiB, for shared memory 4 MiB: that once used may stay
# Needs $XTCPCTL.

stack_of() { pgrep -P "$1" | head -n 1; }
fds_of() { ls "/proc/$1/fd" | wc -l; }

look() {
    local stack
    stack=$(stack_of "$1")
    "$XTCPCTL" --socket "$2" flush-time-wait >/dev/null
    echo "$("$XTCPCTL" --socket "$2" --json status | grep -oE '"(control_)?(connections|sessions)": *[0-9]+' | tr -d '" ' |
        paste -sd ' ') regions=$(grep -c 'memfd:xtcp-client' "/proc/$stack/maps") descriptors=$(fds_of "$1")+$(fds_of "$stack")"
}
# The same twice: xtcpd may still have the connection of an xtcpctl that has ended.
census() {
    local now last='' i
    for ((i = 0; i < 20; i++)); do
        now=$(look "$@")
        [ "$now" != "$last" ] || break
        last=$now
    done
    echo "$now"
}
census_is() { [ "$(census "${@:2}")" = "$1" ]; }

shared_of() { awk '/^RssShmem/ { print $2 }' "/proc/$(stack_of "$1")/status"; }
memory_of() {
    local heap
    heap=$("$XTCPCTL" --socket "$2" --json status | awk -F '[:,]' '/"heap_bytes"/ { print int($2 / 1024) }')
    echo "$heap $(shared_of "$1")"
}

memory_steady() {
    awk -v slack="${2:-256}" '
        function look(name, v, slack,    i, most, least) {
            for (i = 1; i <= third; i++) if (v[i] > most) most = v[i]
            least = v[NR]
            for (i = NR - third + 1; i <= NR; i++) if (v[i] < least) least = v[i]
            printf "%s: at most %d KiB in the first third, at least %d KiB in the last\n", name, most, least
            if (least > most + slack) grows = 1
        }
        { own[NR] = $1; shared[NR] = $2 }
        END {
            third = NR < 3 ? 1 : int(NR / 3)
            look("its own memory", own, slack)
            look("shared memory", shared, 4096)
            exit grows
        }' "$1"
}
