# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Small web servers, and those of languages' event loops: a file from each.
commands="webfsd mini_httpd puma thin curl /usr/lib/python3/dist-packages/gevent /usr/lib/python3/dist-packages/eventlet
/usr/share/perl5/Mojolicious.pm"
got() { # NAME
    wait_port
    for _ in 1 2 3; do
        same "$1" "$(client curl -sS --fail "http://$HOST:$PORT/file" | hash_of)" "$WANT" || { tail -n 20 "$DIR/$1.log"; return 1; }
    done
    PORT=$((PORT + 1))
}
job() {
    serve webfsd webfsd -F -p "$PORT" -r "$WORK/www" -4
    got webfsd
    serve mini_httpd mini_httpd -D -p "$PORT" -d "$WORK/www"
    got mini_httpd
    cat >"$DIR/config.ru" <<RUBY
run ->(env) { [200, {"content-type" => "x/y"}, [File.binread("$FILE")]] }
RUBY
    serve puma puma -q -b "tcp://0.0.0.0:$PORT" "$DIR/config.ru"
    got puma
    serve thin thin -q -a 0.0.0.0 -p "$PORT" -R "$DIR/config.ru" start
    got thin
    cat >"$DIR/app.py" <<PY
import sys
def app(env, start):
    start("200 OK", [("content-type", "x/y")])
    return [open("$FILE", "rb").read()]
if sys.argv[1] == "gevent":
    from gevent import monkey, pywsgi
    monkey.patch_all()
    pywsgi.WSGIServer(("0.0.0.0", $((PORT))), app).serve_forever()
else:
    import eventlet, eventlet.wsgi
    eventlet.monkey_patch()
    eventlet.wsgi.server(eventlet.listen(("0.0.0.0", int(sys.argv[2]))), app)
PY
    serve gevent /usr/bin/python3 "$DIR/app.py" gevent "$PORT"
    got gevent
    serve eventlet /usr/bin/python3 "$DIR/app.py" eventlet "$PORT"
    got eventlet
    serve mojolicious perl -MMojolicious::Lite -e 'get "/file" => sub { $_[0]->reply->file("'"$FILE"'") }; app->start' \
        daemon -m production -l "http://0.0.0.0:$PORT"
    got mojolicious
}
