# SPDX-License-Identifier: Apache-2.0
"""The sections of tools/bench/run, one after the other: what each runs and what it aims at."""
import rig
import single
import workloads as w


class Section:
    def __init__(self, name, about, workloads, goals=None, quick="AC"):
        """`quick`: the topologies of --quick."""
        self.name, self.about, self.workloads, self.goals, self.quick = name, about, workloads, goals or {}, quick

    def topologies(self, args):
        return args.topology or (self.quick if args.quick else "ABC")

    def run(self, args, out):
        failed = 0
        for letter in self.topologies(args):
            for load in self.workloads(args):
                pairs = rig.topology(letter)[:None if load.every_peer else 1]
                sides = list(dict.fromkeys(s for pair in pairs for s in pair))
                try:
                    with rig.servers(sides, load.port, load.server):
                        for side in sides:
                            load.prepare(side)
                        rows = rig.rounds(args.rounds, sides, lambda s: s.run(load.measure))
                except rig.Failed as e:
                    out.failed(self.name, letter, load.name, e)
                    failed += 1
                    continue
                for metric, values in rows.items():
                    for xtcp, kernel in pairs:
                        a, b = sides.index(xtcp), sides.index(kernel)
                        out.add(self.name, letter, load.name, metric, [(v[a], v[b]) for v in values],
                                getattr(load, "goals", self.goals).get(letter, ""), kernel.name)
        return failed


class Alone:
    """A section without a topology: a function that adds its own rows."""

    def __init__(self, name, about, function):
        self.name, self.about, self.function = name, about, function

    def run(self, args, out):
        try:
            self.function(args, out)
            return 0
        except rig.Failed as e:
            out.failed(self.name, "-", "", e)
            return 1


def bulk(args):
    return [w.Iperf(args, streams, way) for streams in ((1,) if args.quick else (1, 8)) for way in ("send", "receive")]


def rpc(args):
    kinds = [("get", 1), ("get", 50), ("set", 50), ("get", 500)] if args.quick else [(t, n) for n in (1, 50, 500) for t in ("get", "set")]
    return [w.Redis(args, *kind) for kind in kinds] + [w.Memcached(args, clients) for clients in ((50,) if args.quick else (1, 50))]


def connections(args):
    return [w.WrkClosing(args)] + ([] if args.quick else [w.Ab(args)])


def web(args):
    return [w.Wrk(args, kib) for kib in (1, 64)]


def cpu(args):
    loads = [(w.Iperf(args, 1, "send"), "GiB"), (w.Redis(args, "get", 50), "100k requests"), (w.Iperf(args, 1, "receive"), "GiB"),
             (w.Wrk(args, 1), "100k requests")]
    return [w.Cpu(args, load, unit) for load, unit in (loads[:2] if args.quick else loads)] + [w.Beside(w.Redis(args, "get", 50))]


ALL = [
    Section("bulk", "iperf3, 1 and 8 streams, the server sending and receiving", bulk,
            {"A": "at least 1.5", "B": "at least 2", "C": "at least 2"}, "ABC"),
    Section("rpc", "redis-benchmark GET and SET with 1, 50 and 500 clients, memcached with 4 threads", rpc,
            {"A": "at least 1.5", "B": "at least 2.5", "C": "at least 4"}, "ABC"),
    Section("latency", "sockperf ping-pong of 64 bytes", lambda args: [w.Sockperf(args)],
            {"A": "at most 0.5", "B": "at most 0.35", "C": "at most 0.15"}),
    Section("connections", "nginx, a connection for each request: wrk, ab", connections, {"A": "at least 1.5", "C": "at least 3"}),
    Section("web", "nginx with keep-alive, 1 KiB and 64 KiB: wrk, 2 threads, 100 connections", web,
            {"A": "at least 1.3", "C": "at least 2.5"}),
    Section("cpu", "processor seconds of all programs, the stack and the kernel together; what others get that compute meanwhile", cpu,
            {t: "at most 0.5" for t in "ABC"}),
    Alone("memory", "bytes for each idle established connection, up to a million, and what an exchange among them costs", single.memory),
    Alone("core", "instructions of the TCP core for a data segment and an ACK, by callgrind; the same of lwIP", single.core),
    Alone("pktio", "frames a second and processor time for each, by backend", single.pktio),
    Alone("native", "libxtcp's zero-copy calls beside the socket API, both on xtcp", single.native),
]
