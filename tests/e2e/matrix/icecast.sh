# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# icecast: a source that does not end at once, and three who listen.
commands="icecast2 curl"
job() {
    local i pids=()
    install -d -m 777 "$DIR/log"
    cat >"$DIR/icecast.xml" <<XML
<icecast>
<limits><clients>20</clients><sources>2</sources><queue-size>20000000</queue-size><burst-size>16000000</burst-size></limits>
<authentication><source-password>p</source-password><admin-user>a</admin-user><admin-password>p</admin-password></authentication>
<hostname>x</hostname><listen-socket><port>$PORT</port><bind-address>0.0.0.0</bind-address></listen-socket>
<paths><basedir>/usr/share/icecast2</basedir><webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot>
<logdir>$DIR/log</logdir></paths>
<logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>3</loglevel></logging>
<security><chroot>0</chroot><changeowner><user>nobody</user><group>nogroup</group></changeowner></security>
</icecast>
XML
    chmod 644 "$DIR/icecast.xml"
    serve icecast icecast2 -c "$DIR/icecast.xml"
    wait_port
    mkfifo "$DIR/stream"
    client_bg source bash -c 'exec curl -sS -u source:p -H "Content-Type: audio/mpeg" -H Transfer-Encoding: -T - "$0" <"$1"' \
        "http://$HOST:$PORT/m" "$DIR/stream"
    exec {source}>"$DIR/stream"
    head -c 98000 "$FILE" >&"$source"
    xt_wait_for 20 mounted
    for i in 1 2 3; do
        client curl -sSN --fail "http://$HOST:$PORT/m" >"$DIR/heard.$i" &
        pids+=($!)
    done
    xt_wait_for 20 listeners 3
    tail -c +98001 "$FILE" >&"$source"
    exec {source}>&-
    xt_wait_for 20 all_heard || :
    kill "$CLIENT_PID"
    for i in 1 2 3; do
        wait "${pids[i - 1]}"
        cmp -n $((SIZE / 1400 * 1400)) "$DIR/heard.$i" "$FILE" # whole blocks are passed on
    done
}
all_heard() { [ "$(stat -c %s "$DIR"/heard.* | sort -n | head -n 1)" -ge $((SIZE / 1400 * 1400)) ]; }
stats() { client curl -sS -u a:p "http://$HOST:$PORT/admin/stats"; }
mounted() { stats | grep -q 'mount="/m"'; }
listeners() { stats | grep -q "<listeners>$1<"; }
