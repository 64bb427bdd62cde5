# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What python programs are made of besides asyncio: trio, websockets, QtNetwork, multiprocessing's managers, asyncssh asked by paramiko,
# uvicorn by httpx, waitress by requests.
py=/usr/bin/python3
lib=/usr/lib/python3/dist-packages
commands="$py $lib/trio $lib/websockets $lib/PyQt5 $lib/asyncssh $lib/paramiko $lib/uvicorn $lib/httpx $lib/waitress $lib/requests"
limit=240
job() {
    local kind
    for kind in trio websockets qt manager asyncssh uvicorn waitress; do
        serve $kind $py "$MATRIX/loops.py" $kind serve "$PORT" "$FILE"
        wait_port
        same "$kind" "$(client $py "$MATRIX/loops.py" $kind ask "$HOST" "$PORT" "$FILE")" "$WANT" || { cat "$DIR/$kind.log"; return 1; }
        xt_stop "$SERVE_PID"
        PORT=$((PORT + 1))
    done
}
