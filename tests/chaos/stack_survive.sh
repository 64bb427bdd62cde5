#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Connections outlive the stack process: it is killed again and again, at random points of the traffic, under downloads and uploads
# both ways, redis and short connections. No request fails and every byte is right.
# usage: stack_survive.sh BUILD [KILLS]; XT_SEED chooses the points.
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
. "$(dirname "$0")/loads.sh"
KILLS=${2:-20}
SEED=${XT_SEED:-1}
RANDOM=$SEED
echo "seed $SEED, $KILLS kills"
stage_up "$1" clean
loads_up
loads_start

segments() { ctl stats 2>/dev/null | awk '$1 == "tcp.segs_in" || $1 == "stack.frames_in" { print $2; exit }'; }
moved() { local n; n=$(segments) && [ -n "$n" ] && [ "$n" -ge "$1" ]; }

for ((kill = 1; kill <= KILLS; kill++)); do
    xt_wait_for 30 moved $((RANDOM % 8000 + 100))
    kill -9 "$(stack_pid)"
    xt_wait_for 30 quiet ctl status
done
loads_wait
loads_end
