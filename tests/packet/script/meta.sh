#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The script runner can fail: every script of a folder must, with the words that it asks for after "want:", and must name its file.
#   meta.sh RUNNER FOLDER
rc=0 n=0
for f in "$2"/*.pkt; do
    want=$(sed -n 's/^# want: //p' "$f")
    if out=$("$1" core "$f"); then
        echo "$f: passes, and must not"
        rc=1
    elif ! printf '%s' "$out" | grep -qF -- "$want" || ! printf '%s' "$out" | grep -qF "$f"; then
        printf '%s: fails without saying "%s":\n%s\n' "$f" "$want" "$out"
        rc=1
    fi
    n=$((n + 1))
done
[ $n -gt 0 ] || rc=1
echo "$n wrong scripts"
exit $rc
