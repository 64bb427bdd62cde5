# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# inetd, which hands each connection to a program as 0, 1 and 2: cat, perl; telnet as a client.
commands="inetd telnet socat perl"
answered() { grep -q hello "$DIR/telnet"; }
job() {
    printf '%s stream tcp nowait root /bin/cat cat\n' "$PORT" >"$DIR/conf"
    printf '%s stream tcp nowait root /usr/bin/perl perl -e print(sprintf("%%s",join("",map{chr(65+$_%%26)}(0..99999))))\n' $((PORT + 2)) >>"$DIR/conf"
    serve inetd inetd -i "$DIR/conf"
    wait_port
    wait_port $((PORT + 2))
    same "cat" "$(client socat -t 20 - "TCP:$HOST:$PORT" <"$FILE" | hash_of)" "$WANT"
    same "perl" "$(client socat -u "TCP:$HOST:$((PORT + 2))" - | wc -c)" 100000
    (echo hello; xt_wait_for 20 answered) | client telnet "$HOST" "$PORT" >"$DIR/telnet" 2>/dev/null || : # it says 1 at the end of its input
    same "telnet" "$(tr -d '\r' <"$DIR/telnet" | grep -c '^hello$')" 1
}
