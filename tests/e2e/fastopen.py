# SPDX-License-Identifier: Apache-2.0
"""TCP Fast Open through the socket API: a server, and a client that prints what each call gives. What it prints must be the
same whoever's TCP is under either of them.
    fastopen.py server ADDRESS PORT READY-FILE
    fastopen.py client ADDRESS PORT
"""
import errno
import os
import select
import socket
import struct
import sys

TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY, TCP_FASTOPEN_NO_COOKIE = 23, 30, 33, 34
MSG_FASTOPEN = 0x20000000
SYN_DATA = 32  # of tcpi_options
TCP = socket.IPPROTO_TCP


def syn_data(s):
    return bool(s.getsockopt(TCP, socket.TCP_INFO, 8)[5] & SYN_DATA)


def read_line(s):
    data = b""
    while not data.endswith(b"\n"):
        piece = s.recv(65536)
        if not piece:
            break
        data += piece
    return data


def server(address, port, ready):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    s.setsockopt(TCP, TCP_FASTOPEN, 16)
    s.listen(16)
    open(ready, "w", encoding="ascii").close()
    while True:
        c, _ = s.accept()
        request = read_line(c)
        if request == b"end\n":
            return
        c.sendall(b"%d %d\n" % (len(request), syn_data(c)))
        c.close()


def attempt(name, call):
    """Prints what a call returns, or its errno."""
    try:
        result = call()
    except OSError as e:
        result = errno.errorcode[e.errno]
    print(name, result, flush=True)
    return result


def finish(name, s):
    print(name, "answer", read_line(s).decode().strip(), "SYN data", syn_data(s), flush=True)
    s.close()


def blocking(to, name, size):
    s = socket.socket()
    data = b"x" * (size - 1) + b"\n"
    attempt(name, lambda: s.sendto(data, MSG_FASTOPEN, to))
    attempt(name + " again", lambda: s.sendto(data, MSG_FASTOPEN, to))
    finish(name, s)


def nonblocking(to, name, size):
    s = socket.socket()
    s.setblocking(False)
    data = b"x" * (size - 1) + b"\n"
    n = attempt(name, lambda: s.sendto(data, MSG_FASTOPEN, to))
    select.select([], [s], [])
    s.setblocking(True)
    s.sendall(data[n if isinstance(n, int) else 0:])
    finish(name, s)


def deferred(to, name):
    s = socket.socket()
    attempt(name + " option", lambda: s.setsockopt(TCP, TCP_FASTOPEN_CONNECT, 1))
    attempt(name + " option is", lambda: s.getsockopt(TCP, TCP_FASTOPEN_CONNECT))
    attempt(name + " connect", lambda: s.connect(to))
    attempt(name + " peer", lambda: s.getpeername() and "known")
    s.setblocking(False)  # with it the kernel waits for a SYN+ACK, but has sent no SYN
    attempt(name + " connect again", lambda: s.connect(to))
    s.setblocking(True)
    attempt(name + " writable", lambda: len(select.select([], [s], [], 0)[1]))
    attempt(name + " send", lambda: s.send(b"hello\n"))
    finish(name, s)


def mistakes(to):
    s = socket.socket()
    attempt("no address", lambda: s.sendmsg([b"x"], [], MSG_FASTOPEN))
    attempt("value 2", lambda: s.setsockopt(TCP, TCP_FASTOPEN_CONNECT, 2))
    attempt("negative limit", lambda: s.setsockopt(TCP, TCP_FASTOPEN, -1))
    attempt("limit", lambda: s.setsockopt(TCP, TCP_FASTOPEN, 7))
    attempt("limit is", lambda: s.getsockopt(TCP, TCP_FASTOPEN))
    attempt("no cookie", lambda: s.setsockopt(TCP, TCP_FASTOPEN_NO_COOKIE, 1))
    attempt("no cookie is", lambda: s.getsockopt(TCP, TCP_FASTOPEN_NO_COOKIE))
    attempt("key of 15", lambda: s.setsockopt(TCP, TCP_FASTOPEN_KEY, b"k" * 15))
    attempt("key of 16", lambda: s.setsockopt(TCP, TCP_FASTOPEN_KEY, b"k" * 16))
    attempt("key is", lambda: s.getsockopt(TCP, TCP_FASTOPEN_KEY, 64))
    attempt("two keys", lambda: s.setsockopt(TCP, TCP_FASTOPEN_KEY, b"n" * 16 + b"k" * 16))
    attempt("keys are", lambda: s.getsockopt(TCP, TCP_FASTOPEN_KEY, 64))
    s.close()
    s = socket.socket()
    attempt("refused", lambda: s.sendto(b"x", MSG_FASTOPEN, (to[0], to[1] + 1)))
    s.close()
    s = socket.create_connection(to)
    attempt("limit too late", lambda: s.setsockopt(TCP, TCP_FASTOPEN, 7))
    attempt("connect option too late", lambda: s.setsockopt(TCP, TCP_FASTOPEN_CONNECT, 1))
    s.sendall(b"x\n")
    finish("plain", s)


def client(address, port):
    to = (address, port)
    nonblocking(to, "request", 100)
    blocking(to, "data", 100)
    nonblocking(to, "at once", 1000)
    nonblocking(to, "more than fits", 5000)
    blocking(to, "much", 100000)
    deferred(to, "deferred")
    mistakes(to)
    with socket.create_connection(to) as s:
        s.sendall(b"end\n")


if sys.argv[1] == "server":
    server(sys.argv[2], int(sys.argv[3]), sys.argv[4])
else:
    client(sys.argv[2], int(sys.argv[3]))
