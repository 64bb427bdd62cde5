# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# gdbserver and gdb: a breakpoint, a value, the end.
commands="gdbserver gdb"
job() {
    serve gdbserver gdbserver "0.0.0.0:$PORT" /bin/true
    xt_wait_for 20 grep -q Listening "$DIR/gdbserver.log"
    client gdb -nx -q -batch -ex "target remote $HOST:$PORT" -ex 'info registers rip' -ex continue </dev/null >"$DIR/gdb" 2>&1
    cat "$DIR/gdb"
    same "the end" "$(grep -c 'exited normally' "$DIR/gdb")" 1
}
