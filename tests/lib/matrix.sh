# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the jobs of tests/e2e/matrix/ are made of. Sourced by matrix.sh on a stage; a job sees:
#   SERVER, CLIENT   k, x or, the server only, y: on whose TCP the server and the client of this round run. y is another
#                    xtcpd than x, on the kernel's end of the wire
#   HOST, PORT       the server's address as the client reaches it, and a port of this round's own (PORT+1..PORT+9 too)
#   DIR              a folder of this round's own that any user may enter
#   FILE, WANT, SIZE 8 MiB that do not compress (in $WORK/www), their hash, and 8 MiB; when jobs are repeated, 1 MiB
#   $(amount N)      N, when jobs are repeated a tenth of it
# and uses
#   serve NAME CMD...     a server in the background: output in $DIR/NAME.log, process id in $SERVE_PID
#   serve_root NAME CMD...  likewise a server that root logs in at: there its home is $DIR/home, its shell reads no file of this
#                         machine's root, and nothing is in /run
#   on_server CMD...      a command on the server's side, on its TCP
#   client CMD...         a command on the client's side, bounded by $LIMIT seconds
#   client_bg NAME CMD... the same in the background: $CLIENT_PID
#   wait_port [PORT]      until somebody listens there on the server's side
#   same NAME GOT WANTED  a proof: complains and fails unless both are equal
#   hash_of               the hash of the standard input, as in $WANT
#   web NAME              nginx with $WORK/www on $HOST:$PORT
#   behind NAME CMD...    a server that the server asks, on the kernel's TCP, at $BEHIND:$((PORT + 1))
#   web_behind            the same nginx there
#   note TEXT             shown behind the round's result
# A job also says which commands it needs, may name other rounds (rounds="kk xx") and have a
# function prepare() that runs before the first (77: skip).

LIMIT=${LIMIT:-60}
amount() { echo $((${REPEAT:-1} > 1 ? ($1 + 9) / 10 : $1)); }

# On which end of the wire, k or x, that side's programs are. Clients on the kernel's TCP sit where the server does not.
side_of_server() { if [ "$SERVER" = x ]; then echo x; else echo k; fi; }
side_of_client() { if [ "$SERVER" = x ]; then echo "$CLIENT"; else echo x; fi; }
env_of() { # k|x|y: what goes before a command so that it runs on that TCP
    case $1 in
    k) ENV=() ;;
    x) ENV=("$PLAIN/tools/ctl/xtcpctl" --socket "$WORK/xtcpd.sock" run --) ;;
    y) ENV=("$PLAIN/tools/ctl/xtcpctl" --socket "$WORK/other.sock" run --) ;;
    esac
}
ctl_of() { # x|y ARGS...: nothing when it does not run
    local sock=xtcpd.sock
    [ "$1" = x ] || sock=other.sock
    [ ! -S "$WORK/$sock" ] || "$XTCPCTL" --socket "$WORK/$sock" "${@:2}"
}

serve() {
    local name=$1
    shift
    env_of "$SERVER"
    # In a group of its own: apache signals the whole of its group.
    xt_spawn "$(side_of_server)" "$DIR/$name.log" setsid "${ENV[@]}" "$@"
    SERVE_PID=$XT_PID
}
serve_root() {
    mkdir -p -m 700 "$DIR/home"
    sed -E "s,^(root(:[^:]*){4}):.*,\\1:$DIR/home:/bin/sh," /etc/passwd >"$DIR/passwd"
    chmod 644 "$DIR/passwd"
    serve "$1" unshare -m sh -c 'mount --bind "$0" /etc/passwd && mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec "$@"' \
        "$DIR/passwd" "${@:2}"
}
on_server() {
    env_of "$SERVER"
    xt_in "$(side_of_server)" "${ENV[@]}" timeout -k 2 "$LIMIT" "$@"
}
client() {
    env_of "$CLIENT"
    xt_in "$(side_of_client)" "${ENV[@]}" timeout -k 2 "$LIMIT" "$@"
}
client_bg() {
    local name=$1
    shift
    env_of "$CLIENT"
    xt_spawn "$(side_of_client)" "$DIR/$name.log" "${ENV[@]}" timeout -k 2 "$LIMIT" "$@"
    CLIENT_PID=$XT_PID
}
done_well() { # NAME PID: waits for a command in the background, shows what it said if it failed
    local rc=0
    wait "$2" || rc=$?
    [ $rc -eq 0 ] && return 0
    echo "$1 failed ($rc):"
    tail -n 20 "$DIR/$1.log"
    return 1
}

