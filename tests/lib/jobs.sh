# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The real jobs that the quickstart shows and the end-to-end tests check. Sourced by stage.sh; needs:
#   NS_X, NS_K    namespaces of the xtcp end and of the kernel's end      IF_X    interface of the xtcp end
#   ADDR_X        xtcpd's own address                                    ADDR_K  the kernel's address on the other end
#   ADDR_XK       the kernel's address on the xtcp end                   BUILD   build folder
#   WORK          a folder for this run's files
# Each job prints its figures and returns 0 only if what it moved arrived whole.

# What goes into programs comes from a build without sanitizers, whose runtime those programs do not have.
PLAIN=${XT_TEST_PLAIN:-$BUILD}
PRELOAD=$PLAIN/libclient/preload/libxtcp-preload.so
XTCPD=$BUILD/daemon/main/xtcpd
XTCPCTL=$BUILD/tools/ctl/xtcpctl

in_x() { ip netns exec "$NS_X" "$@"; }
in_k() { ip netns exec "$NS_K" "$@"; }
# A program on xtcp, unmodified.
XTCP_ENV=(XTCP_SOCKET="$WORK/xtcpd.sock" LD_PRELOAD="$PRELOAD")
on_xtcp() { in_x env "${XTCP_ENV[@]}" "$@"; }
quiet() { "$@" >/dev/null 2>&1; }
ctl() { "$XTCPCTL" --socket "$WORK/xtcpd.sock" "$@"; }

# Starts xtcpd with further options, and with $XT_SHARDS shards (1); waits until it serves.
xtcpd_start() {
    xt_spawn x "$WORK/xtcpd.log" "$XTCPD" --interface "$IF_X" --address "$ADDR_X/24" --gateway "$ADDR_K" \
        --socket "$WORK/xtcpd.sock" ${XT_SHARDS:+--shards "$XT_SHARDS"} "$@"
    XTCPD_PID=$XT_PID
    xt_wait_for 30 quiet ctl status || {
        echo "xtcpd did not start:" >&2
        cat "$WORK/xtcpd.log" >&2
        return 1
    }
}

# make_file MIB: a file of that size that does not compress, and its hash in $WANT.
make_file() {
    mkdir -p "$WORK/www"
    head -c $(($1 * 1048576)) /dev/urandom >"$WORK/www/file"
    WANT=$(sha256sum <"$WORK/www/file")
}

# nginx_conf NAME WORKERS: a configuration that serves $WORK/www on port 80, stores in its up/ and leaves nothing outside $WORK.
nginx_conf() {
    mkdir -p "$WORK/$1"
    cat >"$WORK/$1/nginx.conf" <<CONF
daemon off;
user root;
worker_processes $2;
pid $WORK/$1/nginx.pid;
error_log $WORK/$1/error.log;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    client_body_temp_path $WORK/$1/body;
    proxy_temp_path $WORK/$1/proxy;
    fastcgi_temp_path $WORK/$1/fastcgi;
    uwsgi_temp_path $WORK/$1/uwsgi;
    scgi_temp_path $WORK/$1/scgi;
    client_max_body_size 0;
    server { listen 80; root $WORK/www; location /up/ { dav_methods PUT; } }
}
CONF
}

nginx_kernel_start() {
    nginx_conf nginx-k 1
    xt_spawn k "$WORK/nginx-k/out" nginx -p "$WORK/nginx-k" -c "$WORK/nginx-k/nginx.conf" -e "$WORK/nginx-k/error.log"
    xt_wait_for 30 quiet in_k curl -s --fail -o /dev/null -r 0-0 "http://$ADDR_K/file"
}

nginx_xtcp_start() {
    nginx_conf nginx-x "${1:-1}"
    xt_spawn x "$WORK/nginx-x/out" env "${XTCP_ENV[@]}" nginx -p "$WORK/nginx-x" -c "$WORK/nginx-x/nginx.conf" \
        -e "$WORK/nginx-x/error.log"
    NGINX_X_PID=$XT_PID
    xt_wait_for 30 quiet in_k curl -s --fail -o /dev/null -r 0-0 "http://$ADDR_X/file"
}

# hash_job NAME CMD...: runs a command that writes the file to its output, prints time and rate, and compares the hash.
hash_job() {
    local name=$1 t0 t1 bytes rc=0
    shift
    bytes=$(stat -c %s "$WORK/www/file")
    t0=$(date +%s%N)
    "$@" >"$WORK/got" || rc=$?
    t1=$(date +%s%N)
    if [ $rc -ne 0 ] || [ "$(sha256sum <"$WORK/got")" != "$WANT" ]; then
        echo "$name: SHA-256 DIFFERS (exit code $rc, $(stat -c %s "$WORK/got") of $bytes bytes)"
        return 1
    fi
    rm -f "$WORK/got"
    awk -v n="$name" -v b="$bytes" -v t=$((t1 - t0)) \
        'BEGIN { printf "%s: SHA-256 equal, %d MiB in %.2f s, %.2f Gbit/s\n", n, b / 1048576, t / 1e9, b * 8 / t }'
}

