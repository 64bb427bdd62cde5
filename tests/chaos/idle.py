# SPDX-License-Identifier: Apache-2.0
# Connections that are idle for the most part.
# usage: idle.py serve PORT: sends back what comes, on all connections at once
#        idle.py use ADDRESS PORT N FIFO: opens N; for each line of FIFO says it on all of them, waits for it to come back, prints
#        "all N said LINE"; ends with status 1 when something else comes
import selectors, socket, sys


def serve(port):
    wait = selectors.DefaultSelector()
    listener = socket.create_server(("", port), backlog=128)
    wait.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in wait.select():
            if key.fileobj is listener:
                wait.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            data = key.fileobj.recv(4096)
            if data:
                key.fileobj.sendall(data)
            else:
                wait.unregister(key.fileobj)
                key.fileobj.close()


def use(address, port, n, fifo):
    socks = [socket.create_connection((address, port)) for _ in range(n)]
    for line in open(fifo):
        for i, s in enumerate(socks):
            s.sendall(f"{i} {line}".encode())
        for i, s in enumerate(socks):
            want, got = f"{i} {line}".encode(), b""
            while len(got) < len(want):
                more = s.recv(100)
                if not more:
                    sys.exit(f"connection {i}: an early end")
                got += more
            if got != want:
                sys.exit(f"connection {i}: {got} is not {want}")
        print(f"all {n} said {line}", end="", flush=True)


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    use(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
