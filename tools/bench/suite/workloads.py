# SPDX-License-Identifier: Apache-2.0
"""Workloads with a server and a client: real programs, or bench-load where no common one makes the load.

Each has a `name`, a base `port`, `server(port)` (a command line), `prepare(side)` (before the first run) and `measure(side)` (a dict of
figures of one run), which leaves in `units` how many GiB or 100k requests that run was."""
import contextlib
import json
import os
import re
import subprocess
import time

import rig


def binary(name):
    return os.path.join(os.environ["BENCH_TOP"], "build/tools/bench", name)


class Workload:
    every_peer = False  # beside each kernel peer, not the first alone: where it is congestion control that bounds the figure

    def prepare(self, side):
        pass


class Counted(Workload):
    """What takes a number of requests, not a time. `least`: of the first run, for each second."""

    def __init__(self, args, least):
        self.pace = rig.Pace(args.seconds, least * args.seconds)

    def prepare(self, side):
        self.pace.find(side, lambda count: self.rate(side, count))

    def measure(self, side):
        count, rate = self.pace.run(side, lambda count: self.rate(side, count))
        self.units = count / 1e5
        return {"requests/s": rate}


class Iperf(Workload):
    port = 5200
    every_peer = True

    def __init__(self, args, streams, way):
        self.seconds, self.streams, self.way = args.seconds, streams, way
        self.name = "iperf3 %s, %d stream%s" % (way, streams, "s" if streams > 1 else "")

    def server(self, port):
        return ["iperf3", "-s", "-4", "-p", str(port)]

    def measure(self, side):
        # The server's direction: -R has it send.
        r = json.loads(rig.output(side.client + ["iperf3", "-c", side.host, "-p", str(side.port(self.port)), "-J", "-P",
                                                 str(self.streams), "-t", "%d" % max(1, round(self.seconds))]
                                  + (["-R"] if self.way == "send" else [])))
        self.units = r["end"]["sum_received"]["bytes"] / 2**30
        return {"Gbit/s": r["end"]["sum_received"]["bits_per_second"] / 1e9}


class Redis(Counted):
    port = 6400

    def __init__(self, args, test, clients):
        super().__init__(args, 5000 if clients == 1 else 25000)
        self.test, self.clients = test, clients
        self.name = "redis %s, %d client%s" % (test, clients, "s" if clients > 1 else "")

    def server(self, port):
        return ["redis-server", "--port", str(port), "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--appendonly",
                "no", "--dir", os.environ["WORK"]]

    def rate(self, side, count):
        out = rig.output(side.client + ["redis-benchmark", "-h", side.host, "-p", str(side.port(self.port)), "-n", str(count),
                                        "-c", str(self.clients), "-t", self.test, "--csv"])
        line = [l for l in out.splitlines() if l.upper().startswith('"' + self.test.upper())]
        if not line:
            raise rig.Failed("redis-benchmark: " + out[-200:])
        return float(line[0].split('"')[3])


class Memcached(Counted):
    port = 11300
    value = "v" * 100

    def __init__(self, args, clients):
        super().__init__(args, 5000 if clients == 1 else 25000)
        self.clients = clients
        self.name = "memcached get, %d client%s" % (clients, "s" if clients > 1 else "")

    def server(self, port):
        return ["memcached", "-u", "root", "-U", "0", "-t", "4", "-l", "0.0.0.0", "-p", str(port)]

    def ask(self, side, clients, count, text, answer):
        return float(rig.output(side.client + [binary("bench-load"), "rpc", side.host, str(side.port(self.port)), str(clients), str(count),
                                               text, str(len(answer))]))

    def prepare(self, side):
        self.ask(side, 1, 1, "set k 0 0 %d\r\n%s" % (len(self.value), self.value), "STORED\r\n")
        super().prepare(side)

    def rate(self, side, count):
        return self.ask(side, self.clients, count, "get k", "VALUE k 0 %d\r\n%s\r\nEND\r\n" % (len(self.value), self.value))


class Sockperf(Workload):
    port = 11100
    name = "sockperf ping-pong, 64 B"

    def __init__(self, args):
        self.seconds = max(1, round(args.seconds))

    def server(self, port):
        return ["sockperf", "server", "--tcp", "-i", "0.0.0.0", "-p", str(port)]

    def measure(self, side):
        out = rig.output(side.client + ["sockperf", "ping-pong", "--tcp", "-i", side.host, "-p", str(side.port(self.port)), "-m", "64",
                                        "-t", str(self.seconds), "--full-rtt"])
        figures = {}
        for name, percentile in (("p50, us", "50.000"), ("p99, us", "99.000")):
            found = re.search(r"percentile %s\s*=\s*([\d.]+)" % re.escape(percentile), out)
            if not found:
                raise rig.Failed("sockperf: " + out[-200:])
            figures[name] = float(found.group(1))
        self.units = int(re.search(r"SentMessages=(\d+)", out).group(1)) / 1e5
        return figures


