# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# mosquitto: a message of 8 MiB, 500 with an answer each, a will of a client that is killed.
commands="mosquitto mosquitto_pub mosquitto_sub"
sub() { client_bg "$1" mosquitto_sub -h "$HOST" -p "$PORT" "${@:2}"; }
pub() { client mosquitto_pub -h "$HOST" -p "$PORT" "$@"; }
subscribed() { [ "$(grep -c 'Sending SUBACK' "$DIR/mosquitto.log")" -ge "$1" ]; }
job() {
    local will
    printf 'listener %s 0.0.0.0\nallow_anonymous true\n' "$PORT" >"$DIR/conf"
    serve mosquitto mosquitto -v -c "$DIR/conf"
    wait_port
    sub big -t big -C 1 -N
    local big=$CLIENT_PID
    sub many -t many -q 2 -C 500
    local many=$CLIENT_PID
    sub will -t gone -C 1
    will=$CLIENT_PID
    sub dying -t nothing --will-topic gone --will-payload farewell
    xt_wait_for 20 subscribed 4
    pub -t big -f "$FILE"
    seq 500 | pub -t many -q 2 -l
    done_well big "$big" && done_well many "$many"
    same "a message of 8 MiB" "$(hash_of <"$DIR/big.log")" "$WANT"
    same "500 messages" "$(hash_of <"$DIR/many.log")" "$(seq 500 | hash_of)"
    kill -KILL $(pgrep -f -- "-p $PORT -t nothing" | grep -vx "$CLIENT_PID")
    done_well will "$will"
    same "a will" "$(cat "$DIR/will.log")" farewell
}
