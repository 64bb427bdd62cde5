# SPDX-License-Identifier: Apache-2.0
"""Servers that read a line and answer with a file, by the ways Python has; and clients of them.

    python.py asyncio|fork|prefork|selectors PORT FILE
    python.py clients|aclients HOST PORT N SHA256          N at once: threads, or asyncio
"""
import asyncio, hashlib, os, selectors, socket, socketserver, sys, threading

mode = sys.argv[1]


def serve_asyncio(port, data):
    async def one(r, w):
        assert await r.readline() == b"give\n"
        w.write(data)
        await w.drain()
        w.close()
        await w.wait_closed()

    async def main():
        async with await asyncio.start_server(one, port=port, family=socket.AF_INET) as s:
            await s.serve_forever()

    asyncio.run(main())


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        assert self.rfile.readline() == b"give\n"
        with open(self.server.path, "rb") as f:
            self.connection.sendfile(f)


def serve_fork(port, path):
    class Server(socketserver.ForkingTCPServer):
        allow_reuse_address = True
        request_queue_size = 64

    with Server(("", port), Handler) as s:
        s.path = path
        s.serve_forever()


def serve_prefork(port, data):
    with socket.create_server(("", port), backlog=64) as l:
        for _ in range(4):
            if os.fork() == 0:
                break
        while True:
            c, _ = l.accept()
            with c, c.makefile("rb") as f:
                assert f.readline() == b"give\n"
                c.sendall(data)


def serve_selectors(port, data):
    sel = selectors.DefaultSelector()
    with socket.create_server(("", port), backlog=64) as l:
        l.setblocking(False)
        sel.register(l, selectors.EVENT_READ)
        while True:
            for key, _ in sel.select():
                if key.fileobj is l:
                    c, _ = l.accept()
                    c.setblocking(False)
                    sel.register(c, selectors.EVENT_READ, None)
                elif key.data is None:
                    assert key.fileobj.recv(100) == b"give\n"
                    sel.modify(key.fileobj, selectors.EVENT_WRITE, memoryview(data))
                else:
                    rest = key.data[key.fileobj.send(key.data) :]
                    if rest:
                        sel.modify(key.fileobj, selectors.EVENT_WRITE, rest)
                    else:
                        sel.unregister(key.fileobj)
                        key.fileobj.close()


def clients(host, port, n, want):
    bad = []

    def one():
        try:
            with socket.create_connection((host, port), 50) as s:
                s.sendall(b"give\n")
                h = hashlib.sha256()
                while data := s.recv(65536):
                    h.update(data)
            if h.hexdigest() != want:
                bad.append("the hash is wrong")
        except Exception as e:
            bad.append(repr(e))

    threads = [threading.Thread(target=one) for _ in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return bad


async def aclients(host, port, n, want):
    async def one():
        r, w = await asyncio.open_connection(host, port)
        w.write(b"give\n")
        got = hashlib.sha256(await r.read()).hexdigest()
        w.close()
        await w.wait_closed()
        return got

    return [g for g in await asyncio.gather(*(one() for _ in range(n))) if g != want]


if mode.endswith("clients"):
    host, port, n, want = sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    bad = clients(host, port, n, want) if mode == "clients" else asyncio.run(aclients(host, port, n, want))
    sys.exit(f"{mode}: {len(bad)} of {n} failed: {bad[:3]}" if bad else None)
port, path = int(sys.argv[2]), sys.argv[3]
with open(path, "rb") as f:
    data = f.read()
{"asyncio": serve_asyncio, "prefork": serve_prefork, "selectors": serve_selectors}.get(mode, lambda p, d: serve_fork(p, path))(port, data)