class Nginx(Workload):
    port = 8000

    def server(self, port):
        work = os.path.join(os.environ["WORK"], "nginx-%d" % port)
        os.makedirs(work, exist_ok=True)
        for kib in (1, 64):
            with open(os.path.join(work, "%dk" % kib), "wb") as f:
                f.write(b"x" * (kib * 1024))
        temp = "".join("%s_temp_path %s/t; " % (t, work) for t in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(os.path.join(work, "conf"), "w") as f:
            f.write("daemon off; user root; worker_processes 2; pid %s/pid; error_log %s/error;\n"
                    "events { worker_connections 4096; }\n"
                    "http { access_log off; sendfile on; keepalive_requests 1000000000; %s\n"
                    "server { listen %d backlog=4096; root %s; } }\n" % (work, work, temp, port, work))
        return ["nginx", "-p", work, "-c", work + "/conf", "-e", work + "/error"]

    def wrk(self, side, path, more=()):
        out = rig.output(side.client + ["wrk", "-t2", "-c%d" % self.conns, "-d%ds" % max(1, round(self.seconds)), "--timeout", "10s", *more,
                                        "http://%s:%d/%s" % (side.host, side.port(self.port), path)])
        rate, total = re.search(r"Requests/sec:\s*([\d.]+)", out), re.search(r"(\d+) requests in", out)
        if not rate or "Non-2xx" in out or "Socket errors" in out:
            raise rig.Failed("wrk: " + out[-300:])
        self.units = int(total.group(1)) / 1e5
        return {"requests/s": float(rate.group(1))}


class Wrk(Nginx):
    conns = 100

    def __init__(self, args, kib):
        self.seconds, self.kib, self.name = args.seconds, kib, "wrk keep-alive, %d KiB" % kib
        self.every_peer = kib > 1 or not args.quick

    def measure(self, side):
        return self.wrk(side, "%dk" % self.kib)


class WrkClosing(Nginx):
    conns = 50
    name = "wrk, a connection each"

    def __init__(self, args):
        self.seconds = args.seconds

    def measure(self, side):
        return self.wrk(side, "1k", ("-H", "Connection: close"))


class Ab(Counted, Nginx):
    name = "ab, a connection each"

    def __init__(self, args):
        super().__init__(args, 3000)

    def rate(self, side, count):
        out = rig.output(side.client + ["ab", "-q", "-c", "20", "-n", str(count), "http://%s:%d/1k" % (side.host, side.port(self.port))])
        rate = re.search(r"Requests per second:\s*([\d.]+)", out)
        if not rate or not re.search(r"Failed requests:\s*0\b", out):
            raise rig.Failed("ab: " + out[-300:])
        return float(rate.group(1))


class Cpu(Workload):
    """What another workload costs: the whole machine's processor time, so that nothing hides in interrupts or threads."""

    def __init__(self, args, load, unit):
        self.load, self.unit, self.name, self.every_peer = load, unit, load.name, load.every_peer and not args.quick
        self.port, self.server, self.prepare = load.port, load.server, load.prepare

    def measure(self, side):
        before = rig.busy()
        self.load.measure(side)
        return {"CPU s / %s" % self.unit: (rig.busy() - before) / self.load.units}


class Beside(Workload):
    """What another workload does, and leaves, where as many others as there are processors compute all the time: who spins for news
    takes from them."""
    goals = {}

    def __init__(self, load):
        self.load, self.name = load, "%s, beside %d that compute" % (load.name, os.cpu_count())
        self.port, self.server = load.port, load.server

    @contextlib.contextmanager
    def others(self):
        """What all of them have had of the processors so far."""
        running = [subprocess.Popen(["python3", "-c", "while True: pass"]) for _ in range(os.cpu_count())]
        try:
            yield lambda: sum(rig.seconds_of(p.pid) for p in running)
        finally:
            for p in running:
                p.kill()
                p.wait()

    def prepare(self, side):
        with self.others():
            self.load.prepare(side)

    def measure(self, side):
        with self.others() as seconds:
            before, began = seconds(), time.monotonic()
            figures = self.load.measure(side)
            took = time.monotonic() - began
            return {**figures, "cores for the others": (seconds() - before) / took}
