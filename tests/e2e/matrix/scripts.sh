# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Small languages as clients of socat: gawk's /inet, lua, tcl, guile, bash.
commands="gawk lua5.1 tclsh guile socat"
job() {
    serve cat socat "TCP-LISTEN:$PORT,fork,reuseaddr" SYSTEM:'read x; echo got $x'
    wait_port
    same "gawk" "$(client gawk -v "s=/inet/tcp/0/$HOST/$PORT" 'BEGIN { print "hello" |& s; s |& getline x; print x }')" "got hello"
    echo 's = require("socket").connect(arg[1], tonumber(arg[2])) s:send("hello\n") print((s:receive("*l")))' >"$DIR/lua"
    same "lua" "$(client lua5.1 "$DIR/lua" "$HOST" "$PORT")" "got hello"
    same "tcl" "$(echo 'set s [socket [lindex $argv 0] [lindex $argv 1]]; puts $s hello; flush $s; puts [gets $s]' >"$DIR/tcl" && client tclsh "$DIR/tcl" "$HOST" "$PORT")" "got hello"
    same "guile" "$(client guile --no-auto-compile -c "(use-modules (ice-9 rdelim)) (let ((s (socket PF_INET SOCK_STREAM 0))) (connect s AF_INET (inet-pton AF_INET \"$HOST\") $PORT) (display \"hello\\n\" s) (force-output s) (display (read-line s)))")" "got hello"
    same "bash" "$(client bash -c "exec 3<>/dev/tcp/$HOST/$PORT; echo hello >&3; cat <&3")" "got hello"
}
