# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# python: http.server, asyncio, a forking, a pre-forked and a selector server; threads and asyncio as clients.
commands="/usr/bin/python3"
py=/usr/bin/python3
job() {
    serve http $py -m http.server -d "$WORK/www" "$PORT"
    serve asyncio $py "$MATRIX/python.py" asyncio $((PORT + 1)) "$FILE"
    serve fork $py "$MATRIX/python.py" fork $((PORT + 2)) "$FILE"
    serve prefork $py "$MATRIX/python.py" prefork $((PORT + 3)) "$FILE"
    serve selectors $py "$MATRIX/python.py" selectors $((PORT + 4)) "$FILE"
    local i
    for i in 0 1 2 3 4; do wait_port $((PORT + i)); done
    same "http.server" "$(client $py -c 'import sys, urllib.request, shutil
shutil.copyfileobj(urllib.request.urlopen(sys.argv[1]), sys.stdout.buffer)' "http://$HOST:$PORT/file" | hash_of)" "$WANT"
    for i in 1 2 3 4; do
        client $py "$MATRIX/python.py" clients "$HOST" $((PORT + i)) 20 "$WANT"
        client $py "$MATRIX/python.py" aclients "$HOST" $((PORT + i)) 20 "$WANT"
    done
}
