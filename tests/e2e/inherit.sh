#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sockets that outlive exec: inetd-style servers, shells with sockets on their descriptors, children without the library.
# What arrives is checked on the kernel's end of the line.
#   inherit.sh BUILD
set -euo pipefail
. "$(dirname "$0")/../lib/stage.sh"
stage_up "$1" clean
xtcpd_start
make_file 8
FILE=$WORK/www/file
STATIC=$PLAIN/tests/e2e/standalone
failed=0

expect() { # NAME WANTED GOT
    if [ "$2" = "$3" ]; then
        echo "$1: ok"
    else
        printf '%s: wanted "%s", got "%s"\n' "$1" "$2" "$3"
        failed=1
    fi
}

# peer PORT: connects from the kernel's end, sends the standard input, shuts that direction, prints what comes back.
cat >"$WORK/peer.py" <<'PY'
import socket, sys, threading
for _ in range(200):
    try:
        s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
        break
    except ConnectionRefusedError:
        threading.Event().wait(0.02)
def send():
    while data := sys.stdin.buffer.read1(65536):
        s.sendall(data)
    s.shutdown(socket.SHUT_WR)
t = threading.Thread(target=send)
t.start()
while data := s.recv(65536):
    sys.stdout.buffer.write(data)
t.join()
PY
peer() { in_k timeout 60 python3 "$WORK/peer.py" "$ADDR_X" "$1" | "${@:2}"; }
no_sockets() { [ "$(ctl list --json 2>/dev/null | grep -c '"ESTABLISHED"\|"CLOSE_WAIT"\|"FIN_WAIT2"\|"SYN_RECV"')" = 0 ]; }

# ---- inetd style: accept, fork, exec with the connection as standard input and output ----

xt_spawn x "$WORK/socat.log" env "${XTCP_ENV[@]}" socat TCP-LISTEN:7001,fork,reuseaddr EXEC:cat
expect "socat EXEC:cat" "$WANT" "$(peer 7001 sha256sum <"$FILE")"
xt_spawn x "$WORK/socat2.log" env "${XTCP_ENV[@]}" socat TCP-LISTEN:7002,fork,reuseaddr EXEC:cat,nofork
expect "socat EXEC:cat,nofork" "$WANT" "$(peer 7002 sha256sum <"$FILE")"
xt_spawn x "$WORK/socat3.log" env "${XTCP_ENV[@]}" socat TCP-LISTEN:7003,fork,reuseaddr "SYSTEM:sha256sum,nofork"
expect "half-closed, answer after the end" "$WANT" "$(peer 7003 cat <"$FILE")"

cat >"$WORK/inetd.py" <<'PY'
import os, socket, subprocess, sys
l = socket.create_server(("", int(sys.argv[2])))
while True:
    c, _ = l.accept()
    if sys.argv[1] == "fork":
        if os.fork() == 0:
            for fd in range(3):
                os.dup2(c.fileno(), fd)
            os.execve(sys.argv[3], sys.argv[3:], {})
        c.close()
    else:
        subprocess.Popen(sys.argv[3:], stdin=c, stdout=c, stderr=c, env={})
        c.close()
PY
xt_spawn x "$WORK/inetd1.log" env "${XTCP_ENV[@]}" python3 "$WORK/inetd.py" fork 7011 /usr/bin/cat
expect "python fork and exec, empty environment" "$WANT" "$(peer 7011 sha256sum <"$FILE")"
xt_spawn x "$WORK/inetd2.log" env "${XTCP_ENV[@]}" python3 "$WORK/inetd.py" spawn 7012 /usr/bin/cat
expect "python subprocess" "$WANT" "$(peer 7012 sha256sum <"$FILE")"
xt_spawn x "$WORK/inetd3.log" env "${XTCP_ENV[@]}" python3 "$WORK/inetd.py" fork 7013 /usr/bin/env -u LD_PRELOAD -u XTCP_SOCKET \
    /bin/sh -c 'while read -r line; do echo "got $line"; done'
expect "a shell without the library" "got a got b" "$(printf 'a\nb\n' | peer 7013 xargs)"
xt_spawn x "$WORK/inetd4.log" env "${XTCP_ENV[@]}" python3 "$WORK/inetd.py" fork 7014 /usr/bin/perl -e \
    'use Socket; my ($p, $a) = sockaddr_in(getpeername(STDIN)); my ($q, $b) = sockaddr_in(getsockname(STDIN));
     setsockopt(STDIN, SOL_SOCKET, SO_KEEPALIVE, 1) or die; printf "%s %s:%d\n", inet_ntoa($a), inet_ntoa($b), $q;'
