# SPDX-License-Identifier: Apache-2.0
# Throw-away networks for tests and demonstrations; to be sourced by a bash script that runs as root, under `set -eu` or
# not.
#
#   xt_net_up [NAME]         two namespaces joined by a veth pair:
#                              $XT_NS_K, interface $XT_IF_K, address $XT_ADDR_K/24: the kernel's stack
#                              $XT_NS_X, interface $XT_IF_X: for xtcpd, whose own address is to be $XT_ADDR_X. The
#                              kernel has only $XT_ADDR_AUX/24 there, of another subnet: programs that ask for
#                              AI_ADDRCONFIG see an IPv4 host.
#   xt_net_up_relay [NAME] [xt-relay options]
#                            the same with xt-relay between the two ends, offloads off, so that loss hits MTU-sized
#                            frames. The relay's program is $XT_RELAY (default: xt-relay in the PATH or beside this
#                            file in a build), its process $XT_RELAY_PID, its output in $XT_RELAY_LOG: statistics
#                            are there after `xt_stop $XT_RELAY_PID`.
#   xt_relay_restart [OPTIONS]  ends that relay and starts it with other options: a new line of the same ends, whose seed
#                            begins anew
#   xt_net_down              ends what xt_spawn started and removes everything. Also done on exit, INT and TERM:
#                            a script with traps of its own calls it from there.
#   xt_in k|x CMD...         runs CMD in a namespace
#   xt_spawn k|x|- LOG CMD   starts CMD in the background, output to LOG; its process id is in $XT_PID
#   xt_stop PID              ends one of those: TERM, after 2 s KILL
#   xt_wait_for SECONDS CMD  until CMD succeeds; 1 when the time is over
#
# Settings, before xt_net_up: XT_MTU (1500), XT_OFFLOAD (on; off: no segmentation or checksum offload on either end).

XT_MTU=${XT_MTU:-1500}
XT_OFFLOAD=${XT_OFFLOAD:-on}
XT_ADDR_K=10.77.0.1
XT_ADDR_X=10.77.0.2
XT_ADDR_AUX=10.78.0.1
XT_IF_K=xtk0
XT_IF_X=xtx0
XT_PIDS=()
declare -gA XT_BORN=() # by process id
XT_NAMESPACES=()
# Nothing ever comes from here: what a wait for the next look reads from. Without a process for each look; bash 5.2 may wait for ever for
# such a one when process numbers are used again soon.
exec {XT_NEVER}<> <(:)
XT_NETNS_LIB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

xt_new_ns() {
    ip netns add "$1" || return
    XT_NAMESPACES+=("$1")
    # Routers' and multicast chatter of IPv6 would only disturb.
    ip netns exec "$1" sh -c 'for f in all default; do
        [ ! -e /proc/sys/net/ipv6/conf/$f/disable_ipv6 ] || echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6; done' &&
        ip -n "$1" link set lo up
}

# xt_link NS_A IF_A NS_B IF_B
xt_link() {
    ip -n "$1" link add "$2" mtu "$XT_MTU" type veth peer name "$4" mtu "$XT_MTU" netns "$3" &&
        ip -n "$1" link set "$2" up && ip -n "$3" link set "$4" up
}

# xt_no_offload NS IF: frames leave at MTU size and with their checksum.
xt_no_offload() {
    command -v ethtool >/dev/null || { echo "netns.sh: ethtool is needed to turn offloads off" >&2; return 1; }
    ip netns exec "$1" ethtool -K "$2" tx off tso off gso off gro off sg off >/dev/null
}

xt_names() {
    trap xt_net_down EXIT
    trap 'xt_net_down; trap - INT; kill -INT $$' INT
    trap 'xt_net_down; trap - TERM; kill -TERM $$' TERM
    XT_NS_K=xt$$-${1:+$1-}k
    XT_NS_X=xt$$-${1:+$1-}x
    XT_NS_R=xt$$-${1:+$1-}r
}

xt_addresses() {
    ip -n "$XT_NS_K" addr add "$XT_ADDR_K/24" dev "$XT_IF_K" &&
        ip -n "$XT_NS_X" addr add "$XT_ADDR_AUX/24" dev "$XT_IF_X" || return
    [ "$XT_OFFLOAD" = on ] ||
        { xt_no_offload "$XT_NS_K" "$XT_IF_K" && xt_no_offload "$XT_NS_X" "$XT_IF_X"; }
}

xt_net_up() {
    xt_names "$@"
    xt_new_ns "$XT_NS_K" && xt_new_ns "$XT_NS_X" && xt_link "$XT_NS_K" "$XT_IF_K" "$XT_NS_X" "$XT_IF_X" && xt_addresses
}

