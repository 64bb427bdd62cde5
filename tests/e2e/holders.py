#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A connection and a listener in the hands of many: what holders of every kind find, a line for each. The answers on the
kernel's TCP are the reference.
   holders.py PEER PORT OWN OWNPORT   the peer (holders_peer.py) and the address at which it reaches us"""
import array
import ctypes
import fcntl
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading

PEER, OWN = (sys.argv[1], int(sys.argv[2])), (sys.argv[3], int(sys.argv[4]))
libc = ctypes.CDLL(None, use_errno=True)
SYS_clone, SYS_fork, SYS_clone3, CLOEXEC, UNSHARE = 56, 57, 435, 4, 2
SO_COOKIE, SIOCOUTQ, SIOCATMARK = 57, termios.TIOCOUTQ, 0x8905


def say(name, *what):
    print(name + ":", *what, flush=True)


def dial(what="echo"):
    s = socket.create_connection(PEER, 20)
    s.settimeout(None)
    s.sendall(what.encode() + b"\n")
    return s


def read(s, n):
    got = b""
    while len(got) < n and (data := s.recv(n - len(got))):
        got += data
    return got


def echo(s, text):
    s.sendall(text.encode())
    return read(s, len(text)).decode()


def child(fn, fork=os.fork):
    """Runs fn in a child; True: it ended well."""
    pid = fork()
    if pid == 0:
        try:
            os._exit(0 if fn() in (None, True) else 1)
        except BaseException as e:
            print("child:", repr(e), flush=True)
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def inq(s):
    return struct.unpack("i", fcntl.ioctl(s, termios.FIONREAD, b"\0" * 4))[0]


def outq(s):
    return struct.unpack("i", fcntl.ioctl(s, SIOCOUTQ, b"\0" * 4))[0]


def arrived(s, n):
    """Waits until n bytes can be read."""
    while inq(s) < n:
        select.select([s], [], [], 0.01)
    return inq(s)


def cookie(s):
    return s.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8)


def identity():
    a, b = dial(), dial()
    copies = [a.dup(), socket.socket(fileno=os.dup2(a.fileno(), 77)), socket.socket(fileno=fcntl.fcntl(a, fcntl.F_DUPFD, 90))]
    inode = [os.fstat(s.fileno()).st_ino for s in [a, b] + copies]
    say("identity: copies have the inode", all(i == inode[0] for i in inode[2:]), "others not", inode[0] != inode[1])
    say("identity: cookies", all(cookie(s) == cookie(a) for s in copies), cookie(a) != cookie(b))
    say("identity: link", os.readlink("/proc/self/fd/%d" % a.fileno()).split("[")[0])
    say("identity: a child sees", child(lambda: os.fstat(a.fileno()).st_ino == inode[0] and cookie(a) == cookie(copies[0])))
    for s in copies:
        say("identity: echo", echo(s, "copy"))
        s.close()
    say("identity: echo of the last", echo(a, "last"))


def counts():
    s = dial()
    s.sendall(b"0123456789")
    say("counts: unread", arrived(s, 10), "unsent", outq(s))
    t = s.dup()
    say("counts: of a copy", read(t, 4), inq(s), "mark", s.sendmsg([b""]) == 0)
    say("counts: in a child", child(lambda: inq(s) == 6 and read(s, 2) == b"45" and inq(t) == 4))
    say("counts: after the child", inq(s), read(s, 4))


def forks():
    def raw(n, *args):
        def fork():
            sys.stdout.flush()
            return libc.syscall(n, *args, 0, 0, 0, 0)
        return fork
    args = ctypes.create_string_buffer(struct.pack("11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0))

    def clone3():
        return libc.syscall(SYS_clone3, args, 88)
    for name, fork in ("fork", os.fork), ("clone", raw(SYS_clone, signal.SIGCHLD)), ("raw fork", raw(SYS_fork)), ("clone3", clone3):
        s = dial()
        say(name, "child", child(lambda: echo(s, "child") == "child", fork), "parent", echo(s, "parent"))
        say(name, "closed by the child", child(lambda: s.close(), fork), echo(s, "still"))
        say(name, "child of a child", child(lambda: child(lambda: echo(s, "deep") == "deep", fork), fork))


def libc_clone():
    s = dial()
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
    stack = ctypes.create_string_buffer(1 << 20)
    top = ctypes.c_void_p((ctypes.addressof(stack) + len(stack) - 64) & ~15)
    run = kind(lambda arg: 0 if echo(s, "cloned") == "cloned" and s.close() is None else 1)
    pid = libc.clone(run, top, signal.SIGCHLD, None)
    say("clone()", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), echo(s, "parent"))


def daemons():
    s = dial()
    r, w = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(r)
            os.write(w, echo(s, "grandchild").encode())
            os._exit(0)
        os._exit(0)
    os.wait()
    os.close(w)
    say("double fork:", os.read(r, 100), echo(s, "parent"))
    r, w = os.pipe()
    if os.fork() == 0:
        libc.daemon(1, 1)
        os.write(w, echo(s, "daemon").encode())
        os._exit(0)
    os.wait()
    os.close(w)
    say("daemon():", os.read(r, 100), echo(s, "parent"))


def spawns():
    s, t = dial(), dial()
    say("subprocess writes", subprocess.run(["sh", "-c", "echo out; echo err >&2"], stdout=s, stderr=t).returncode,
        read(s, 4), read(t, 4))
    s, t = dial(), dial()
    actions = [(os.POSIX_SPAWN_DUP2, s.fileno(), 1), (os.POSIX_SPAWN_CLOSE, s.fileno()), (os.POSIX_SPAWN_CLOSE, t.fileno())]
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "echo spawned"], {}, file_actions=actions)
    say("posix_spawn", os.waitpid(pid, 0)[1], read(s, 8), echo(s, "on"), echo(t, "too"))
    s = dial()

    def fexec():
        os.dup2(s.fileno(), 1)
        os.execve(os.open("/bin/echo", os.O_RDONLY), ["echo", "fexecve"], {})
    say("fexecve", child(fexec), read(s, 8), echo(s, "on"))


def closers():
    s, t = dial(), dial()
    say("close_range with CLOEXEC", libc.close_range(s.fileno(), s.fileno(), CLOEXEC), os.get_inheritable(s.fileno()), echo(s, "open"))
    os.set_inheritable(s.fileno(), True)
    libc.close_range(s.fileno(), s.fileno(), CLOEXEC)
    lines = ["import os, sys", "try: os.fstat(int(sys.argv[1])); print('open')", "except OSError: print('closed')"]
    out = subprocess.run([sys.executable, "-c", "\n".join(lines), str(s.fileno())], close_fds=False, capture_output=True)
    say("close_range with CLOEXEC: the program has it", out.stdout)
    say("close_range with UNSHARE", child(lambda: libc.close_range(t.fileno(), t.fileno(), UNSHARE) == 0 and
                                          libc.close_range(t.fileno(), t.fileno(), 0) == 0 and echo(s, "one") == "one"), echo(t, "two"))

    def sweep(how):
        how()
        u = dial()
        return echo(u, "new") == "new" and child(lambda: echo(u, "newer") == "newer")

    def by_number():
        for fd in range(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0]):
            libc.close(fd)

    def by_list():
        for fd in os.listdir("/proc/self/fd"):
            if int(fd) > 2:
                libc.close(int(fd))

    def raw_range():
        libc.syscall(436, 3, 0xffffffff, 0, 0, 0, 0)
    for name, how in ("numbers", by_number), ("list", by_list), ("closefrom", lambda: libc.closefrom(3)), ("range", raw_range):
        say("all closed by", name, child(lambda: sweep(how)), echo(s, "parent"))


def passing():
    u, v = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s = dial()
    s.sendall(b"abcdefgh")
    arrived(s, 8)
    say("passing: read before", read(s, 3))

    def take():
        u.close()
        fd = socket.recv_fds(v, 10, 1)[1][0]
        t = socket.socket(fileno=fd)
        return (read(t, 5), inq(t), outq(t), t.getpeername() == PEER, echo(t, "more")) == (b"defgh", 0, 0, True, "more")
    pid = os.fork()
    if pid == 0:
        s.close()
        os._exit(0 if take() else 1)
    socket.send_fds(u, [b"x"], [s.fileno()])
    s.close()
    say("passing: half-read", os.waitpid(pid, 0)[1])
    # In flight while the sender has gone.
    u, v = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def give():
        t = dial()
        t.sendall(b"flight")
        arrived(t, 6)
        socket.send_fds(u, [b"x"], [t.fileno()])
    say("passing: the sender ends", child(give))
    t = socket.socket(fileno=socket.recv_fds(v, 10, 1)[1][0])
    say("passing: from one that is gone", read(t, 6), echo(t, "again"))
    socket.send_fds(u, [b"x"], [t.fileno()])
    t.close()
    t = socket.socket(fileno=socket.recv_fds(v, 10, 1)[1][0])
    say("passing: to itself", echo(t, "self"))


def listener():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", OWN[1]))
    s.listen(16)
    return s


def listeners():
    s = listener()
    u, v = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ask = "dial %s %d" % OWN

    def take():
        s.close()
        t = socket.socket(fileno=socket.recv_fds(v, 10, 1)[1][0])
        c, _ = t.accept()
        c.sendall(read(c, 5) + b" passed")
    pid = os.fork()
    if pid == 0:
        take()
        os._exit(0)
    socket.send_fds(u, [b"x"], [s.fileno()])
    c = dial(ask)
    say("listener: passed", read(c, 99), os.waitpid(pid, 0)[1])
    c, d = dial(ask), dial(ask)

    def serve():
        with s.accept()[0] as x:
            x.sendall(b"%s child" % read(x, 5))
    say("listener: by children", child(serve), child(serve), read(c, 99), read(d, 99))
    c = dial(ask)
    x, _ = s.accept()

    def worker():
        x.sendall(read(x, 5) + b" thread")
        x.close()
    t = threading.Thread(target=worker)
    t.start()
    t.join()
    say("listener: worked on in a thread", read(c, 99))
    for how in (lambda: os._exit(0)), (lambda: os.kill(os.getpid(), signal.SIGKILL)), (lambda: os.abort()):
        c = dial(ask)
        child(lambda: arrived(x := s.accept()[0], 5) and how())
        say("listener: dead holder", read(c, 99))
    s.close()
    for i in range(3):
        s = listener()
        s.close()
    for i in range(20):
        pid = os.fork()
        if pid == 0:
            s = listener()
            v.send(b"up")
            signal.pause()
        u.recv(9)
        os.kill(pid, signal.SIGKILL)
        os.wait()
        s = listener()
        s.close()
    say("listener: bound again at once")


def together():
    def write(letter, n):
        for i in range(n):
            s.sendall(letter * 100)
    # A message that finds room goes in one piece; one that must wait may not, on Linux either.
    for n, told in (20, slice(99)), (1000, slice(12)):
        s = dial("sink")
        pids = []
        for letter in b"a", b"b", b"c":
            pids.append(os.fork())
            if pids[-1] == 0:
                write(letter, n)
                os._exit(0)
        write(b"d", n)
        for pid in pids:
            os.waitpid(pid, 0)
        s.shutdown(socket.SHUT_WR)
        say("together: writers", read(s, 99)[told])
    s = dial()
    r, w = os.pipe()
    for i in range(3):
        if os.fork() == 0:
            n = 0
            while data := s.recv(1000):
                n += len(data)
            os.write(w, b"%d\n" % n)
            os._exit(0)
    for i in range(300):
        s.sendall(b"x" * 997)
    s.shutdown(socket.SHUT_WR)
    for i in range(3):
        os.wait()
    say("together: readers", sum(int(n) for n in os.read(r, 999).split()))


def threads():
    """Forks while other threads are at work."""
    end = threading.Event()
    bad = []

    def work():
        s = dial()
        while not end.is_set():
            if echo(s, "thread") != "thread":
                bad.append(1)
    t = [threading.Thread(target=work) for i in range(3)]
    for i in t:
        i.start()
    s = dial()
    good = [child(lambda: echo(s, "forked") == "forked" and echo(dial(), "new") == "new") for i in range(12)]
    end.set()
    for i in t:
        i.join()
    say("threads: forks", all(good), "work", not bad, echo(s, "parent"))


def deaths():
    s = dial("sink")
    r, w = os.pipe()
    # The middle of three dies, then the parent of the connection's last holder.
    pid = os.fork()
    if pid == 0:
        parent = os.getpid()
        if os.fork() == 0:
            os.close(r)
            while os.getppid() == parent:
                select.select([], [], [], 0.01)
            s.sendall(b"z" * 300)
            os.write(w, b"sent")
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(w)
    say("deaths: an orphan", os.read(r, 9))
    s.shutdown(socket.SHUT_WR)
    say("deaths: arrived", read(s, 99))


def confined():
    s, t = dial(), dial()

    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, 1))
        return echo(s, "confined") == "confined" and libc.poll(ctypes.c_char_p(struct.pack("ihh", s.fileno(), 4, 0)), 1, 1000) == 1
    say("confined: no more descriptors", child(few), echo(s, "parent"))

    def sandbox():
        allowed = 0, 1, 3, 7, 9, 10, 11, 12, 13, 14, 15, 23, 25, 28, 39, 48, 60, 202, 228, 231, 270, 271, 318
        code = [(0x20, 0, 0, 0)] + [(0x15, len(allowed) - i, 0, n) for i, n in enumerate(allowed)]
        code += [(0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7fff0000)]
        text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *c) for c in code))
        prog = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(text)))
        fd = s.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, 1))
        if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, prog, 0, 0):
            return False
        os.write(fd, b"seccomp")
        got = b""
        while len(got) < 7 and libc.poll(ctypes.c_char_p(struct.pack("ihh", fd, 1, 0)), 1, 20000) == 1:
            got += os.read(fd, 100)
        return got == b"seccomp"
    say("confined: seccomp", child(sandbox), echo(s, "parent"))

    def jail():
        with tempfile.TemporaryDirectory() as d:
            os.chroot(d)
            os.chdir("/")
        return echo(t, "jail") == "jail" and echo(s, "jail") == "jail" and child(lambda: echo(t, "deeper") == "deeper")
    say("confined: chroot", child(jail), echo(t, "parent"))


for scene in sys.argv[5:] or ("identity", "counts", "forks", "libc_clone", "daemons", "spawns", "closers", "passing", "listeners", "together",
              "threads", "deaths", "confined"):
    try:
        globals()[scene]()
    except Exception as e:
        say(scene, "ended with", repr(e))
say("done")
