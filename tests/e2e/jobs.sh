#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The jobs of the quickstart, checked: on a clean link with a capture that tshark reads, or over a link that loses and reorders.
#   jobs.sh BUILD clean|captured|impaired
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" "$2"

size=64 iperf_seconds=2 requests=20000
case $2 in
captured) size=16 ;;
impaired) size=16 requests=3000 ;;
esac
make_file $size
xtcpd_start
nginx_kernel_start
nginx_xtcp_start
if [ "$2" = captured ]; then
    capture_start
fi
job_download
job_serve
if [ "$2" = captured ]; then
    capture_stop
    capture_check
fi
iperf_server
job_iperf $iperf_seconds
redis_xtcp_start
redis_kernel_start
job_redis $requests
job_list

# Two programs on the same xtcpd reach each other.
hash_job "curl on xtcp <- nginx on the same xtcp" on_xtcp curl -sS --fail "http://$ADDR_X/file"
ctl stats
