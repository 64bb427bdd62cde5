# SPDX-License-Identifier: Apache-2.0
# Somebody sets the date, hours forwards and backwards, while calls wait and timers run: none ends early or late.
# usage: date.py FILE XTCPCTL SOCKET PEER PORT, on xtcp and, as its xtcpd, with xt-date.so; FILE: what that reads; PEER: an echo server
import os, select, signal, socket, struct, subprocess, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from words import Words

path, xtcpctl, control, peer, port = sys.argv[1:]
date, words = 0, Words(path)
PATIENCE = 60  # a wait by the date would last for hours
FUTEX, SO_TIMESTAMP = "202", 29
LONG, SHORT = 3600, 0.2
AHEAD = 9 * 3600


def set_date(seconds):
    global date
    date = seconds
    words.write(0, seconds)


def ctl(*args):
    return subprocess.run([xtcpctl, "--socket", control, *args], check=True, stdout=subprocess.PIPE, text=True).stdout


def until(what):
    while not what():
        time.sleep(0.01)


def waits(thread):
    """In a system call other than for the interpreter's lock."""
    with open(f"/proc/self/task/{thread}/syscall") as f:
        return f.read().split()[0] not in ("running", "-1", FUTEX)


def dial():
    return socket.create_connection((peer, int(port)))


def echo(s, n=1):
    s.sendall(b"x" * n)
    assert s.recv(n, socket.MSG_WAITALL) == b"x" * n


def during(call, seconds, *then):
    """What the call returns; while it waits the date is set, then comes the rest."""
    caller = threading.get_native_id()

    def other():
        until(lambda: waits(caller))
        set_date(seconds)
        for f in then:
            f()

    t = threading.Thread(target=other, daemon=True)
    t.start()
    result = call()
    t.join()
    return result


def is_told():
    """The test's own: program and daemon have that date."""
    with dial() as s:
        s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 1)
        s.sendall(b"x")
        (_, _, stamp), = s.recvmsg(1, 64)[1]
        for now in time.time(), struct.unpack("qq", stamp)[0]:
            assert abs(now - time.monotonic() - offset - date) < 600, (now, date)


def receive_timeout():
    with dial() as s, dial() as t:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", LONG, 0))
        got = during(lambda: s.recv(2, socket.MSG_WAITALL), AHEAD, lambda: s.send(b"a"), lambda: echo(t), lambda: s.send(b"b"))
        assert got == b"ab", got
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 0, int(SHORT * 1e6)))
        try:
            assert not during(lambda: s.recv(1), -AHEAD)
        except BlockingIOError:
            pass


def epoll():
    with dial() as s, select.epoll() as e:
        e.register(s, select.EPOLLIN)
        assert during(lambda: e.poll(LONG), AHEAD, lambda: s.send(b"x"))
        s.recv(1)
        assert not during(lambda: e.poll(SHORT), -AHEAD)


def poll():
    with dial() as s:
        p = select.poll()
        p.register(s, select.POLLIN)
        assert during(lambda: p.poll(LONG * 1000), AHEAD, lambda: s.send(b"x"))
        s.recv(1)
        assert not during(lambda: p.poll(SHORT * 1000), -AHEAD)


def in_time_wait(port):
    return any(f":{port} " in line and "TIME_WAIT" in line for line in ctl("list", "--all").splitlines())


def time_wait():
    for msl, seconds, stays in ("10m", AHEAD, True), ("1s", -AHEAD, False):
        ctl("config", "set", "msl", msl)
        with dial() as s, dial() as t:
            mine = s.getsockname()[1]
            echo(s)
            s.close()
            until(lambda: in_time_wait(mine))
            set_date(seconds)
            echo(t)
            if not stays:
                until(lambda: not in_time_wait(mine))
            assert in_time_wait(mine) == stays


def probes():
    return sum(int(line.split()[1]) for line in ctl("stats", "--all").splitlines() if line.startswith("tcp.keep_probes_sent"))


def keep_alive():
    with dial() as s, dial() as t:
        t.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # after two hours
        before = probes()
        set_date(AHEAD)
        echo(s)
        assert probes() == before
        s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        set_date(-AHEAD)
        until(lambda: probes() > before)
        echo(t)


set_date(0)
offset = time.time() - time.monotonic()
for test in receive_timeout, epoll, poll, time_wait, keep_alive:
    signal.alarm(PATIENCE)
    test()
    is_told()
set_date(0)
print("date set forwards and backwards: calls and timers end when they should")
