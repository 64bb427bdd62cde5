#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who is to be served while others flood. A request is a number of 8 bytes; the answer is 64 KiB that follow from it.

floods.py serve PORT              answers on any number of connections; a request 0 ends one that nobody reads
floods.py ask ADDRESS PORT SECONDS  short connections, one after the other in two threads, at least ten in all
floods.py stay ADDRESS PORT FROM  one connection, from port FROM, until standard input ends
floods.py hold ADDRESS PORT N     N connections that ask for 4 MiB each, end with a request 0, and read nothing until standard input ends
"""
import random, selectors, socket, statistics, sys, threading, time

TEXT = 65536


def text(number):
    return random.Random(number).randbytes(TEXT)


class Served:
    """The server's end of a connection: of what was asked for only the current answer is in memory."""

    def __init__(self, sock):
        self.sock, self.asked, self.rest = sock, b"", b""

    def step(self, events):
        """False when the connection is over."""
        if events & selectors.EVENT_READ:
            more = self.sock.recv(65536)
            self.asked += more
            if not more:
                return False
        while self.rest or len(self.asked) >= 8:
            if not self.rest:
                number, self.asked = int.from_bytes(self.asked[:8], "big"), self.asked[8:]
                self.rest = text(number)
            try:
                self.rest = self.rest[self.sock.send(self.rest):]
            except BlockingIOError:
                # Whoever asks for an end and reads nothing is left with what the socket holds.
                return self.asked[-8:] != bytes(8)
        return True

    def wants(self):
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self.rest else 0)


def accept(sel, listener):
    while True:
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            return
        sock.setblocking(False)
        sel.register(sock, selectors.EVENT_READ, Served(sock))


def serve(port):
    listener = socket.create_server(("", port), backlog=128)
    listener.setblocking(False)
    sel = selectors.DefaultSelector()
    sel.register(listener, selectors.EVENT_READ, None)
    print("ready", flush=True)
    while True:
        for key, events in sel.select():
            if key.data is None:
                accept(sel, listener)
                continue
            try:
                if key.data.step(events):
                    sel.modify(key.fileobj, key.data.wants(), key.data)
                    continue
            except OSError:
                pass
            sel.unregister(key.fileobj)
            key.fileobj.close()


def exchange(sock, number):
    sock.sendall(number.to_bytes(8, "big"))
    got = bytearray()
    while len(got) < TEXT:
        more = sock.recv(TEXT)
        if not more:
            sys.exit(f"an early end after {len(got)} bytes")
        got += more
    if got != text(number):
        sys.exit("other bytes than asked for")


def ask(address, port, seconds):
    end, took, failed = time.monotonic() + seconds, [], []

    def loop(thread):
        number = thread
        while time.monotonic() < end or number < 10:
            number += 2
            begun = time.monotonic()
            try:
                with socket.create_connection((address, port), timeout=60) as s:
                    exchange(s, number)
            except (OSError, SystemExit) as e:
                failed.append(e)
                return
            took.append(time.monotonic() - begun)

    threads = [threading.Thread(target=loop, args=(n,)) for n in (1, 2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failed:
        sys.exit(f"after {len(took)} requests: {failed[0]!r}")
    print(f"{len(took)} requests, median {statistics.median(took) * 1000:.1f} ms, longest {max(took) * 1000:.0f} ms", flush=True)


def until_told():
    told = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), told.set()), daemon=True).start()
    return told


def stay(address, port, local):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", local))
    s.settimeout(60)
    s.connect((address, port))
    told, number = until_told(), 1
    exchange(s, number)
    print("open", flush=True)
    while not told.is_set():
        number += 1
        exchange(s, number)
    print(f"{number} answers on one connection, all right", flush=True)


def hold(address, port, n):
    socks = []
    for _ in range(n):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.settimeout(60)
        s.connect((address, port))
        s.sendall((7).to_bytes(8, "big") * 64)
        socks.append(s)
    print("open", flush=True)
    sys.stdin.readline()
    for s in socks:
        s.sendall(bytes(8))
    print("ended", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    what, *args = sys.argv[1:]
    args = [int(a) if a.isdigit() else a for a in args]
    {"serve": serve, "ask": ask, "stay": stay, "hold": hold}[what](*args)
