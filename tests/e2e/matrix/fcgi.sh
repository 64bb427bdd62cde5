# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# php-fpm behind nginx: FastCGI over TCP, on the server's TCP as well as what is in front of it.
commands="php-fpm8.2 nginx curl"
job() {
    printf '[global]\nerror_log = /dev/stderr\n[www]\nuser = nobody\nlisten = 0.0.0.0:%s\npm = static\npm.max_children = 2\n' \
        $((PORT + 1)) >"$DIR/fpm.conf"
    echo '<?php echo hash("sha256", file_get_contents("php://input"));' >"$DIR/sum.php"
    chmod a+r "$DIR/sum.php"
    serve fpm php-fpm8.2 -n -F -y "$DIR/fpm.conf"
    wait_port $((PORT + 1))
    nginx_conf web-fcgi 1
    cat >"$DIR/server" <<CONF
listen $PORT; client_max_body_size 0;
location / {
    fastcgi_pass $HOST:$((PORT + 1));
    fastcgi_param SCRIPT_FILENAME $DIR/sum.php;
    fastcgi_param REQUEST_METHOD \$request_method;
    fastcgi_param CONTENT_LENGTH \$content_length;
}
CONF
    sed -i "s|listen 80;|include $DIR/server;|" "$WORK/web-fcgi/nginx.conf"
    serve nginx nginx -p "$WORK/web-fcgi" -c "$WORK/web-fcgi/nginx.conf" -e "$WORK/web-fcgi/error.log"
    wait_port
    for _ in 1 2 3; do
        same post "$(client curl -sS --fail -H 'Content-Type: x/y' --data-binary "@$FILE" "http://$HOST:$PORT/")" "$WANT"
    done
}
