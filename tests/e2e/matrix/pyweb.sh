# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# python's web servers: gunicorn, aiohttp, aiohttp on uvloop, tornado, twisted, uwsgi; urllib and aiohttp as clients.
commands="/usr/bin/python3 gunicorn twist3 uwsgi"
py=/usr/bin/python3
job() {
    serve gunicorn gunicorn -w 3 -b "0.0.0.0:$PORT" --chdir "$MATRIX" -e "FILE=$FILE" pyweb:app
    serve aiohttp $py "$MATRIX/pyweb.py" aiohttp $((PORT + 1)) "$FILE"
    serve uvloop $py "$MATRIX/pyweb.py" uvloop $((PORT + 2)) "$FILE"
    serve tornado $py "$MATRIX/pyweb.py" tornado $((PORT + 3)) "$FILE"
    serve twisted twist3 web --listen "tcp:$((PORT + 4))" --path "$WORK/www"
    serve uwsgi env "FILE=$FILE" uwsgi --plugin python3 --http-socket ":$((PORT + 5))" --chdir "$MATRIX" --module pyweb:app --processes 2 --master
    local p
    for p in {0..5}; do
        wait_port $((PORT + p))
        client $py "$MATRIX/pyweb.py" get "http://$HOST:$((PORT + p))/file" 10 "$WANT"
    done
}
