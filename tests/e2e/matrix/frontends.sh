# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# h2o, and traffic_server in front of nginx; wget2, axel and httperf as clients; starman, unicorn.
commands="h2o traffic_server nginx wget2 axel httperf starman unicorn curl"
hashed() { same "$1" "$(hash_of <"$2")" "$WANT"; }
job() {
    printf '%s\n' "listen: $PORT" "user: nobody" "num-threads: 2" "hosts:" "  default:" "    paths:" "      /:" "        file.dir: $WORK/www" \
        >"$DIR/h2o.conf"
    serve h2o h2o -c "$DIR/h2o.conf"
    wait_port
    client curl -sS --fail "http://$HOST:$PORT/file" >"$DIR/1" && hashed "h2o, curl" "$DIR/1"
    client wget2 -q --chunk-size=1M --max-threads=4 -O "$DIR/2" "http://$HOST:$PORT/file" && hashed "h2o, wget2" "$DIR/2"
    client axel -q -n 4 -o "$DIR/3" "http://$HOST:$PORT/file" && hashed "h2o, axel" "$DIR/3"
    echo short >"$WORK/www/short"
    chmod a+r "$WORK/www/short"
    client httperf --hog --server "$HOST" --port "$PORT" --uri /short --num-conns 100 --num-calls 5 --rate 200 >"$DIR/httperf"
    same "httperf's replies" "$(sed -n 's/^Total:.* replies \([0-9]*\).*/\1/p' "$DIR/httperf")" 500
    web_behind
    traffic
    printf 'my $f = do { local $/; open my $h, "<", "%s"; <$h> }; sub { [200, ["content-type", "x/y"], [$f]] }\n' "$FILE" >"$DIR/app.psgi"
    serve starman starman --listen "0.0.0.0:$((PORT + 3))" --workers 3 "$DIR/app.psgi"
    printf 'run ->(env) { [200, {"content-type" => "x/y"}, [File.binread("%s")]] }\n' "$FILE" >"$DIR/config.ru"
    serve unicorn unicorn -l "0.0.0.0:$((PORT + 4))" "$DIR/config.ru"
    for i in 3 4; do
        wait_port $((PORT + i))
        client curl -sS --fail "http://$HOST:$((PORT + i))/file" "http://$HOST:$((PORT + i))/file" -o "$DIR/got$i" -o "$DIR/again$i"
        hashed "starman and unicorn" "$DIR/got$i"
        hashed "starman and unicorn" "$DIR/again$i"
    done
}
traffic() {
    local ats=$DIR/ats
    mkdir -p "$ats"/{etc,log,run,cache}
    chmod -R 777 "$ats"
    cat >"$ats/runroot.yaml" <<CONF
prefix: /usr
exec_prefix: /usr
bindir: /usr/bin
sbindir: /usr/sbin
sysconfdir: $ats/etc
datadir: $ats/cache
libdir: /usr/lib/trafficserver
libexecdir: /usr/lib/trafficserver/modules
localstatedir: $ats/run
runtimedir: $ats/run
logdir: $ats/log
cachedir: $ats/cache
CONF
    printf '%s\n' "CONFIG proxy.config.http.server_ports STRING $((PORT + 2))" "CONFIG proxy.config.diags.debug.enabled INT 0" \
        "CONFIG proxy.config.admin.user_id STRING nobody" "CONFIG proxy.config.url_remap.remap_required INT 1" >"$ats/etc/records.config"
    echo "map / http://$BEHIND:$((PORT + 1))/" >"$ats/etc/remap.config"
    echo "$ats/cache 64M" >"$ats/etc/storage.config"
    for f in /etc/trafficserver/*; do [ -e "$ats/etc/${f##*/}" ] || cp -r "$f" "$ats/etc/"; done
    chmod -R a+rX "$ats"
    serve traffic env TS_RUNROOT="$ats" traffic_server
    wait_port $((PORT + 2))
    for i in 1 2 3; do
        client curl -sS --fail "http://$HOST:$((PORT + 2))/file" >"$DIR/ats.$i" && hashed "traffic_server" "$DIR/ats.$i"
    done
}
