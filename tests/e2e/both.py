#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Listeners on the wildcard address, for both.sh.

  both.py serve MODE PORT [FAMILY]  a server that answers each connection with its own address and ends it; prints "port N"
  both.py ask HOST PORT             the answer
  both.py check XTCP KERNEL         calls on such listeners, in a program on xtcp: its own address and one of the kernel's
  both.py pass PATH PORT            a server that gives its listener to who connects to the UNIX socket PATH, and ends
  both.py take PATH                 who connects there, and serves
  both.py exec PORT                 a server that runs itself anew with its listener as descriptor 7
"""
import array
import errno
import os
import select
import socket
import struct
import sys
import threading


def listener(port, family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(("", port))
    s.listen(64)
    return s


def wait_for(mode, s):
    """Returns when a connection should be there; the modes differ in how they learn of it."""
    if mode == "poll":
        p = select.poll()
        p.register(s, select.POLLIN)
        assert p.poll() == [(s.fileno(), select.POLLIN)]
    elif mode == "select":
        assert select.select([s], [], [])[0] == [s]


def serve(mode, s):
    print("port", s.getsockname()[1], flush=True)
    ep = select.epoll() if mode.startswith("epoll") else None
    if ep:
        s.setblocking(False)
        ep.register(s, select.EPOLLIN | (select.EPOLLET if mode == "epollet" else 0))
    if mode == "timeout":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 100000))
    if mode == "fork":
        for _ in range(3):
            if os.fork() == 0:
                break
    while True:
        if ep:
            assert [fd for fd, _ in ep.poll()] == [s.fileno()]
        else:
            wait_for(mode, s)
        try:
            answer(s.accept()[0])
            while ep:
                answer(s.accept()[0])
        except BlockingIOError:
            pass


def answer(c):
    c.sendall(("%s %d" % (c.getsockname()[0].replace("::ffff:", ""), os.getpid())).encode())
    c.close()


def ask(host, port):
    with socket.create_connection((host, int(port)), timeout=60) as c:
        return c.makefile().read()


# ---- check ----

def expect(name, got, wanted):
    if got != wanted:
        sys.exit("%s: got %r, wanted %r" % (name, got, wanted))
    print("ok   ", name, flush=True)


def errno_of(fn, *args):
    try:
        fn(*args)
    except OSError as e:
        return errno.errorcode[e.errno]
    return None


def peers(s, hosts):
    """A connection from each of the hosts' addresses, established and not yet accepted."""
    return [socket.create_connection((h, s.getsockname()[1]), timeout=60) for h in hosts]


def accepted_at(s, n):
    out = []
    for _ in range(n):
        c, _ = s.accept()
        out.append(c.getsockname()[0])
        c.close()
    return sorted(out)


def check_events(xtcp):
    """One event for a listener, whichever of its halves it is, or both."""
    s = listener(0)
    both = sorted(["127.0.0.1", xtcp])
    ep, p = select.epoll(), select.poll()
    ep.register(s, select.EPOLLIN)
    p.register(s, select.POLLIN)
    expect("nothing there", (ep.poll(0), p.poll(0), select.select([s], [], [], 0)[0]), ([], [], []))
    for hosts in (["127.0.0.1"], [xtcp], both):
        cs = peers(s, hosts)
        while len(hosts) == 2 and accept_ready(s) != 2:
            pass
        ready = [(s.fileno(), select.EPOLLIN)]
        expect("events of %s" % "+".join(hosts), (ep.poll(60), p.poll(60000), select.select([s], [], [], 60)[0]),
               (ready, ready, [s]))
        expect("accepted", accepted_at(s, len(hosts)), hosts)
        del cs
    expect("and nothing there", (ep.poll(0), p.poll(0), select.select([s], [], [], 0)[0]), ([], [], []))
    ep.modify(s, select.EPOLLIN | select.EPOLLONESHOT)
    cs = peers(s, both)
    expect("one shot", len(ep.poll(60)), 1)
    expect("no second", ep.poll(0), [])
    ep.modify(s, select.EPOLLIN | select.EPOLLONESHOT)
    expect("armed again", len(ep.poll(60)), 1)
    accepted_at(s, 2)
    ep.modify(s, select.EPOLLIN)
    ep.unregister(s)
    cs += peers(s, both)
    expect("not a member any more", ep.poll(0), [])
    accepted_at(s, 2)
    ep.register(s, select.EPOLLIN)
    d = s.dup()
    s.close()
    cs += [socket.create_connection(("127.0.0.1", d.getsockname()[1]))]
    expect("a copy serves on", accepted_at(d, 1), ["127.0.0.1"])