expect "names of an inherited socket" "$ADDR_K $ADDR_X:7014" "$(peer 7014 cat </dev/null)"
xt_spawn x "$WORK/perl.log" env "${XTCP_ENV[@]}" perl -e '
    use IO::Socket::INET;
    $SIG{CHLD} = "IGNORE";
    my $l = IO::Socket::INET->new(Listen => 5, LocalPort => 7015, ReuseAddr => 1) or die;
    while (my $c = $l->accept) {
        if (!fork) { open STDIN, "<&", $c; open STDOUT, ">&", $c; exec "sha256sum" }
        close $c;
    }'
expect "perl" "$WANT" "$(peer 7015 cat <"$FILE")"

# Nothing of the library in the child.
xt_spawn x "$WORK/inetd5.log" env "${XTCP_ENV[@]}" python3 "$WORK/inetd.py" fork 7016 "$STATIC" 0 1
expect "a static program" "$WANT" "$(peer 7016 sha256sum <"$FILE")"
xt_spawn x "$WORK/inetd6.log" env "${XTCP_ENV[@]}" python3 "$WORK/inetd.py" spawn 7017 "$STATIC" 0 1
expect "a static program, by vfork" "$WANT" "$(peer 7017 sha256sum <"$FILE")"
for i in 1 2 3 4 5 6 7 8; do peer 7016 sha256sum <"$FILE" >"$WORK/many.$i" & done
wait $(jobs -p | tail -n 8)
expect "eight at a time" "$WANT" "$(cat "$WORK"/many.* | sort -u)"

# The parent waits for the same socket in epoll, and has a thread in recv() on another, when a child begins to use them.
cat >"$WORK/shared.py" <<'PY'
import os, select, socket, subprocess, sys, threading
l = socket.create_server(("", 7018))
a, _ = l.accept()
b, _ = l.accept()
got = []
t = threading.Thread(target=lambda: got.append(b.recv(100)))
t.start()
p = select.epoll()
p.register(a, select.EPOLLIN | select.EPOLLET)
for s in a, b:
    r, w = os.pipe()
    os.set_inheritable(s.fileno(), True)
    c = subprocess.Popen([sys.argv[1], "0", str(s.fileno())], stdin=r, close_fds=False)
    os.write(w, b"child\n") # that child writes to the socket behind our back
    os.close(w); os.close(r)
    assert c.wait() == 0
assert p.poll(30) == [(a.fileno(), select.EPOLLIN)]
a.sendall(b"epoll " + a.recv(100))
a.close()
t.join(30)
b.sendall(b"thread " + got[0])
PY
xt_spawn x "$WORK/shared.log" env "${XTCP_ENV[@]}" python3 "$WORK/shared.py" "$STATIC"
expect "shared with a static child" "child epoll x
child thread x" "$(in_k timeout 60 python3 -c "
import socket, time
s = []
for i in range(2):
    while len(s) <= i:
        try: s.append(socket.create_connection(('$ADDR_X', 7018), 10))
        except ConnectionRefusedError: time.sleep(0.02)
for c in s:
    f = c.makefile('rw')
    first = f.readline().strip(); c.sendall(b'x'); print(first, f.read())")"

# ---- programs that hold the socket themselves and share it with their children ----

nginx_kernel_start
request="GET /file HTTP/1.0\\r\\n\\r\\n"
expect "bash, echo and cat" "$WANT" "$(on_xtcp bash -c "exec 3<>/dev/tcp/$ADDR_K/80; printf '$request' >&3; cat <&3" |
    sed '1,/^\r$/d' | sha256sum)"
expect "bash, read" "HTTP/1.1 200 OK" \
    "$(on_xtcp bash -c "exec 3<>/dev/tcp/$ADDR_K/80; echo -e '$request' >&3; read -r line <&3; echo \"\$line\"" | tr -d '\r')"
expect "a child reads a line, the parent the rest" "HTTP/1.1 Server:" "$(on_xtcp bash -c "exec 3<>/dev/tcp/$ADDR_K/80
    printf '$request' >&3
    dd bs=1 count=17 status=none <&3
    read -r line <&3; echo \"\$line\"" | tr -d '\r' | cut -d' ' -f1 | xargs)"
