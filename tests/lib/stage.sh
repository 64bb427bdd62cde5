# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A stage for real jobs: the throw-away network of netns.sh with a folder for the run's files. To be sourced.
#
#   stage_up BUILD clean|captured|impaired|far [xt-relay options]
#       clean      a veth pair as it is: super-frames and partial checksums pass
#       captured   offloads off, so that a capture shows what a wire would
#       impaired   a relay in between: 1 % loss, 1 % reordered, seeded, unless its options say otherwise
#       far        likewise: 100 ms there and back, 200 Mbit/s
#   stack_pid, capture_start, capture_stop, capture_check: see below

. "$(dirname "${BASH_SOURCE[0]}")/netns.sh"

stage_up() {
    BUILD=$1
    XT_BUILD=$1
    WORK=$(mktemp -d /tmp/xtcp-stage.XXXXXX)
    chmod 711 "$WORK" # xtcpd becomes another user, who reads its file again
    case $2 in
    clean) xt_net_up ;;
    captured) XT_OFFLOAD=off && xt_net_up ;;
    impaired)
        [ $# -gt 2 ] || set -- "$@" --loss 1% --reorder 1% --seed "${XT_SEED:-1}"
        xt_net_up_relay "${@:3}"
        ;;
    far) xt_net_up_relay --delay 50ms --rate 200M --queue 4194304 ;;
    *)
        echo "stage_up: no line called '$2'" >&2
        return 2
        ;;
    esac || return
    trap 'stage_down' EXIT
    trap 'stage_down; trap - INT; kill -INT $$' INT
    trap 'stage_down; trap - TERM; kill -TERM $$' TERM
    NS_X=$XT_NS_X NS_K=$XT_NS_K IF_X=$XT_IF_X ADDR_X=$XT_ADDR_X ADDR_K=$XT_ADDR_K
    ADDR_XK=10.77.0.3 # the kernel's own address on the xtcp end, for comparisons over the same veth
    ip -n "$NS_X" addr add "$ADDR_XK/24" dev "$IF_X"
    . "$(dirname "${BASH_SOURCE[0]}")/jobs.sh"
}

stage_down() {
    local rc=$?
    xt_net_down
    [ $rc -eq 0 ] || [ ! -s "$WORK/xtcpd.log" ] || {
        echo "-- xtcpd's log, its warnings:"
        grep -E '^[^ ]+ [^ ]+ (warn|error) ' "$WORK/xtcpd.log" | tail -n 40 || :
        echo "-- and its end:"
        tail -n 40 "$WORK/xtcpd.log"
    } >&2
    rm -rf "$WORK"
    return $rc
}

# The process that owns the packet socket now (the keeper's child).
stack_pid() { pgrep -P "$XTCPD_PID" | head -n 1; }

# A capture on the kernel's end, of headers only.
capture_start() {
    xt_spawn k "$WORK/tcpdump.log" tcpdump -i "$XT_IF_K" -s 128 -B 65536 --immediate-mode -w "$WORK/capture.pcap" tcp
    CAPTURE_PID=$XT_PID
    xt_wait_for 30 grep -q 'listening on' "$WORK/tcpdump.log"
}

capture_stop() { xt_stop "$CAPTURE_PID"; }

# What tshark thinks of what xtcpd sent: nothing malformed, no bad checksum, nothing sent twice.
# The random file is not looked into: some of it passes for malformed HTTP.
capture_check() {
    local bad total
    total=$(tshark -r "$WORK/capture.pcap" -Y "ip.src == $ADDR_X" 2>/dev/null | wc -l)
    bad=$(tshark -r "$WORK/capture.pcap" --disable-protocol http -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -Y \
        "ip.src == $ADDR_X && (_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 ||
         tcp.analysis.retransmission || tcp.analysis.spurious_retransmission)" 2>/dev/null | head -n 20)
    if [ -n "$bad" ] || [ "$total" -lt 100 ]; then
        echo "capture: of $total segments from $ADDR_X these are bad:"
        echo "$bad"
        return 1
    fi
    echo "capture: $total segments from $ADDR_X, none malformed, no bad checksum, no retransmission"
}
