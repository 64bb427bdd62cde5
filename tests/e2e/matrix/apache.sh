# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# apache with the event and the prefork module: files, a graceful restart under load.
commands="apache2 curl"
mods=/usr/lib/apache2/modules
resumed() { [ "$(grep -c 'resuming normal operations' "$DIR/$1/error.log")" -ge "$2" ]; }
one_mpm() {
    mkdir -p "$DIR/$1"
    cat >"$DIR/$1/conf" <<CONF
ServerRoot $DIR/$1
DefaultRuntimeDir $DIR/$1
PidFile $DIR/$1/pid
ErrorLog $DIR/$1/error.log
ServerName matrix
Listen $PORT
LoadModule mpm_$1_module $mods/mod_mpm_$1.so
LoadModule authz_core_module $mods/mod_authz_core.so
User nobody
Group nogroup
StartServers 2
ServerLimit 16
DocumentRoot $WORK/www
CONF
    serve "$1" apache2 -f "$DIR/$1/conf" -DFOREGROUND
    wait_port
    same "$1: a file" "$(client curl -sS --fail "http://$HOST:$PORT/file" | hash_of)" "$WANT"
    # Responses that fit the send buffer. The event module counts a connection when a worker begins with it: when a restart comes while
    # all that it accepted still wait for one, its poller ends, and what does not fit is never sent (on the kernel's TCP neither).
    load_start 49152
    load_more
    kill -USR1 "$SERVE_PID"
    xt_wait_for 20 resumed "$1" 2 || { echo "no restart"; cat "$DIR/$1/error.log"; return 1; }
    load_more
    load_more
    load_end
    rm "$DIR/enough"*
    same "$1: errors in the log" "$(grep -c ':emerg\|:alert\|:crit\|:error' "$DIR/$1/error.log")" 0
    xt_stop "$SERVE_PID"
}
job() {
    one_mpm event
    PORT=$((PORT + 1))
    one_mpm prefork
}