expect "another number than 0 to 2" "$WANT" "$(on_xtcp python3 -c "
import os, socket
s = socket.create_connection(('$ADDR_K', 80))
s.sendall(b'GET /file HTTP/1.0\r\n\r\n')
os.set_inheritable(s.fileno(), True)
os.execvp('python3', ['python3', '-c', '''
import socket, sys
s = socket.socket(fileno=%d)
assert s.family == socket.AF_INET and s.getpeername() == ('$ADDR_K', 80), s
while data := s.recv(65536):
    sys.stdout.buffer.write(data)
''' % s.fileno()])" | sed '1,/^\r$/d' | sha256sum)"

# A descriptor that a child has inherited by mistake: the parent goes on as before, and it keeps the connection open.
expect "inherited by mistake" "a b eof-after-child" "$(
    in_k timeout 60 python3 -c "
import socket
l = socket.create_server(('', 7021))
print('listening', flush=True)
c, _ = l.accept()
f = c.makefile('rw')
print(f.readline().strip()); f.write('x\n'); f.flush()
print(f.readline().strip())
c.settimeout(0.3)
try:
    print('eof-too-early' if not c.recv(1) else 'data')
    open('$WORK/waited', 'w')
except TimeoutError:
    open('$WORK/waited', 'w')
    c.settimeout(30)
    print('eof-after-child' if not c.recv(1) else 'data')
" >"$WORK/mistake" &
    xt_wait_for 30 grep -q listening "$WORK/mistake"
    on_xtcp python3 -c "
import os, select, socket, subprocess
s = socket.create_connection(('$ADDR_K', 7021))
os.set_inheritable(s.fileno(), True)
r, w = os.pipe()
os.set_inheritable(r, True)
if os.fork() == 0:
    os.execvp('sh', ['sh', '-c', 'read -r line <&%d' % r])
p = select.epoll(); p.register(s, select.EPOLLIN)
s.sendall(b'a\n')
assert p.poll(30) and s.recv(10) == b'x\n'
s.sendall(b'b\n')
s.close()
while not os.path.exists('$WORK/waited'):
    select.select([], [], [], 0.01)
os.close(w)
os.wait()
"
    wait
    tail -n +2 "$WORK/mistake" | xargs)"

git init -q "$WORK/repo"
cp "$FILE" "$WORK/repo/file"
git -C "$WORK/repo" add file
git -C "$WORK/repo" -c user.name=a -c user.email=a@example.org commit -q -m file
touch "$WORK/repo/.git/git-daemon-export-ok"
xt_spawn x "$WORK/git.log" env "${XTCP_ENV[@]}" git daemon --reuseaddr --base-path="$WORK" --port=7031 "$WORK"
xt_wait_for 30 quiet in_k bash -c "exec 3<>/dev/tcp/$ADDR_X/7031"
quiet in_k timeout 60 git clone -q "git://$ADDR_X:7031/repo" "$WORK/clone" || :
expect "git daemon" "$WANT" "$(sha256sum <"$WORK/clone/file")"

# ---- listeners ----

cat >"$WORK/reexec.py" <<'PY'
import os, socket, sys
if len(sys.argv) == 2:
    l = socket.create_server(("", int(sys.argv[1])))
    l.set_inheritable(True)
    n = 0
else:
    l = socket.socket(fileno=int(sys.argv[2]))
    n = int(sys.argv[3])
    assert l.getsockname()[1] == int(sys.argv[1]) and l.family == socket.AF_INET, l
# Each generation serves two connections by a child and becomes the next one.
for i in range(2):
    c, peer = l.accept()
    assert c.getpeername() == peer
    if os.fork() == 0:
        c.sendall(b"%d%d" % (n, i))
        while data := c.recv(65536):
            c.sendall(data)
        os._exit(0)
    c.close()
os.execve(sys.executable, [sys.executable, sys.argv[0], sys.argv[1], str(l.fileno()), str(n + 1)], {})
PY
xt_spawn x "$WORK/reexec.log" env "${XTCP_ENV[@]}" python3 "$WORK/reexec.py" 7041
expect "a listener handed on by exec" "00 01 10 11 20" "$(for _ in 1 2 3 4 5; do peer 7041 cat </dev/null; echo; done | xargs)"
expect "and its connections" "$( (printf 21; cat "$FILE") | sha256sum)" "$(peer 7041 sha256sum <"$FILE")"

# A program that inherits a listener and, before its first use of it, becomes another user in an empty root; and one that connects from
# there. Then only another user, with a socket that is passed on.
mkdir -m 755 "$WORK/empty"
cat >"$WORK/jail.py" <<'PY'
import encodings.idna, os, socket, sys
if len(sys.argv) == 2:
    l = socket.create_server(("", int(sys.argv[1])))
    l.set_inheritable(True)
    os.execve(sys.executable, [sys.executable, sys.argv[0], "listen", str(l.fileno()), os.path.dirname(sys.argv[0]) + "/empty"], {})
