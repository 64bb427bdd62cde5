# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# squid in front of nginx: a file, the same through CONNECT, thirty at once, a page that is not there.
commands="squid curl nginx"
job() {
    web_behind
    cat >"$DIR/conf" <<CONF
http_port $PORT
http_access allow all
cache deny all
access_log none
cache_log $DIR/cache.log
pid_filename $DIR/pid
coredump_dir $DIR
cache_effective_user proxy
shutdown_lifetime 1 seconds
CONF
    chmod 777 "$DIR"
    serve squid squid -N -n "m$PORT" -f "$DIR/conf"
    wait_port
    local url=http://$BEHIND:$((PORT + 1))
    same "a file" "$(client curl -sS --fail -x "$HOST:$PORT" "$url/file" | hash_of)" "$WANT"
    same "CONNECT" "$(client curl -sS --fail -p -x "$HOST:$PORT" "$url/file" | hash_of)" "$WANT"
    client curl -sS --fail -Z --no-progress-meter -x "$HOST:$PORT" "$url/file?[1-30]" -o "$DIR/got#1"
    same "thirty at once" "$(for f in "$DIR"/got*; do hash_of <"$f"; done | sort | uniq -c | tr -s ' ')" " 30 $WANT"
    same "a missing file" "$(client curl -s -o /dev/null -w '%{http_code}' -x "$HOST:$PORT" "$url/none")" 404
}
