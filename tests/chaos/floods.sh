#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Floods, blind attacks and peers that do not read, while honest clients are served: all their bytes are right, memory stays within
# bounds, a counter names what came, and afterwards all is as it was.
# usage: floods.sh BUILD [SECONDS]: without SECONDS each kind sends 10000 frames a second until ten requests have been served; with it as
# many as the machine can for that time, and a thousand peers do not read. XT_SEED chooses the frames.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
. "$(dirname "$0")/../lib/census.sh"
EACH=${2:-0}
RATE=(--rate 10000)
SEED=${XT_SEED:-1}
OWN_MAX=4096 SHARED_MAX=32768 # KiB more than before: private; records and buffers
FORGED=10.77.128.0/17         # on the link, for ARP and half-open connections
READERS=200                   # who do not read
SNDBUF=65536
if [ $# -ge 2 ]; then
    RATE=() READERS=1000
    ulimit -n 4096
fi
echo "seed $SEED"
stage_up "$1" clean
# Short times, so that what a flood leaves behind ends within the test.
xtcpd_start --address "$ADDR_X/16" --rcvbuf 1M --sndbuf $SNDBUF --synack-retries 2 --rto-initial 200ms --orphan-retries 3 --msl 100ms
MAC=$(ctl --json status | python3 -c 'import json, sys; print(json.load(sys.stdin)["mac"])')
FLOODS=$(dirname "$0")/floods.py
PORT=7000

xt_spawn x "$WORK/serve.log" env "${XTCP_ENV[@]}" python3 "$FLOODS" serve $PORT
xt_wait_for 20 quiet grep ready "$WORK/serve.log"

ask() { in_k python3 "$FLOODS" ask "$ADDR_X" $PORT "$1"; }
flood() { # KIND ARGS...
    xt_spawn k "$WORK/flood.log" "$BUILD/tests/lib/xt-flood" "$1" --interface "$XT_IF_K" --to "$ADDR_X" --mac "$MAC" --port $PORT \
        --seed "$SEED" --seconds 120 "${RATE[@]}" "${@:2}"
}
# counter NAME: of the "defences" in the daemon's status.
counter() { ctl --json status | sed -n "s/^ *\"$1\": *\([0-9]*\),*$/\1/p"; }
grew() { [ "$(counter "$1")" -gt "$2" ]; }
ticks() { awk '{ print $14 + $15 }' "/proc/$(stack_pid)/stat"; }
sanitized() { grep -q __asan_init "$XTCPD"; }
# Since $MEMORY; what sanitizers keep is not the daemon's.
memory_bounded() {
    local own shared own0 shared0
    read -r own shared < <(memory_of "$XTCPD_PID" "$WORK/xtcpd.sock")
    read -r own0 shared0 <<<"$MEMORY"
    echo "    memory: $((own - own0)) KiB private, $((shared - shared0)) KiB shared more than before"
    sanitized || [ $((own - own0)) -le $OWN_MAX ] || return 1
    [ $((shared - shared0)) -le "${1:-$SHARED_MAX}" ]
}
die() { # what it was comes last: of a long output the end is read
    ctl status
    echo "$*"
    exit 1
}

ask 0 # and all has been used once
STACK=$(stack_pid) MEMORY=$(memory_of "$XTCPD_PID" "$WORK/xtcpd.sock")
CENSUS=$(census "$XTCPD_PID" "$WORK/xtcpd.sock")
as_before() {
    xt_wait_for 60 census_is "$CENSUS" "$XTCPD_PID" "$WORK/xtcpd.sock" ||
        die "before: $CENSUS, after: $(census "$XTCPD_PID" "$WORK/xtcpd.sock")"
}

# under KIND "COUNTERS" ARGS...: honest clients during a flood, which makes each of the counters grow.
under() {
    local kind=$1 c i was=() cpu pid
    for c in $2; do was+=("$(counter "$c")"); done
    cpu=$(ticks)
    flood "$kind" "${@:3}"
    pid=$XT_PID
    xt_wait_for 30 grew "${2%% *}" "${was[0]}" || die "$kind: ${2%% *} does not tell of it: $(cat "$WORK/flood.log")"
    ask "$EACH" >"$WORK/ask.log" || die "$kind: an honest client was not served: $(cat "$WORK/ask.log")"
    i=0
    for c in $2; do xt_wait_for 30 grew "$c" "${was[i++]}" || die "$kind: $c does not tell of it"; done
    [ "$kind" = blind ] || kill -TERM "$pid"
    wait "$pid" || die "$kind: $(cat "$WORK/flood.log")"
    cat "$WORK/flood.log"
    echo "    honest clients: $(cat "$WORK/ask.log"); the daemon took $((($(ticks) - cpu) * 10)) ms of processor time for all"
    memory_bounded || die "$kind: memory"
    for c in $2; do
        echo "    $c $(($(counter "$c") - ${was[0]}))"
        was=("${was[@]:1}")
    done
}

under syn "cookies_sent cookies_ok"
under syn "cookies_sent" --from $FORGED
under ack "drop_listener cookies_bad"
under rst "drop_rst"
under data "drop_listener"
under frag "frags_in drop_frag_full drop_frag_overlap"
under arp "arp_in arp_replaced" --from $FORGED
under icmp "drop_icmp_stray drop_icmp_type" --peer "$ADDR_K"
as_before

# A stack process that stands still for a moment finds its ring full: of what comes from nobody only some is taken then, and of SYNs
# the kernel lets only some in.
RATE=()
ctl config set overload-rate 500
stuffed() { [ "$(in_x cat "/sys/class/net/$IF_X/statistics/rx_packets")" -ge $FULL ]; }
shed() { # COUNTER
    FULL=$(($(in_x cat "/sys/class/net/$IF_X/statistics/rx_packets") + 3000))
    kill -STOP "$STACK"
    xt_wait_for 60 stuffed
    kill -CONT "$STACK"
    grew "$1" "$SHED"
}
for c in shed_syn sieved_syn shed_stray; do
    SHED=$(counter $c) SEED=$((SEED + 1)) # other SYNs than those above
    [ $c = shed_stray ] && flood data || flood syn
    xt_wait_for 60 shed $c || die "overload: $c does not tell of it: $(cat "$WORK/flood.log")"
    ask 0 >"$WORK/ask.log" || die "overload: an honest client was not served: $(cat "$WORK/ask.log")"
    xt_stop "$XT_PID"
    echo "overload, honest clients: $(cat "$WORK/ask.log"); $c $(($(counter $c) - SHED)), SYNs again $(counter syns_again)"
done
ctl config set overload-rate 50000
as_before

# Who knows the four-tuple of a connection, but not its sequence numbers, tries them all: each half of a receive window.
STAY_PORT=20000 # none that the honest clients before may have had, which are in TIME_WAIT
mkfifo "$WORK/stay"
exec 8<>"$WORK/stay"
xt_spawn k "$WORK/stay.log" bash -c 'exec 8>&-; exec python3 "$@" <"$0"' "$WORK/stay" "$FLOODS" stay "$ADDR_X" $PORT $STAY_PORT
STAY=$XT_PID
settled() { grep -q open "$WORK/stay.log" || xt_gone "$STAY"; }
xt_wait_for 60 settled && quiet grep open "$WORK/stay.log" || die "$(cat "$WORK/stay.log")"
RATE=() under blind "challenge_acks challenge_limited drop_rst icmp_ignored" --peer "$ADDR_K" --peer-port $STAY_PORT \
    --step 524288 --count 82000
exec 8>&-
xt_wait_for 60 xt_gone "$STAY" && wait "$STAY" || die "the connection has ended: $(cat "$WORK/stay.log")"
cat "$WORK/stay.log"
as_before

# Peers that ask for much and read nothing, then leave us with it.
mkfifo "$WORK/hold"
exec 8<>"$WORK/hold"
GAVE_UP=$(counter timed_out)
xt_spawn k "$WORK/hold.log" bash -c 'exec 8>&-; exec python3 "$@" <"$0"' "$WORK/hold" "$FLOODS" hold "$ADDR_X" $PORT $READERS
HOLD=$XT_PID
xt_wait_for 60 quiet grep open "$WORK/hold.log" || die "$(cat "$WORK/hold.log")"
echo "$READERS peers do not read"
ask 0 || die "an honest client was not served"
memory_bounded $((SHARED_MAX + READERS * SNDBUF / 1024)) || die "a peer that does not read has more than $SNDBUF bytes"
echo end >&8
gave_up() { [ $(($(counter timed_out) - GAVE_UP)) -ge $READERS ]; }
xt_wait_for 60 gave_up || die "orphans: $(counter timed_out)"
as_before
echo "all of them were given up: timed_out $(($(counter timed_out) - GAVE_UP))"
kill "$HOLD"
ctl status | grep -A 9 "^defences"
[ "$(stack_pid)" = "$STACK" ] || die "another stack process serves: the daemon has crashed"
memory_bounded || die "memory"
