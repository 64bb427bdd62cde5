#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# xtcpctl as a person and as a program would use it, and xtcpd's words about wrong settings.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
chmod 755 "$WORK" # strangers are to come as far as the socket
[ -z "${XT_TEST_PLAIN:-}" ] || export XTCP_PRELOAD=$PRELOAD # for `xtcpctl run`, which else takes the one beside it
make_file 16
failures=0

# check NAME EXIT-CODE PATTERN CMD...: the command's exit code, and a pattern in what it says.
check() {
    local name=$1 code=$2 pattern=$3 rc=0 out
    shift 3
    out=$("$@" 2>&1) || rc=$?
    if [ $rc -eq "$code" ] && grep -qE -- "$pattern" <<<"$out"; then
        echo "ok    $name"
    else
        echo "FAIL  $name: exit code $rc (wanted $code), said: $out"
        failures=$((failures + 1))
    fi
}
field() { python3 -c 'import json, sys; r = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }

daemon() { in_x "$XTCPD" --socket "$WORK/other.sock" "$@"; }
check "no daemon" 3 "xtcpd does not run at $WORK/xtcpd.sock" ctl list
check "run without a daemon" 3 "xtcpd does not run" ctl run -- true
check "run without one, the kernel being as good" 0 "^done$" env XTCP_FALLBACK=kernel "$XTCPCTL" --socket "$WORK/xtcpd.sock" run -- echo done
check "version" 0 "^xtcpctl [0-9.]+$" ctl --version
check "unknown command" 2 "no command 'frob'" ctl frob
check "wrong setting" 2 "no setting 'interfac': did you mean 'interface'" daemon --interfac x
check "for the journal" 2 "^<3>xtcpd: there is no setting 'interfac'" \
    sh -c 'JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) exec "$@"' sh "$XTCPD" --interfac x
check "wrong interface" 2 "no interface 'nope'" daemon --interface nope --address "$ADDR_X/24"
check "wrong address" 2 "must be an IPv4 address with its prefix length" daemon --interface "$IF_X" --address 10.77.2/24
check "the kernel's address" 2 "$ADDR_XK" daemon --interface "$IF_X" --address "$ADDR_XK/24"
check "wrong value" 2 "mtu" daemon --interface "$IF_X" --address "$ADDR_X/24" --mtu 17
check "no privilege" 2 "CAP_NET_RAW|root" in_x setpriv --reuid 65534 --clear-groups "$XTCPD" --interface "$IF_X" \
    --address "$ADDR_X/24" --socket "$WORK/other.sock"
printf '[xtcpd]\ninterface = %s\naddress = %s/24\ngateway = %s\nmsl = 7s\n' "$IF_X" "$ADDR_X" "$ADDR_K" >"$WORK/good.conf"
check "settings as a file" 0 "msl = 7s" daemon --config "$WORK/good.conf" --print-config
printf '[xtcpd]\nmtuu = 4\n' >"$WORK/bad.conf"
check "a folder for a file" 2 "cannot read $WORK: Is a directory" daemon --config "$WORK"
check "a file's wrong line" 2 "bad.conf:2: there is no setting 'mtuu'" daemon --config "$WORK/bad.conf"

xtcpd_start
check "one daemon for a socket" 2 "another xtcpd serves" in_x "$XTCPD" --interface "$IF_X" --address "$ADDR_X/24" --socket "$WORK/xtcpd.sock"
check "one daemon for an address" 2 "another xtcpd serves $ADDR_X on interface '$IF_X'" daemon --interface "$IF_X" --address "$ADDR_X/24"
check "which leaves nothing" 0 "" sh -c "! ls '$WORK'/other.sock* 2>&1"
nginx_kernel_start
nginx_xtcp_start
xt_spawn x /dev/null "$XTCPCTL" --socket "$WORK/xtcpd.sock" run -- curl -sS --limit-rate 300k -o /dev/null "http://$ADDR_K/file"
client=$XT_PID
xt_wait_for 30 listed 'ESTABLISHED.*curl'
check "status" 0 "interface +$IF_X \(up\), address $ADDR_X" ctl status
some=[1-9][0-9]*
[ -z "${XT_TEST_PLAIN:-}" ] || some=0 # a sanitizer's allocator does not tell
check "status: memory" 0 "memory +$some KiB allocated" ctl status
check "list" 0 "ESTABLISHED .*$ADDR_X:[0-9]+ +$ADDR_K:80 +curl/$client" ctl list
check "list of listeners" 0 "LISTEN .*:80 .*nginx" ctl list --listening
check "list by state" 0 "ESTABLISHED" ctl list --state ESTABLISHED
check "wrong state" 2 "STATE|state" ctl list --state OPEN
id=$(ctl --json list | field '[c for c in (r["connections"] if isinstance(r, dict) else r) if c["state"] == "ESTABLISHED"][0]["id"]')
check "show" 0 "ESTABLISHED" ctl show "$id"
check "show: what held it up" 0 "^rwnd_limited +[0-9.]+ ms " ctl show "$id"
check "show as JSON" 0 '"state": *"ESTABLISHED"' ctl --json show "$id"
check "show of nothing" 1 "no connection" ctl show 65000
check "stats" 0 "tcp.segs_in +[0-9]+ +segments received" ctl stats
check "stats as JSON" 0 "segs_in" ctl --json stats
check "config" 0 "delack" ctl config
check "config set" 0 "" ctl config set delack 25ms
check "config as set" 0 "delack +=? *25" ctl config
check "config set of what may not change" 1 "interface" ctl config set interface lo
check "config set of nonsense" 1 "delack" ctl config set delack soon
check "close" 0 "" ctl close "$id"
xt_wait_for 60 xt_gone "$client"
rc=0
wait "$client" || rc=$?
check "an ended connection is an error to its program, not an end of file" 56 "" sh -c "exit $rc"
xt_spawn x "$WORK/capture.log" "$XTCPCTL" --socket "$WORK/xtcpd.sock" capture "$WORK/capture.pcap" 12
capture=$XT_PID
seen() { [ -s "$WORK/capture.pcap" ] || return 1; on_xtcp curl -sS -o /dev/null "http://$ADDR_X/file"; xt_gone "$capture"; }
xt_wait_for 20 seen
check "a capture of connections within" 0 "$ADDR_X.[0-9]+ > $ADDR_X.80: Flags .S." tcpdump -Z root -nr "$WORK/capture.pcap"
check "a capture says how much it has" 0 "^12 frames captured, 0 lost" cat "$WORK/capture.log"
check "a capture that finds no room" 1 "No space left" ctl capture /dev/full
check "and is not in the way of the next" 1 "No space left" ctl capture /dev/full
check "a capture to nowhere" 1 "cannot write $WORK/no/file" ctl capture "$WORK/no/file"
stranger_captures() { setpriv --reuid 65534 --clear-groups "$XTCPCTL" --socket "$WORK/xtcpd.sock" capture "$@"; }
check "a capture for a stranger" 1 "only root" stranger_captures -
check "which is no file" 0 "^0$" sh -c "setpriv --reuid 65534 --clear-groups '$XTCPCTL' --socket '$WORK/xtcpd.sock' capture - 2>/dev/null | wc -c"
mkdir -m 777 "$WORK/open"
check "nor leaves one" 1 "only root" stranger_captures "$WORK/open/file"
check "as is seen" 0 "^$" ls "$WORK/open"
check "a capture of no number" 2 "a file and a number" ctl capture - none
check "flush-time-wait" 0 "" ctl flush-time-wait
logged() { grep -q "$1" "$WORK/xtcpd.log"; }
tells() { xt_wait_for 30 logged "$1"; } # PATTERN: the daemon's log, some time
check "the log says who serves" 0 "" logged "serving on $IF_X: address $ADDR_X/24, gateway .*, mac 02:.*, mtu 1500, control socket $WORK"
kill -HUP "$XTCPD_PID"
check "the settings are read again" 0 "" tells "delack is now 40ms (was 25ms)"
kill -HUP "$XTCPD_PID"
check "and again" 0 "" tells "read again: nothing has changed"
ip -n "$NS_X" addr add "$ADDR_X/32" dev lo
check "the kernel is given our address" 0 "" tells "address conflict with this host: address $ADDR_X belongs to the kernel on interface 'lo': .*del $ADDR_X/32 dev lo"
ip -n "$NS_X" addr del "$ADDR_X/32" dev lo
check "and loses it" 0 "" tells "the kernel has our address no more"
ip -n "$NS_X" link set "$IF_X" mtu 1400
check "an MTU that is too small" 0 "" tells "interface $IF_X has an MTU of 1400 now, less than our mtu of 1500"
ip -n "$NS_X" link set "$IF_X" mtu 1500
check "administration by a stranger" 1 "root|not allowed|may not" \
    in_x setpriv --reuid 65534 --clear-groups "$XTCPCTL" --socket "$WORK/xtcpd.sock" close 1
printf 'int main(void) { return 0; }\n' >"$WORK/static.c"
gcc -static -o "$WORK/static" "$WORK/static.c"
check "a static program" 1 "static" ctl run -- "$WORK/static"
check "no such program" 127 "nosuch" ctl run -- "$WORK/nosuch"
check "no such program in the PATH" 127 "nosuch" ctl run nosuch
gcc -static-pie -o "$WORK/static-pie" "$WORK/static.c"
check "a static program that is position-independent" 1 "static" ctl run -- "$WORK/static-pie"
check "not to be executed" 126 "may not be executed" ctl run -- "$WORK/static.c"
check "a folder" 126 "may not be executed" ctl run -- "$WORK"
printf '#!%s\n' "$WORK/static" >"$WORK/script"
chmod +x "$WORK/script"
check "a script of a static interpreter" 1 "is run by $WORK/static, which is statically" ctl run -- "$WORK/script"
to=$WORK/static
for i in 1 2 3 4 5; do
    printf '#!%s\n' "$to" >"$WORK/chain$i"
    chmod +x "$WORK/chain$i"
    to=$WORK/chain$i
done
check "scripts whose interpreters are scripts, as many as the kernel follows" 1 "is run by $WORK/static, which is statically" ctl run -- "$WORK/chain5"
check "no address space" 7 "xtcp: cannot map the shared memory .is address space limited" \
    in_x sh -c 'ulimit -v 2000000; exec env "$@"' sh "${XTCP_ENV[@]}" curl -sS "http://$ADDR_K/file"
check "a relative path" 1 "^xtcpctl: ./static is statically" env -C "$WORK" "$XTCPCTL" --socket "$WORK/xtcpd.sock" run -- ./static
printf '#!static\n' >"$WORK/relative"
chmod +x "$WORK/relative"
check "a relative interpreter" 1 "is run by static, which is statically" env -C "$WORK" "$XTCPCTL" --socket "$WORK/xtcpd.sock" run -- ./relative
check "a program found in the PATH" 1 "^xtcpctl: $WORK/static is statically" \
    env PATH="$WORK:$PATH" "$XTCPCTL" --socket "$WORK/xtcpd.sock" run static
check "a program of Go" 1 "Go" ctl run -- "$PLAIN/tests/e2e/gonote"
stranger() { in_x setpriv --reuid 65534 --regid 65534 --clear-groups "$@" "$XTCPCTL" --socket "$WORK/xtcpd.sock" run -- "$WORK/setid"; }
cp /bin/true "$WORK/setid"
chmod 4755 "$WORK/setid"
check "set-user-ID of the user who runs it" 0 "" ctl run -- "$WORK/setid"
check "set-user-ID of another" 1 "set-user-ID" stranger
check "set-user-ID where that does not count" 0 "" stranger --no-new-privs
chmod 2755 "$WORK/setid"
check "set-group-ID of another" 1 "set-group-ID" stranger
chmod 755 "$WORK/setid"
if setcap cap_net_raw+ep "$WORK/setid" 2>/dev/null; then
    check "capabilities of a file, for root" 0 "" ctl run -- "$WORK/setid"
    check "capabilities of a file" 1 "has file capabilities" stranger
else
    echo "SKIP  capabilities of a file: no setcap, or not on this file system"
fi
{ printf '\177ELF\001'; head -c 100 /dev/zero; } >"$WORK/foreign"
chmod +x "$WORK/foreign"
check "a program of 32 bit" 1 "64 bit" ctl run -- "$WORK/foreign"
check "a program's exit code" 42 "" ctl run -- sh -c 'exit 42'
check "a program's signal" 143 "" sh -c "$XTCPCTL --socket $WORK/xtcpd.sock run -- sh -c 'kill \$\$'; exit \$?"
check "a wrong rule" 2 "XTCP_RULES, column 13: 'kernal' is not" env XTCP_RULES="xtcp :1-9 , kernal" "$XTCPCTL" --socket "$WORK/xtcpd.sock" run true
check "a wrong rule in the settings" 2 "rules.*column 1: 'kernal' is not" daemon --interface "$IF_X" --address "$ADDR_X/24" --rules "kernal :1"
check "no rules but the defaults" 0 "default +both listen 0.0.0.0" ctl rules
check "rules may change" 0 "" ctl config set rules "kernel :80 by curl"
check "and decide" 0 "kernel .*rule 'kernel :80 by curl' of xtcpd" on_xtcp env XTCP_LOG=debug curl -sS -o /dev/null "http://$ADDR_K/file"
check "rules" 0 "xtcpd +kernel :80 by curl" ctl rules
check "rules of one program" 0 "XTCP_RULES +xtcp by x" env XTCP_RULES="xtcp by x" "$XTCPCTL" --socket "$WORK/xtcpd.sock" rules
check "rules as JSON" 0 '"from": *"xtcpd"' ctl --json rules
test_rules() { in_x env XTCP_RULES="${RULES:-}" "$XTCPCTL" --socket "$WORK/xtcpd.sock" rules test "$@"; }
check "a rule tested" 0 "^kernel: rule 'kernel :80 by curl' of xtcpd$" test_rules /usr/bin/curl connect "$ADDR_K:80"
check "another program" 0 "^xtcp: default$" test_rules wget connect "$ADDR_K:80"
check "another port" 0 "^xtcp: default$" test_rules curl connect "$ADDR_K:81"
RULES="xtcp connect :80" check "a rule before it" 0 "^xtcp: rule 'xtcp connect :80' of XTCP_RULES$" test_rules curl connect "$ADDR_K:80"
check "a wildcard listener" 0 "^both: default$" test_rules nginx bind "*:80"
check "loopback" 0 "^kernel: loopback$" test_rules nginx bind 127.0.0.1:80
check "xtcp's own address" 0 "^xtcp: default$" test_rules curl connect "$ADDR_X:443"
check "the host's own address" 0 "^kernel: this host's own address$" test_rules wget connect "$ADDR_XK:80"
check "a test of no address" 2 "'host' is not an IPv4 address" test_rules wget connect host
check "a test of nothing" 2 "rules test PROGRAM listen.connect" test_rules wget
check "rules are no secret" 0 "kernel :80 by curl" in_x setpriv --reuid 65534 --clear-groups "$XTCPCTL" --socket "$WORK/xtcpd.sock" rules
check "the words about rules" 0 "XTCP_RULES +rules of one program" ctl run --help
check "a port below 1024 is root's" 1 "Permission denied" \
    on_xtcp setpriv --reuid 65534 --clear-groups nc -l "$ADDR_X" 81
xt_stop "$XTCPD_PID"
check "a server outlives xtcpd" 0 "" in_k curl -sS --fail -m 60 -o /dev/null "http://$ADDR_XK/file"
before=$(pgrep -P "$NGINX_X_PID")
kill -HUP "$NGINX_X_PID"
fresh() { now=$(pgrep -P "$NGINX_X_PID") && ! grep -qxF "$before" <<<"$now"; }
check "and can be told to begin anew" 0 "" xt_wait_for 30 fresh
check "its log says nothing of that" 0 "" sh -c "! grep -E 'accept|epoll_ctl' '$WORK/nginx-x/error.log'"
check "and it goes on" 0 "" in_k curl -sS --fail -m 60 -o /dev/null "http://$ADDR_XK/file"
[ $failures -eq 0 ]
