#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kernel's end for holders.py. The first line of a connection says what becomes of it:
echo: all comes back; sink: after the end of file, how many bytes came and whether each 100 of them are alike;
dial ADDR PORT: connects there, sends "hello", and answers what comes back until the end of file."""
import socket
import sys
import threading


def rest(s):
    got = b""
    while True:
        try:
            data = s.recv(65536)
        except OSError as e:
            return got + type(e).__name__.encode()
        if not data:
            return got
        got += data


def serve(c):
    f = c.makefile("rb", buffering=0)
    what = f.readline().split()
    if what[0] == b"echo":
        while data := c.recv(65536):
            c.sendall(data)
    elif what[0] == b"sink":
        data = rest(c)
        mixed = sum(len(set(data[i:i + 100])) != 1 for i in range(0, len(data), 100))
        c.sendall(b"%d bytes, %d mixed" % (len(data), mixed))
    elif what[0] == b"dial":
        with socket.create_connection((what[1].decode(), int(what[2])), 20) as s:
            s.sendall(b"hello")
            c.sendall(rest(s))
    c.close()


listener = socket.create_server(("", int(sys.argv[1])), backlog=64)
print("listening", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