if len(sys.argv) == 4 and sys.argv[3] != "-":
    os.chroot(sys.argv[3])
    os.chdir("/")
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
if sys.argv[1] == "listen":
    c, _ = socket.socket(fileno=int(sys.argv[2])).accept()
    while data := c.recv(65536):
        c.sendall(data)
else:
    c = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    c.sendall(b"GET /file HTTP/1.0\r\n\r\n")
    while data := c.recv(65536):
        sys.stdout.buffer.write(data)
PY
xt_spawn x "$WORK/jail.log" env "${XTCP_ENV[@]}" python3 "$WORK/jail.py" 7042
expect "a listener inherited by who then goes to another root as another user" "$WANT" "$(peer 7042 sha256sum <"$FILE")"
expect "a connection from another root" "$WANT" \
    "$(on_xtcp python3 "$WORK/jail.py" "$ADDR_K" 80 "$WORK/empty" | sed '1,/^\r$/d' | sha256sum)"
sed -i 's|os.path.dirname(sys.argv\[0\]) + "/empty"|"-"|' "$WORK/jail.py"
xt_spawn x "$WORK/jail2.log" env "${XTCP_ENV[@]}" python3 "$WORK/jail.py" 7043
expect "a listener inherited by who then becomes another user" "$WANT" "$(peer 7043 sha256sum <"$FILE")"

# Not with `daemon off`: a master takes no USR2 from below the process that started it.
nginx_conf nginx-x 2
sed -i 's/^daemon off/daemon on/' "$WORK/nginx-x/nginx.conf"
on_xtcp "$(command -v nginx)" -p "$WORK/nginx-x" -c "$WORK/nginx-x/nginx.conf" -e "$WORK/nginx-x/error.log"
xt_wait_for 30 quiet in_k curl -s --fail -o /dev/null -r 0-0 "http://$ADDR_X/file"
nginx_fetch() { in_k curl -s --fail "http://$ADDR_X/file" | sha256sum; }
expect "nginx" "$WANT" "$(nginx_fetch)"
old=$(cat "$WORK/nginx-x/nginx.pid")
kill -USR2 "$old"
new_master() { [ -s "$WORK/nginx-x/nginx.pid.oldbin" ] && [ -s "$WORK/nginx-x/nginx.pid" ] && pgrep -P "$(cat "$WORK/nginx-x/nginx.pid")" >/dev/null; }
expect "nginx: a new binary beside the old" "0" "$(xt_wait_for 30 new_master; echo $?)"
expect "nginx: both serve" "$WANT" "$(for _ in 1 2 3 4 5 6 7 8; do nginx_fetch; done | sort -u)"
kill -QUIT "$old"
expect "nginx: the old one is gone" "0" "$(xt_wait_for 30 xt_gone "$old"; echo $?)"
expect "nginx: the new one serves" "$WANT" "$(for _ in 1 2 3 4; do nginx_fetch; done | sort -u)"
kill -QUIT "$(cat "$WORK/nginx-x/nginx.pid")"

# ---- SCM_RIGHTS ----

cat >"$WORK/pass.py" <<'PY'
import array, os, socket, sys
if len(sys.argv) == 1: # a program of its own, with a family of its own
    u = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    u.connect("pass.sock")
    _, fds, _, _ = socket.recv_fds(u, 10, 3)
    l, c, b = [socket.socket(fileno=fd) for fd in fds]
    assert c.family == socket.AF_INET and c.getpeername()[1] and l.getsockname()[1] == 7051
    assert b.getsockname()[1] == 7054
    b.listen()
    for i in range(3):
        s = c if i == 0 else (l if i == 1 else b).accept()[0]
        while data := s.recv(65536):
            s.sendall(data)
        s.close()
    sys.exit()
u = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
u.bind("pass.new")
u.listen()
os.rename("pass.new", "pass.sock") # who finds it can connect
l = socket.create_server(("", 7051))
other, _ = u.accept()
c, _ = l.accept()
b = socket.socket() # bound only: its new owner listens
b.bind(("", 7054))
socket.send_fds(other, [b"x"], [l.fileno(), c.fileno(), b.fileno()])
b.close()
c.close()
l.close()
other.recv(1) # until the other one ends
PY
(cd "$WORK"; xt_spawn x "$WORK/pass.log" env "${XTCP_ENV[@]}" python3 "$WORK/pass.py" give)
xt_wait_for 30 test -S "$WORK/pass.sock"
(cd "$WORK"; xt_spawn x "$WORK/pass2.log" env "${XTCP_ENV[@]}" python3 "$WORK/pass.py")
expect "a connection passed on" "$WANT" "$(peer 7051 sha256sum <"$FILE")"
expect "a listener passed on" "$WANT" "$(peer 7051 sha256sum <"$FILE")"
expect "a bound socket passed on" "$WANT" "$(peer 7054 sha256sum <"$FILE")"

# A socket that could not be bound: its new owner finds it so, and binds it.
cat >"$WORK/unbound.py" <<'PY'
import os, socket
a, b = socket.socketpair()
if os.fork() == 0:
    s = socket.socket(fileno=socket.recv_fds(a, 1, 1)[1][0])
    assert s.getsockname() == ("0.0.0.0", 0), s.getsockname()
    s.bind(("", 7056))
    s.listen()
    c, _ = s.accept()
    while data := c.recv(65536):
        c.sendall(data)
    os._exit(0)
l = socket.create_server(("", 7055))
s = socket.socket()
try:
    s.bind(("", 7055))
except OSError:
    socket.send_fds(b, [b"x"], [s.fileno()])
os.wait()
PY
xt_spawn x "$WORK/unbound.log" env "${XTCP_ENV[@]}" python3 "$WORK/unbound.py"
expect "an unbound socket passed on" "$WANT" "$(peer 7056 sha256sum <"$FILE")"

# A program with sockets of its own waits for them and for one of another family's at once.
cat >"$WORK/both.py" <<'PY'
import os, select, socket, sys
if sys.argv[1] == "give":
    u = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    u.bind("both.new")
    u.listen()
    os.rename("both.new", "both.sock")
    l = socket.create_server(("", 7052))
    other, _ = u.accept()
    socket.send_fds(other, [b"x"], [l.fileno()])
    l.close()
    other.recv(1)
    sys.exit()
own = socket.create_connection((sys.argv[1], 7053))
u = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
u.connect("both.sock")
l = socket.socket(fileno=socket.recv_fds(u, 10, 1)[1][0])
for make, seconds in (select.epoll, 20), (select.poll, 20000):
    for first in True, False:
        p = make()
        for s in (own, l) if first else (l, own):
            p.register(s, select.POLLIN)
        own.sendall(b"a")
        got = p.poll(seconds)
        assert got == [(own.fileno(), select.POLLIN)] and own.recv(9) == b"b", (make, first, got)
        own.sendall(b"c")
        got = p.poll(seconds)
        assert got == [(l.fileno(), select.POLLIN)], (make, first, got)
        with l.accept()[0] as c:
            c.sendall(b"ok")
PY
cat >"$WORK/both_peer.py" <<'PY'
import socket, sys
listener = socket.create_server(("", 7053))
print("listening", file=sys.stderr, flush=True)
own, _ = listener.accept()
own.settimeout(30)
for i in range(4):
    assert own.recv(9) == b"a"
    own.sendall(b"b")
    assert own.recv(9) == b"c"
    with socket.create_connection((sys.argv[1], 7052), 20) as s:
        print(s.recv(9).decode())
PY
xt_spawn k "$WORK/both_peer.log" python3 "$WORK/both_peer.py" "$ADDR_X"
peer_pid=$XT_PID
xt_wait_for 30 grep -q listening "$WORK/both_peer.log"
(cd "$WORK"; xt_spawn x "$WORK/both.log" env "${XTCP_ENV[@]}" python3 "$WORK/both.py" give)
xt_wait_for 30 test -S "$WORK/both.sock"
(cd "$WORK"; xt_spawn x "$WORK/both2.log" env "${XTCP_ENV[@]}" python3 "$WORK/both.py" "$ADDR_K")
xt_wait_for 90 xt_gone "$peer_pid" || :
expect "two families in one epoll set, in one poll" "listening ok ok ok ok" "$(xargs <"$WORK/both_peer.log")"
cat "$WORK/both2.log"

xt_wait_for 30 no_sockets || :
expect "nothing is left open" "0" "$(no_sockets && echo 0 || ctl list)"
no_ends() { ! in_x grep -q '@xtcp/[^ ]*/c/' /proc/net/unix; }
expect "no end is left either" "0" "$(xt_wait_for 30 no_ends; echo $?)"
exit $failed
