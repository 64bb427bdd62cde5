# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the jobs of tests/e2e/matrix/ are made of. Sourced by matrix.sh on a stage; a job sees:
#   SERVER, CLIENT   k or x: on whose TCP the server and the client of this round run
#   HOST, PORT       the server's address as the client reaches it, and a port of this round's own (PORT+1..PORT+9 too)
#   DIR              a folder of this round's own that any user may enter
#   FILE, WANT       8 MiB that do not compress (in $WORK/www), and their hash
# and uses
#   serve NAME CMD...     a server in the background: output in $DIR/NAME.log, process id in $SERVE_PID
#   on_server CMD...      a command on the server's side, on its TCP
#   client CMD...         a command on the client's side, bounded by $LIMIT seconds
#   client_bg NAME CMD... the same in the background: $CLIENT_PID
#   wait_port [PORT]      until somebody listens there on the server's side
#   same NAME GOT WANTED  a proof: complains and fails unless both are equal
#   hash_of               the hash of the standard input, as in $WANT
#   web NAME              nginx with $WORK/www on $HOST:$PORT
# A job also says which commands it needs, and may name other rounds (rounds="kk xx").
#   note TEXT             shown behind the round's result

LIMIT=60

# What goes before a command so that it runs on that side's TCP. Clients on the kernel's TCP sit where the server does not.
side_of_server() { echo "$SERVER"; }
side_of_client() {
    if [ "$CLIENT$SERVER" = kk ]; then echo x; else echo "$CLIENT"; fi
}
env_of() { # k|x: nothing, or the environment for xtcp
    ENV=()
    [ "$1" = k ] || ENV=(env "${XTCP_ENV[@]}")
}

serve() {
    local name=$1
    shift
    env_of "$SERVER"
    # In a group of its own: apache signals the whole of its group.
    xt_spawn "$(side_of_server)" "$DIR/$name.log" setsid "${ENV[@]}" "$@"
    SERVE_PID=$XT_PID
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
    if [ "$SERVER" = x ]; then
        ctl list --listening | grep -q ":$1\b"
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

# Everything in both namespaces but xtcpd ends.
round_sweep() {
    local pid
    for pid in "${XT_PIDS[@]}"; do
        [ "$pid" = "$XTCPD_PID" ] || xt_stop "$pid"
    done
    XT_PIDS=("$XTCPD_PID")
    for pid in $(ip netns pids "$NS_X") $(ip netns pids "$NS_K"); do
        [ "$pid" = "$XTCPD_PID" ] || [ "$pid" = "$(stack_pid)" ] || kill -KILL "$pid" 2>/dev/null || :
    done
}

# Nothing of the programs is left in the daemon (TIME-WAIT may be).
daemon_at_rest() { ! ctl list --all | grep -v TIME_WAIT | grep -q ':[0-9]'; }

# Requests of 64 KiB without end, from eight threads; and the proof that not one of them failed.
load_start() {
    head -c 65536 "$FILE" >"$WORK/www/small"
    chmod a+r "$WORK/www/small"
    client_bg load /usr/bin/python3 "$MATRIX/load.py" "http://$HOST:$PORT/small" 8 "$(hash_of <"$WORK/www/small")" \
        "$DIR/enough"
    LOAD_PID=$CLIENT_PID
}
# Until a hundred more have been served.
load_more() {
    local goal=$(($(load_count) + 100))
    xt_wait_for 30 load_reached "$goal" || { echo "the load came to a halt"; ctl list; cat "$DIR/load.log"; return 1; }
}
load_count() { stat -c %s "$DIR/enough.count" 2>/dev/null || echo 0; }
load_reached() { [ "$(load_count)" -ge "$1" ] || xt_gone "$LOAD_PID"; }
load_end() {
    touch "$DIR/enough"
    done_well load "$LOAD_PID"
    note "$(load_count) requests, none failed"
}