xt_find_relay() {
    local p
    for p in "${XT_RELAY:-}" "$(command -v xt-relay)" "${XT_BUILD:-$XT_NETNS_LIB/../../build}/tests/lib/xt-relay"; do
        [ -z "$p" ] || [ ! -x "$p" ] || { XT_RELAY=$p; return 0; }
    done
    echo "netns.sh: no xt-relay found; XT_RELAY says where it is" >&2
    return 1
}

xt_net_up_relay() {
    local name=
    case ${1:-} in
    -*) ;;
    *) name=${1:-}; [ $# -eq 0 ] || shift ;;
    esac
    xt_find_relay || return
    xt_names "$name"
    XT_OFFLOAD=off
    xt_new_ns "$XT_NS_K" && xt_new_ns "$XT_NS_X" && xt_new_ns "$XT_NS_R" &&
        xt_link "$XT_NS_K" "$XT_IF_K" "$XT_NS_R" xtr0 && xt_link "$XT_NS_X" "$XT_IF_X" "$XT_NS_R" xtr1 &&
        xt_no_offload "$XT_NS_R" xtr0 && xt_no_offload "$XT_NS_R" xtr1 &&
        xt_addresses || return
    xt_relay_start "$@"
}

xt_relay_start() {
    XT_RELAY_LOG=${XT_RELAY_LOG:-/tmp/$XT_NS_R.log}
    xt_spawn - "$XT_RELAY_LOG" ip netns exec "$XT_NS_R" "$XT_RELAY" "$@" xtr0 xtr1
    XT_RELAY_PID=$XT_PID
    xt_wait_for 30 grep -q '^ready' "$XT_RELAY_LOG" || { cat "$XT_RELAY_LOG" >&2; return 1; }
}

xt_relay_restart() {
    xt_stop "$XT_RELAY_PID"
    xt_relay_start "$@"
}

xt_ns_of() {
    case $1 in
    k) echo "$XT_NS_K" ;;
    x) echo "$XT_NS_X" ;;
    *) echo "netns.sh: '$1' is neither k nor x" >&2; return 1 ;;
    esac
}

xt_in() {
    local ns
    ns=$(xt_ns_of "$1") || return
    shift
    ip netns exec "$ns" "$@" {XT_NEVER}>&-
}

xt_spawn() {
    local where=$1 log=$2
    shift 2
    [ "$where" = - ] || set -- ip netns exec "$(xt_ns_of "$where")" "$@"
    # Without a shell in between, so that the process id is the program's own: `ip netns exec` becomes its command.
    "$@" >"$log" 2>&1 </dev/null {XT_NEVER}>&- &
    XT_PID=$!
    XT_PIDS+=("$XT_PID")
    XT_BORN[$XT_PID]=$(xt_born "$XT_PID")
}

# When the process began, in clock ticks; nothing when there is none.
xt_born() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
    read -ra stat <<<"${stat##*) }"
    echo "${stat[19]}"
}

# True when the process is gone or only waits to be reaped.
xt_gone() {
    local state
    state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) || return 0
    [ -z "$state" ] || [ "${state%% *}" = Z ]
}

xt_stop() {
    # On a busy machine the number of one that ended long ago is a stranger's by now.
    if [ "${XT_BORN[$1]-$(xt_born "$1")}" = "$(xt_born "$1")" ]; then
        kill -TERM "$1" 2>/dev/null || :
        xt_wait_for 2 xt_gone "$1" || kill -KILL "$1" 2>/dev/null || :
    fi
    wait "$1" 2>/dev/null || :
}

xt_wait_for() {
    local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
    shift
    until "$@"; do
        [ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
        read -rt 0.02 -u "$XT_NEVER" || :
    done
}

xt_net_down() {
    local pid ns
    trap - EXIT
    for pid in "${XT_PIDS[@]}"; do
        xt_stop "$pid"
    done
    XT_PIDS=()
    for ns in "${XT_NAMESPACES[@]}"; do
        # What a spawned program left behind (daemons that forked away) is in namespaces that are ours alone.
        for pid in $(ip netns pids "$ns" 2>/dev/null); do
            kill -KILL "$pid" 2>/dev/null || :
        done
        ip netns del "$ns" || :
    done
    XT_NAMESPACES=()
    [ -z "${XT_RELAY_PID:-}" ] || rm -f "/tmp/$XT_NS_R.log"
    unset XT_RELAY_PID
    return 0
}
