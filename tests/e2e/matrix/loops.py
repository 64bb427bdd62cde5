# SPDX-License-Identifier: Apache-2.0
"""loops.py KIND serve PORT FILE | ask HOST PORT FILE: a server that returns what it is sent, or the file, and a client that says the hash
of what came. KIND: trio, websockets, qt, manager, asyncssh (client: paramiko), uvicorn (client: httpx), waitress (requests)."""
import asyncio
import hashlib
import sys


def digest(data):
    return hashlib.sha256(data).hexdigest()


def trio_serve(port, file):
    import trio

    async def echo(stream):
        async for part in stream:
            await stream.send_all(part)

    trio.run(trio.serve_tcp, echo, port)


def trio_ask(host, port, file):
    import trio

    async def main():
        data, got = open(file, "rb").read(), []
        async with await trio.open_tcp_stream(host, port) as stream, trio.open_nursery() as nursery:

            async def send():
                await stream.send_all(data)
                await stream.send_eof()

            nursery.start_soon(send)
            async for part in stream:
                got.append(part)
        print(digest(b"".join(got)))

    trio.run(main)


def websockets_serve(port, file):
    import websockets

    async def echo(sock):
        async for message in sock:
            await sock.send(message)

    async def main():
        async with websockets.serve(echo, "0.0.0.0", port, max_size=None):
            await asyncio.Future()

    asyncio.run(main())


def websockets_ask(host, port, file):
    import websockets

    async def main():
        async with websockets.connect(f"ws://{host}:{port}/", max_size=None) as sock:
            await sock.send(open(file, "rb").read())
            print(digest(await sock.recv()))

    asyncio.run(main())


def qt_serve(port, file):
    from PyQt5.QtCore import QCoreApplication
    from PyQt5.QtNetwork import QHostAddress, QTcpServer

    app, server = QCoreApplication([]), QTcpServer()

    def accept():
        sock = server.nextPendingConnection()
        sock.readyRead.connect(lambda: sock.write(sock.readAll()))

    server.newConnection.connect(accept)
    assert server.listen(QHostAddress("0.0.0.0"), port)
    app.exec_()


def qt_ask(host, port, file):
    from PyQt5.QtCore import QCoreApplication
    from PyQt5.QtNetwork import QTcpSocket

    app, sock = QCoreApplication([]), QTcpSocket()
    data, got = open(file, "rb").read(), bytearray()

    def read():
        got.extend(bytes(sock.readAll()))
        if len(got) >= len(data):
            sock.close()
            app.quit()

    sock.connected.connect(lambda: sock.write(data))
    sock.readyRead.connect(read)
    sock.connectToHost(host, port)
    app.exec_()
    print(digest(got))


def manager_serve(port, file):
    from multiprocessing.managers import BaseManager

    class Manager(BaseManager):
        pass

    Manager.register("data", callable=lambda: bytearray(open(file, "rb").read()))
    Manager(("0.0.0.0", port), b"key").get_server().serve_forever()


def manager_ask(host, port, file):
    from multiprocessing.managers import BaseManager

    class Manager(BaseManager):
        pass

    Manager.register("data")
    m = Manager((host, port), b"key")
    m.connect()
    print(digest(m.data().copy()))


def asyncssh_serve(port, file):
    import asyncssh

    class Server(asyncssh.SSHServer):
        def begin_auth(self, username):
            return False

    async def command(process):
        process.stdout.write(open(file, "rb").read())
        await process.stdout.drain()
        process.exit(0)

    async def main():
        key = asyncssh.generate_private_key("ssh-ed25519")
        await asyncssh.create_server(Server, "0.0.0.0", port, server_host_keys=[key], process_factory=command, encoding=None)
        await asyncio.Future()

    asyncio.run(main())


def asyncssh_ask(host, port, file):
    import paramiko

    with paramiko.Transport((host, port)) as t:
        t.start_client(timeout=60)
        t.auth_none("m")
        channel = t.open_session()
        channel.exec_command("file")
        print(digest(b"".join(iter(lambda: channel.recv(65536), b""))))


def uvicorn_serve(port, file):
    import uvicorn

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": open(file, "rb").read()})

    uvicorn.run(app, host="0.0.0.0", port=port, lifespan="off", log_level="warning")


def uvicorn_ask(host, port, file):
    import httpx

    async def main():
        async with httpx.AsyncClient(timeout=60) as client:
            answers = await asyncio.gather(*(client.get(f"http://{host}:{port}/") for _ in range(8)))
        print(*{digest(a.content) for a in answers})

    asyncio.run(main())


def waitress_serve(port, file):
    import waitress

    def app(environ, start_response):
        start_response("200 OK", [])
        return [open(file, "rb").read()]

    waitress.serve(app, host="0.0.0.0", port=port, threads=4, _quiet=True)


def waitress_ask(host, port, file):
    import requests

    with requests.Session() as session:
        print(*{digest(session.get(f"http://{host}:{port}/", timeout=60).content) for _ in range(5)})


if __name__ == "__main__":
    kind, what, *rest = sys.argv[1:]
    if what == "serve":
        globals()[f"{kind}_serve"](int(rest[0]), rest[1])
    else:
        globals()[f"{kind}_ask"](rest[0], int(rest[1]), rest[2])
