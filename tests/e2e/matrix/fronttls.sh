# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# TLS and HTTP/2 in front of another server, whose connections are kept: nginx (threads, small pieces), haproxy with four
# threads and health checks, apache (mod_http2, mod_proxy). Ten at once over one connection, a file posted, a server that comes late.
commands="nginx haproxy apache2 curl openssl h2load"
limit=240
late() { [ "$(client curl -s -o /dev/null -w '%{http_code}' "http://$HOST:$((PORT + 6))/small")" = "$1" ]; }
ten() { # NAME URL
    client curl -sSk --fail --http2 --parallel --parallel-max 10 -o "$DIR/$1.#1" "$2?[1-10]"
    same "$1: ten at once" "$(cat "$DIR/$1".{1..10} | hash_of)" "$TEN"
    rm "$DIR/$1".{1..10}
}
nginx_front() {
    cat >"$DIR/nginx.conf" <<CONF
daemon off; user root; worker_processes 2; pid $DIR/nginx.pid; error_log $DIR/nginx.err;
events { worker_connections 512; multi_accept on; }

http {
    access_log off; client_max_body_size 0; client_body_temp_path $DIR/body; proxy_temp_path $DIR/proxy;
    fastcgi_temp_path $DIR/fcgi; uwsgi_temp_path $DIR/uwsgi; scgi_temp_path $DIR/scgi;
    ssl_certificate $DIR/cert; ssl_certificate_key $DIR/key;
    sendfile on; sendfile_max_chunk 128k; aio threads; tcp_nopush on; output_buffers 2 32k;
    upstream u { server $BEHIND:$((PORT + 1)); keepalive 8; }
    server {
        listen $PORT ssl http2;
        location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; }
        location /own/ { alias $WORK/www/; }
        location /direct/ { alias $WORK/www/; directio 4k; }
    }
    server { listen $((PORT + 3)); location / { root $WORK/www; dav_methods PUT; } }
}
CONF
    serve nginx nginx -p "$DIR" -c "$DIR/nginx.conf" -e "$DIR/nginx.err"
    wait_port
    ten nginx "https://$HOST:$PORT/file"
    ten threads "https://$HOST:$PORT/own/file"
    same "nginx, directio" "$(client curl -sSk --fail "https://$HOST:$PORT/direct/file" | hash_of)" "$WANT"

    same "nginx, h2load" "$(client h2load -n "$(amount 1000)" -c 10 -m 20 "https://$HOST:$PORT/small" | grep -o '[0-9]* succeeded')" "$(amount 1000) succeeded"
}
haproxy_front() {
    cat >"$DIR/haproxy.cfg" <<CONF
global
    nbthread 4
    tune.ssl.default-dh-param 2048
defaults
    mode http
    timeout connect 20s
    timeout client 60s
    timeout server 60s
    option httpchk GET /small
    timeout check 20s
    default-server inter 2s fastinter 200ms downinter 200ms fall 2 rise 2 check
frontend tls
    bind 0.0.0.0:$((PORT + 5)) ssl crt $DIR/pem alpn h2,http/1.1
    default_backend good
backend good
    http-reuse always
    server a $BEHIND:$((PORT + 1))
    server gone $BEHIND:$((PORT + 9))
frontend plain
    bind 0.0.0.0:$((PORT + 6))
    default_backend late
backend late
    server b $BEHIND:$((PORT + 7))
CONF
    serve haproxy haproxy -db -f "$DIR/haproxy.cfg"
    wait_port $((PORT + 5))
    xt_wait_for 20 late 503 # until the checks have found out
    ten haproxy "https://$HOST:$((PORT + 5))/file"
    same "haproxy, h2load" "$(client h2load -n "$(amount 1000)" -c 10 -m 20 "https://$HOST:$((PORT + 5))/small" | grep -o '[0-9]* succeeded')" \
        "$(amount 1000) succeeded"
    PORT=$((PORT + 6)) web_behind
    xt_wait_for 20 late 200
}
apache_front() {
    local m
    mkdir "$DIR/apache"
    {
        for m in mpm_event authz_core http2 ssl socache_shmcb proxy proxy_http proxy_balancer lbmethod_byrequests slotmem_shm unixd; do
            [ ! -e "/usr/lib/apache2/modules/mod_$m.so" ] || echo "LoadModule ${m}_module /usr/lib/apache2/modules/mod_$m.so"
        done
        printf '%s\n' "ServerRoot $DIR/apache" "PidFile $DIR/apache/pid" "ErrorLog $DIR/apache/err" "DefaultRuntimeDir $DIR/apache" "Mutex file:$DIR/apache" \
            "ServerName m" "Listen $((PORT + 8))" "Protocols h2 http/1.1" "SSLEngine on" "SSLCertificateFile $DIR/cert" "SSLCertificateKeyFile $DIR/key" \
            "<Proxy balancer://b>" "BalancerMember http://$BEHIND:$((PORT + 1)) keepalive=On" "</Proxy>" "ProxyPass / balancer://b/"
    } >"$DIR/apache/conf"
    serve apache apache2 -D FOREGROUND -f "$DIR/apache/conf"
    wait_port $((PORT + 8)) || { cat "$DIR/apache/err"; return 1; }
    ten apache "https://$HOST:$((PORT + 8))/file"
}
job() {
    head -c 20000 "$FILE" >"$WORK/www/small"
    chmod a+r "$WORK/www/small"
    TEN=$(for _ in {1..10}; do cat "$FILE"; done | hash_of)
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=m -keyout "$DIR/key" -out "$DIR/cert" 2>/dev/null
    cat "$DIR/cert" "$DIR/key" >"$DIR/pem"
    web_behind
    nginx_front
    haproxy_front
    apache_front
}
