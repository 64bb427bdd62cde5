# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# nginx with four workers: reload and binary upgrade under load without one failed request. Then with a listener for each worker
# (reuseport): all of them are served, also after a reload.
commands="nginx"
master() { cat "$WORK/web-$1/nginx.pid" 2>/dev/null; }
new_master() { [ -n "$(master nginx)" ] && [ "$(master nginx)" != "$1" ]; }
workers() { pgrep -P "$1" -f worker | sort | tr '\n' ' '; }
new_workers() { # MASTER OLD: four, and the old ones are gone
    local now
    now=$(workers "$1")
    [ "$(wc -w <<<"$now")" -eq 4 ] && ! grep -qwF -f <(xargs -n 1 <<<"$2") <<<"$now"
}
served() { # the workers that have answered one of a hundred connections
    client curl -s --fail -o /dev/null -H 'Connection: close' -w '%header{x-worker}\n' "http://$HOST:$((PORT + 1))/small?[1-100]" | sort -u | tr '\n' ' '
}
all_served() {
    local got
    got=$(served)
    same "workers that were served" "$got" "$(workers "$SERVE_PID")"
}
reuseport() {
    local old
    rm -rf "$WORK/web-reuseport"
    nginx_conf web-reuseport 4
    sed -i "s/listen 80;/listen $((PORT + 1)) reuseport; add_header X-Worker \$pid;/" "$WORK/web-reuseport/nginx.conf"
    serve reuseport "$(PATH=$PATH:/usr/sbin type -P nginx)" -p "$WORK/web-reuseport" -c "$WORK/web-reuseport/nginx.conf" \
        -e "$WORK/web-reuseport/error.log"
    wait_port $((PORT + 1))
    xt_wait_for 20 new_workers "$SERVE_PID" none
    all_served
    old=$(workers "$SERVE_PID")
    kill -HUP "$SERVE_PID"
    xt_wait_for 20 new_workers "$SERVE_PID" "$old" || { echo "no reload"; cat "$WORK/web-reuseport/error.log"; return 1; }
    all_served
    kill -QUIT "$SERVE_PID"
}
job() {
    local old
    rm -rf "$WORK/web-nginx"
    nginx_conf web-nginx 4
    # As a daemon: one that still has its parent refuses to be upgraded.
    sed -i "s/listen 80;/listen $PORT;/; s/daemon off/daemon on/" "$WORK/web-nginx/nginx.conf"
    serve nginx "$(PATH=$PATH:/usr/sbin type -P nginx)" -p "$WORK/web-nginx" -c "$WORK/web-nginx/nginx.conf" -e "$WORK/web-nginx/error.log"
    wait_port
    xt_wait_for 20 new_master "" # it listens before it writes that down
    SERVE_PID=$(master nginx)
    load_start
    load_more
    old=$(workers "$SERVE_PID")
    kill -HUP "$SERVE_PID"
    xt_wait_for 20 new_workers "$SERVE_PID" "$old" || { echo "no reload: $old, $(workers "$SERVE_PID")"; cat "$WORK/web-nginx/error.log"; return 1; }
    load_more
    kill -USR2 "$SERVE_PID"
    xt_wait_for 20 new_master "$SERVE_PID" || { echo "no upgrade"; cat "$WORK/web-nginx/error.log"; return 1; }
    load_more
    kill -QUIT "$SERVE_PID"
    xt_wait_for 20 xt_gone "$SERVE_PID" || { echo "the old master stays"; return 1; }
    load_more
    load_end
    same "errors in the log" "$(grep -c 'emerg\|alert\|crit' "$WORK/web-nginx/error.log")" 0
    kill -TERM "$(master nginx)"
    reuseport
}