listens() {
    if [ "$SERVER" != k ]; then
        ctl_of "$SERVER" list --listening | grep -q ":$1\b"
    else
        [ -n "$(in_k ss -Hltn "sport = :$1")" ]
    fi
}
wait_port() {
    xt_wait_for 20 listens "${1:-$PORT}" && return 0
    echo "nobody listens on port ${1:-$PORT}; what was started said:"
    tail -n 20 "$DIR"/*.log
    return 1
}

client_listens() { [ -n "$(xt_in "$(side_of_client)" ss -Hltn "sport = :$1")" ]; }

same() {
    [ "$2" = "$3" ] && return 0
    printf '%s: got "%.200s", wanted "%.200s"\n' "$1" "$2" "$3"
    return 1
}
hash_of() { sha256sum | cut -d ' ' -f 1; }
note() { echo "$*" >"$DIR/note"; }

web() {
    nginx_conf "web-$1" 1
    sed -i "s/listen 80;/listen $PORT;/" "$WORK/web-$1/nginx.conf"
    serve "$1" nginx -p "$WORK/web-$1" -c "$WORK/web-$1/nginx.conf" -e "$WORK/web-$1/error.log"
    wait_port
}

behind() {
    # On the other end than a daemon's, whose own kernel does not see what it sends.
    local side=k
    BEHIND=$ADDR_K
    if [ "$SERVER" = y ]; then
        side=x
        BEHIND=$ADDR_XK
    fi
    xt_spawn $side "$DIR/$1.log" "${@:2}"
    xt_wait_for 20 behind_listens "$side" $((PORT + 1)) || { cat "$DIR/$1.log"; return 1; }
}
web_behind() {
    rm -rf "$WORK/web-behind"
    nginx_conf web-behind 1
    sed -i "s/listen 80;/listen $((PORT + 1));/" "$WORK/web-behind/nginx.conf"
    behind nginx nginx -p "$WORK/web-behind" -c "$WORK/web-behind/nginx.conf" -e "$WORK/web-behind/error.log"
}
behind_listens() { [ -n "$(xt_in "$1" ss -Hltn "sport = :$2")" ]; }

# The second daemon, beside the kernel's own stack on its end.
ADDR_Y=10.77.0.4
other_start() {
    [ -z "${OTHER_PID:-}" ] || return 0
    xt_spawn k "$WORK/other.log" "$XTCPD" --interface "$XT_IF_K" --address "$ADDR_Y/24" --socket "$WORK/other.sock"
    OTHER_PID=$XT_PID
    xt_wait_for 30 other_serves || { cat "$WORK/other.log"; return 1; }
}
other_serves() { [ -S "$WORK/other.sock" ] && quiet ctl_of y status; }
# The stack processes of both.
stacks() { pgrep -d ' ' -P "$XTCPD_PID${OTHER_PID:+,$OTHER_PID}"; }

# Everything in both namespaces but the daemons ends.
round_sweep() {
    local pid daemons
    daemons=" $XTCPD_PID ${OTHER_PID:-} $(stacks) "
    for pid in "${XT_PIDS[@]}"; do
        [[ $daemons == *" $pid "* ]] || xt_stop "$pid"
    done
    XT_PIDS=("$XTCPD_PID" ${OTHER_PID:-})
    for pid in $(ip netns pids "$NS_X") $(ip netns pids "$NS_K"); do
        [[ $daemons == *" $pid "* ]] || kill -KILL "$pid" 2>/dev/null || :
    done
}

# Nothing of the programs is left in the daemons (TIME-WAIT may be).
daemons_at_rest() { ! { ctl_of x list --all; ctl_of y list --all; } | grep -v TIME_WAIT | grep -q ':[0-9]'; }

# Requests of so many bytes (64 KiB unless told otherwise) without end, from eight threads; and the proof that not one failed.
load_start() {
    head -c "${1:-65536}" "$FILE" >"$WORK/www/small"
    chmod a+r "$WORK/www/small"
    client_bg load /usr/bin/python3 "$MATRIX/load.py" "http://$HOST:$PORT/small" 8 "$(hash_of <"$WORK/www/small")" \
        "$DIR/enough"
    LOAD_PID=$CLIENT_PID
}
# Until a hundred more have been served.
load_more() {
    local goal=$(($(load_count) + $(amount 100)))
    xt_wait_for 30 load_reached "$goal" || { echo "the load came to a halt"; ctl_of "$SERVER" list; cat "$DIR/load.log"; return 1; }
}
load_count() { stat -c %s "$DIR/enough.count" 2>/dev/null || echo 0; }
load_reached() { [ "$(load_count)" -ge "$1" ] || xt_gone "$LOAD_PID"; }
load_end() {
    touch "$DIR/enough"
    done_well load "$LOAD_PID"
    note "$(load_count) requests, none failed"
}