# (a) xtcp's curl downloads from the kernel's nginx; (b) the kernel's curl from xtcp's nginx.
job_download() { hash_job "curl on xtcp <- nginx on kernel" on_xtcp curl -sS --fail "http://$ADDR_K/file"; }
job_serve() { hash_job "curl on kernel <- nginx on xtcp" in_k curl -sS --fail "http://$ADDR_X/file"; }

# iperf_run CLIENT-RUNNER SECONDS ADDR [ARGS]: prints Gbit/s as received.
iperf_run() {
    local runner=$1 secs=$2 addr=$3
    shift 3
    xt_wait_for 30 iperf_ready "$WORK/iperf-server.log" || return
    "$runner" iperf3 -c "$addr" -t "$secs" -J "$@" | python3 -c '
import json, sys
r = json.load(sys.stdin)
if "error" in r: sys.exit(r["error"])
print("%.2f" % (r["end"]["sum_received"]["bits_per_second"] / 1e9))'
}

iperf_server() { # in the kernel's namespace: a server that stays for all runs
    xt_spawn k "$WORK/iperf-server.log" iperf3 -s -p 5201 --forceflush
    xt_wait_for 30 iperf_ready "$WORK/iperf-server.log"
}

# The server with this log waits for its next test. Between two it does not listen.
iperf_ready() { tail -n 2 "$1" | grep -q 'Server listening'; }

# (c) iperf3 both ways on xtcp, beside the same on the kernel's stack over the same veth.
job_iperf() {
    local secs=${1:-3} x_up x_down k_up k_down
    k_up=$(iperf_run in_x "$secs" "$ADDR_K") && x_up=$(iperf_run on_xtcp "$secs" "$ADDR_K") &&
        k_down=$(iperf_run in_x "$secs" "$ADDR_K" -R) && x_down=$(iperf_run on_xtcp "$secs" "$ADDR_K" -R) || return 1
    awk -v xu="$x_up" -v ku="$k_up" -v xd="$x_down" -v kd="$k_down" 'BEGIN {
        printf "iperf3 send:    xtcp %6.2f Gbit/s   kernel %6.2f Gbit/s   ratio %.2f\n", xu, ku, xu / ku
        printf "iperf3 receive: xtcp %6.2f Gbit/s   kernel %6.2f Gbit/s   ratio %.2f\n", xd, kd, xd / kd }'
}

redis_xtcp_start() {
    mkdir -p "$WORK/redis-x"
    xt_spawn x "$WORK/redis-x/out" env "${XTCP_ENV[@]}" redis-server --port 6379 --bind 0.0.0.0 --protected-mode no --save '' \
        --appendonly no --dir "$WORK/redis-x" --logfile "$WORK/redis-x/log"
    xt_wait_for 30 quiet in_k redis-cli -h "$ADDR_X" ping
}

redis_kernel_start() { # on the kernel's stack of the xtcp end, for comparison
    mkdir -p "$WORK/redis-k"
    xt_spawn x "$WORK/redis-k/out" redis-server --port 6380 --bind "$ADDR_XK" --protected-mode no --save '' --appendonly no \
        --dir "$WORK/redis-k" --logfile "$WORK/redis-k/log"
    xt_wait_for 30 quiet in_k redis-cli -h "$ADDR_XK" -p 6380 ping
}

# redis_bench ADDR PORT REQUESTS [TESTS]: requests a second for each test, as "SET n GET n".
redis_bench() {
    in_k redis-benchmark -h "$1" -p "$2" -n "$3" -c 50 -t "${4:-set,get}" --csv |
        awk -F'"' 'NR > 1 { printf "%s %.0f  ", $2, $4 } END { exit NR < 2 }'
}

# (d) redis-server on xtcp with redis-benchmark on the kernel.
job_redis() {
    local n=${1:-100000} x k
    x=$(redis_bench "$ADDR_X" 6379 "$n") && k=$(redis_bench "$ADDR_XK" 6380 "$n") || return 1
    echo "redis-server on xtcp:   $x requests/s, 50 clients"
    echo "redis-server on kernel: $k requests/s, 50 clients"
}

# listed PATTERN: `xtcpctl list` has such a line; listed_none PATTERN: it has not.
listed() { ctl list | grep -q "$1"; }
listed_none() { ! listed "$1"; }

# (e) the connections during a transfer.
job_list() {
    local rc=0
    xt_spawn x "$WORK/list-curl.out" env "${XTCP_ENV[@]}" curl -sS --fail --limit-rate 1M -o /dev/null "http://$ADDR_K/file"
    xt_wait_for 30 listed 'ESTABLISHED.*curl' || rc=1
    ctl list
    xt_stop "$XT_PID"
    return $rc
}
