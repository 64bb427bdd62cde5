# SPDX-License-Identifier: Apache-2.0
"""Connections that come and go in every way a program can end them.

    churn.py serve ADDRESS PORT          a child for each connection, which does what the connection's first line says
    churn.py use ADDRESS PORT TIMES [WAY...]
                                         each way but those so many times; fails when an answer is wrong
"""
import errno, faulthandler, os, signal, socket, struct, sys

TEXT = os.urandom(20000)


def to_end(s):
    got = b""
    while part := s.recv(65536):
        got += part
    return got


def abort(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def leave():
    os.kill(os.getpid(), signal.SIGKILL)


# ---- the server ----


def line_of(c):
    line = b""
    while not line.endswith(b"\n") and (byte := c.recv(1)):
        line += byte
    return line.strip().decode()


def answer(c):
    what = line_of(c)
    if what == "echo":
        c.sendall(to_end(c))
    elif what == "exec":
        for fd in (0, 1):
            os.dup2(c.fileno(), fd)
        os.execvp("cat", ["cat"])
    elif what == "greet":
        c.sendall(b"hello\n")
    elif what == "flood":
        while True:
            c.sendall(TEXT)
    elif what == "abort":
        abort(c)
    elif what == "die":
        leave()


def serve(address, port):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    s = socket.create_server((address, port), backlog=64)
    while True:
        c, _ = s.accept()
        if os.fork() == 0:
            s.close()
            try:
                answer(c)
            except ConnectionError:
                pass
            os._exit(0)
        c.close()


# ---- the client ----


def connect(what):
    s = socket.create_connection(where, timeout=60)
    s.settimeout(None)  # a real blocking socket: the alarm bounds it
    s.sendall(what.encode() + b"\n")
    return s


def exchange(s):
    s.sendall(TEXT)
    s.shutdown(socket.SHUT_WR)
    got = to_end(s)
    assert got == TEXT, f"{len(got)} bytes came back of {len(TEXT)}"


def in_child(f):
    pid = os.fork()
    if pid == 0:
        rc = 1
        try:
            f()
            rc = 0
        finally:
            os._exit(rc)
    return pid


def well(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def echo():
    with connect("echo") as s:
        exchange(s)


def server_executes():
    with connect("exec") as s:
        exchange(s)


def child_goes_on():
    s = connect("echo")
    pid = in_child(lambda: exchange(s))
    s.close()
    well(pid)


def client_executes():
    s = connect("greet")

    def run():
        os.dup2(s.fileno(), 0)
        os.execvp("sh", ["sh", "-c", 'read said && test "$said" = hello'])
    pid = in_child(run)
    s.close()
    well(pid)


def two_hold_it():
    s = connect("echo")
    pid = in_child(lambda: None)
    exchange(s)
    s.close()
    well(pid)


def aborted():
    s = connect("flood")
    s.recv(1000)
    abort(s)


def closed_unread():
    s = connect("flood")
    s.recv(1000)
    s.close()


def killed_in_a_call():
    into, out = os.pipe()

    def run():
        s = connect("flood")
        s.recv(1000)
        os.write(out, b".")
        while s.recv(65536):
            pass
    pid = in_child(run)
    os.read(into, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(into)
    os.close(out)


def reset(what):
    with connect(what) as s:
        try:
            assert s.recv(1) == b""
        except ConnectionResetError:
            pass


def server_aborts():
    reset("abort")


def server_dies():
    reset("die")


def refused():
    with socket.socket() as s:
        assert s.connect_ex((where[0], where[1] + 1)) == errno.ECONNREFUSED


def given_up():
    with socket.socket() as s:
        s.setblocking(False)
        assert s.connect_ex(where) in (0, errno.EINPROGRESS)


WAYS = [echo, server_executes, child_goes_on, client_executes, two_hold_it, aborted, closed_unread, killed_in_a_call, server_aborts,
        server_dies, refused, given_up]

where = (sys.argv[2], int(sys.argv[3]))
if sys.argv[1] == "serve":
    serve(*where)
faulthandler.register(signal.SIGALRM, chain=True)  # says where it was, then dies of it
for n in range(int(sys.argv[4])):
    for way in (w for w in WAYS if w.__name__ not in sys.argv[5:]):
        signal.alarm(100)  # a call that hangs ends the test
        try:
            way()
        except BaseException:
            print(f"{way.__name__}, time {n}:", file=sys.stderr)
            raise
