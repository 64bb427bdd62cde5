#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# The other side of corners (see corners.h): corners.py PORT FOLDER
import os, socket, sys, threading

port, folder = int(sys.argv[1]), sys.argv[2]
pattern = bytes(range(251)) * 1000


def echo(s):
    while data := s.recv(65536):
        s.sendall(data)


def note(s, name):
    with open(f"{folder}/.{name}", "wb") as f:
        while data := s.recv(65536):
            f.write(data)
    os.rename(f"{folder}/.{name}", f"{folder}/{name}")


def total(s):
    count = added = 0
    while data := s.recv(1 << 20):
        count += len(data)
        added += sum(data.replace(b"\0", b""))
    s.sendall(b"%d %d\n" % (count, added))


def flood(s, n):
    at = 0
    while at < n:
        at += s.send(pattern[at % 251 : at % 251 + min(n - at, 65536)])


def call(s, port, n):
    for _ in range(n):
        with socket.create_connection((s.getpeername()[0], port)) as c:
            c.sendall(b"k")


def serve(s):
    with s:
        line = b""
        while not line.endswith(b"\n"):
            byte = s.recv(1)
            if not byte:
                return
            line += byte
        words = line.decode().split()
        try:
            if words[0] == "echo":
                echo(s)
            elif words[0] == "note":
                note(s, words[1])
            elif words[0] == "sum":
                total(s)
            elif words[0] == "flood":
                flood(s, int(words[1]))
            elif words[0] == "call":
                call(s, int(words[1]), int(words[2]))
        except OSError:
            pass  # the program has ended in the middle of it


listener = socket.create_server(("", port), backlog=200)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
