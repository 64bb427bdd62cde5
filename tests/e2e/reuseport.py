# SPDX-License-Identifier: Apache-2.0
"""Servers that share a port by SO_REUSEPORT, and a client that counts who answers.
    reuseport.py serve ADDRESS PORT NAME READY-FILE   answers each connection with NAME
    reuseport.py refused ADDRESS PORT                 who may not bind beside them
    reuseport.py ask ADDRESS PORT N NAME...           N connections: each must be answered, every NAME must have its share
"""
import collections
import errno
import os
import socket
import sys


def bound(address, port, *options):
    s = socket.socket()
    for option in options:
        s.setsockopt(socket.SOL_SOCKET, option, 1)
    s.bind((address, port))
    return s


def serve(address, port, name, ready):
    s = bound(address, port, socket.SO_REUSEPORT)
    s.listen(64)
    with open(ready + ".new", "w", encoding="ascii") as f:
        f.write(str(os.getpid()))
    os.rename(ready + ".new", ready)
    while True:
        c, _ = s.accept()
        c.sendall(name.encode())
        c.close()


def is_refused(address, port, *options):
    try:
        bound(address, port, *options).close()
    except OSError as e:
        if e.errno != errno.EADDRINUSE:
            raise
        return True
    return False


def refused(address, port):
    if os.fork() == 0:  # before this process has anything to do with TCP: as a program that another user has started
        os.setuid(65534)
        os._exit(0 if is_refused(address, port, socket.SO_REUSEPORT) else 1)
    assert os.wait()[1] == 0, "another user"
    assert is_refused(address, port), "without an option"
    assert is_refused(address, port, socket.SO_REUSEADDR), "with the other option"
    assert not is_refused(address, port, socket.SO_REUSEPORT), "with it"


def ask(address, port, n, names):
    count = collections.Counter()
    for _ in range(n):
        with socket.create_connection((address, port), timeout=60) as s:
            count[s.recv(64).decode()] += 1
    print(n, "connections:", dict(sorted(count.items())), flush=True)
    assert set(count) == set(names), "who answered"
    mean = n / len(names)  # five standard deviations of a fair choice
    slack = 5 * (mean * (1 - 1 / len(names))) ** 0.5
    assert all(abs(c - mean) <= slack for c in count.values()), "not balanced"


if sys.argv[1] == "serve":
    serve(sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
elif sys.argv[1] == "refused":
    refused(sys.argv[2], int(sys.argv[3]))
else:
    ask(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
