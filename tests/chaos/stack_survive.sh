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
loads_kill "$KILLS"
loads_wait
loads_end
