# SPDX-License-Identifier: Apache-2.0
"""tasks.py zmq|grpc|dask|celery serve|ask HOST PORT N|FILE: says how many answers came, and the hash of the last or their sum."""
import hashlib
import os
import sys
from concurrent import futures


def zmq_serve(host, port, file):
    import zmq

    sock = zmq.Context().socket(zmq.REP)
    sock.bind(f"tcp://{host}:{port}")
    data = open(file, "rb").read()
    while True:
        what = sock.recv()
        sock.send(data if what == b"file" else what)


def zmq_ask(host, port, n):
    import zmq

    sock = zmq.Context().socket(zmq.REQ)
    sock.connect(f"tcp://{host}:{port}")

    def ask(what):
        sock.send(what)
        return sock.recv()

    count = sum(ask(b"%d" % i) == b"%d" % i for i in range(n))
    print(count, hashlib.sha256(ask(b"file")).hexdigest())


def grpc_serve(host, port, file):
    import grpc

    data = open(file, "rb").read()
    calls = {
        "echo": grpc.unary_unary_rpc_method_handler(lambda request, context: request),
        "file": grpc.unary_stream_rpc_method_handler(lambda request, context: (data[i : i + 65536] for i in range(0, len(data), 65536))),
    }
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("m", calls)])
    server.add_insecure_port(f"{host}:{port}")
    server.start()
    server.wait_for_termination()


def grpc_ask(host, port, n):
    import grpc

    with grpc.insecure_channel(f"{host}:{port}") as channel:
        echo = channel.unary_unary("/m/echo")
        asked = [echo.future(b"%d" % i, timeout=60) for i in range(n)]
        count = sum(f.result() == b"%d" % i for i, f in enumerate(asked))
        digest = hashlib.sha256()
        for part in channel.unary_stream("/m/file")(b"", timeout=60):
            digest.update(part)
    print(count, digest.hexdigest())


def dask_ask(host, port, n):
    from distributed import Client

    with Client(f"tcp://{host}:{port}", timeout=30) as c:
        results = c.gather(c.map(lambda x: x * x, range(n)))
    print(len(results), sum(results))


if "BROKER" in os.environ:
    from celery import Celery

    app = Celery("tasks", broker=os.environ["BROKER"], backend=os.environ["BROKER"])

    @app.task(name="square")
    def square(x):
        return x * x


def celery_ask(host, port, n):
    results = [square.delay(i).get(timeout=50) for i in range(n)]
    print(len(results), sum(results))


if __name__ == "__main__":
    kind, what, host, port, rest = sys.argv[1:]
    globals()[f"{kind}_{what}"](host, port, rest if what == "serve" else int(rest))
