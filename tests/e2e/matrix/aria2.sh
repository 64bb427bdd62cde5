# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# aria2c: four connections for one file, from nginx.
commands="aria2c nginx"
job() {
    web nginx
    client aria2c -q -x 4 -s 4 -k 1M --file-allocation=none -d "$DIR" -o got "http://$HOST:$PORT/file"
    same "four parts" "$(hash_of <"$DIR/got")" "$WANT"
}