def accept_ready(s):
    """How many of its halves have a connection: looked at from outside."""
    with open("/proc/net/tcp") as f:
        queue = [int(line.split()[4].split(":")[1], 16) for line in f
                 if line.split()[3] == "0A" and line.split()[1].endswith(":%04X" % s.getsockname()[1])]
    return 2 if queue and queue[0] else 1


def check_bind(xtcp, kernel):
    s = listener(0)
    port = s.getsockname()[1]
    expect("a chosen port", port != 0 and s.getsockname()[0], "0.0.0.0")
    again = socket.socket()
    expect("taken", errno_of(again.bind, ("", port)), "EADDRINUSE")
    expect("taken at the kernel's address", errno_of(again.bind, (kernel, port)), "EADDRINUSE")
    s.close()
    s = socket.socket()
    s.bind((kernel, port))
    other = socket.socket()
    expect("the kernel has it", errno_of(other.bind, ("", port)), "EADDRINUSE")
    s.close()
    other.bind(("", port))
    other.listen()
    other.shutdown(socket.SHUT_RD)
    expect("no listener any more", errno_of(socket.create_connection, ("127.0.0.1", port)), "ECONNREFUSED")
    other.listen()
    expect("listens again", len(peers(other, ["127.0.0.1", xtcp])), 2)
    other.close()
    s = listener(port)
    s.close()
    expect("closed at once", errno_of(socket.create_connection, ("127.0.0.1", port)), "ECONNREFUSED")


def check_connect(xtcp, kernel):
    s = listener(0)
    for to in ("127.0.0.1", kernel, xtcp):
        for dup in (False, True):
            c = socket.socket()
            c.bind(("", 0))
            port = c.getsockname()[1]
            d = c.dup() if dup else c
            c.connect((to, s.getsockname()[1]))
            a, peer = s.accept()
            expect("bound, then connected to %s" % to, (peer, d.getpeername()[0], d.getsockname()[1]),
                   ((to, port), to, port))
            a.sendall(b"x")
            expect("and served", d.recv(1), b"x")


def check_fairness(xtcp):
    """Neither side's connections wait for all of the other's."""
    s = listener(0)
    cs = peers(s, [xtcp] * 40 + ["127.0.0.1"] * 40)
    order = []
    for _ in range(40):
        c, peer = s.accept()
        order.append(peer[0])
    expect("taken in turns", 10 <= order.count(xtcp) <= 30, True)
    del cs


def check_threads(xtcp):
    """Threads that wait in accept() each get one."""
    s, got = listener(0), []
    ts = [threading.Thread(target=lambda: got.append(s.accept()[0].getsockname()[0])) for _ in range(8)]
    for t in ts:
        t.start()
    cs = peers(s, ["127.0.0.1", xtcp] * 4)
    for t in ts:
        t.join()
    expect("eight threads", sorted(got), sorted(["127.0.0.1", xtcp] * 4))
    del cs


def check(xtcp, kernel):
    check_bind(xtcp, kernel)
    check_connect(xtcp, kernel)
    check_events(xtcp)
    check_fairness(xtcp)
    check_threads(xtcp)


# ---- handing on ----

def pass_on(path, port):
    s = listener(int(port))
    u = socket.socket(socket.AF_UNIX)
    u.bind(path)
    u.listen()
    print("port", port, flush=True)
    c, _ = u.accept()
    c.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno()]))])
    s.close()
    c.recv(1)  # until the other has it


def take(path):
    u = socket.socket(socket.AF_UNIX)
    u.connect(path)
    _, anc, _, _ = u.recvmsg(1, socket.CMSG_SPACE(4))
    s = socket.socket(fileno=struct.unpack("i", anc[0][2])[0])
    s.listen(64)
    u.close()
    serve("poll", s)


def main(what, *args):
    if what == "serve":
        family = socket.AF_INET6 if args[2:] == ("6",) else socket.AF_INET
        serve(args[0], listener(int(args[1]), family))
    elif what == "ask":
        print(ask(*args))
    elif what == "check":
        check(*args)
    elif what == "pass":
        pass_on(*args)
    elif what == "take":
        take(*args)
    elif what == "exec":
        s = listener(int(args[0]))
        os.dup2(s.fileno(), 7, inheritable=True)
        os.execv(sys.executable, [sys.executable, __file__, "executed"])
    elif what == "executed":
        serve("epoll", socket.socket(fileno=7))


main(*sys.argv[1:])
