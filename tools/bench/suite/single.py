# SPDX-License-Identifier: Apache-2.0
"""Sections that are not a server and a client over a topology: memory, core, pktio, native."""
import contextlib
import itertools
import json
import os
import re
import resource
import subprocess
import tempfile
import time

import rig
from workloads import binary


def stack_pid():
    return int(re.search(r'"pid":\s*(\d+)', rig.control("--json", "status")).group(1))


def daemon_bytes():
    """Pages of the regions that xtcpd shares with itself and its clients, and the stack process's own memory."""
    pid, shared = stack_pid(), {}
    for fd in os.listdir("/proc/%d/fd" % pid):
        path = "/proc/%d/fd/%s" % (pid, fd)
        try:
            if "memfd:xtcp-" in os.readlink(path):
                st = os.stat(path)
                shared[st.st_ino] = st.st_blocks * 512
        except FileNotFoundError:
            pass
    with open("/proc/%d/status" % pid) as f:
        own = int(re.search(r"RssAnon:\s*(\d+)", f.read()).group(1)) * 1024
    return sum(shared.values()) + own


def kernel_bytes():
    """What the kernel has in slabs: sockets and their buffers among it."""
    with open("/proc/meminfo") as f:
        return int(re.search(r"Slab:\s*(\d+)", f.read()).group(1)) * 1024


class Crowd:
    """`conns` idle connections of peers that no kernel knows (bench-crowd) to echo servers in the other namespace: on xtcp's TCP,
    which need no descriptor for each (bench-native), or on the kernel's. The pages of a connection stay with its xtcpd for the next
    one, so each crowd has an xtcpd of its own; the kernel's slabs go when they are empty."""
    most = 100000  # connections of one server: their rings have to fit in its region
    ports = itertools.count(7000, 20)  # those of the crowd before may not be over yet

    def __init__(self, conns, on_xtcp):
        self.conns, self.bytes = conns, daemon_bytes if on_xtcp else kernel_bytes
        if on_xtcp:
            rig.fresh_xtcpd()
        side = rig.topology("A")[0][0 if on_xtcp else 1]
        program = "bench-native" if on_xtcp else "bench-load"
        first = next(self.ports)
        ports = range(first, first + -(-conns // self.most))
        self.servers = [rig.server(side, port, [binary(program), "echo", str(port), "1"]) for port in ports]
        mac = json.loads(rig.control("--json", "status"))["mac"] if on_xtcp else rig.output(
            side.server + ["cat", "/sys/class/net/%s/address" % os.environ["IF_X"]]).strip()
        self.command = rig.places()["k"] + [binary("bench-crowd"), os.environ["IF_K"], mac, side.host, str(first), str(len(ports)),
                                            str(conns)]

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        for s in self.servers:
            self.stack.enter_context(s)
        self.before = self.bytes()
        self.crowd = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.said("open")
        return self

    def said(self, word):
        line = self.crowd.stdout.readline().split()
        if not line or line[0] != word:
            raise rig.Failed("%d connections: not %s" % (self.conns, word))
        return float(line[1])

    def exchange(self, count):
        """Seconds that it takes `count` connections, taken at random (0: each once), to have 64 bytes given back."""
        self.crowd.stdin.write("exchange %d\n" % count)
        self.crowd.stdin.flush()
        return self.said("exchanged")

    def each(self):
        return (self.bytes() - self.before) / self.conns

    def __exit__(self, *exc):
        self.crowd.stdin.close()
        self.crowd.wait(60)
        self.stack.close()


def stack_seconds():
    return rig.seconds_of(stack_pid())


MOST_DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
EXCHANGES = 20000


def rest(conns, args, out, goal):
    """What the stack process takes of a processor while nothing happens."""
    time.sleep(1)  # for what came last to be over: delayed ACKs, spinning
    before, began = stack_seconds(), time.monotonic()
    time.sleep(max(2, args.seconds))
    out.add("memory", "A", "%d idle" % conns, "% of a processor", [((stack_seconds() - before) / (time.monotonic() - began) * 100, None)],
            goal)


def memory(args, out):
    rest(0, args, out, "under 1")
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_DESCRIPTORS, MOST_DESCRIPTORS))
    rig.output(["ip", "-n", os.environ["NS_X"], "route", "replace", "10.80.0.0/16", "via", "10.77.0.1"])
    for conns, goal in ((2000, ""),) if args.quick else ((10000, "at most 1024"), (100000, "at most 1342 (128 MiB)"), (1000000, "held")):
        held = []
        for on_xtcp in (True, False) if conns + 100 < MOST_DESCRIPTORS else (True,):
            with Crowd(conns, on_xtcp) as crowd:
                figures = [crowd.each()]
                if on_xtcp:
                    rest(conns, args, out, "under 2" if conns <= 10000 else "")
                    events(crowd, args, out)
                if conns <= 100000:
                    crowd.exchange(0)
                    figures.append(crowd.each())
                held.append(figures)
        for row in zip(("before the first byte", "after one exchange"), *held, *(() if len(held) > 1 else ([None, None],))):
            out.add("memory", "A", "%d idle, %s" % (conns, row[0]), "B each", [row[1:]], goal)
            goal = ""


def events(crowd, args, out):
    """What an exchange with one of them costs the stack process: four frames, two wake-ups at the most."""
    costs = []
    for _ in range(args.rounds):
        before = stack_seconds()
        crowd.exchange(EXCHANGES)
        costs.append(((stack_seconds() - before) / EXCHANGES * 1e6, None))
    out.add("memory", "A", "an exchange among %d" % crowd.conns, "us of the stack", costs)


def callgrind(program, what, how=None):
    """Instructions that `program` spends in its function WHAT_segment(), for each call; `how`: its argument if not WHAT. Checksums are taken off: xtcp's core
    leaves them to the device, lwIP's Debian package computes them in software."""
    with tempfile.NamedTemporaryFile() as f:
        p = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=" + f.name, "--toggle-collect=%s_segment" % what,
                            program, "2000", how or what], capture_output=True, text=True)
        total = re.search(r"Collected : (\d+)", p.stderr)
        if p.returncode or not total:
            raise rig.Failed("callgrind: " + p.stderr[-300:])
        lines = rig.output(["callgrind_annotate", "--threshold=100", f.name]).splitlines()
    checksums = sum(int(l.split("(")[0].replace(",", "")) for l in lines if "chksum" in l and l.strip()[0].isdigit())
    return (int(total.group(1)) - checksums) / int(p.stdout)


def core(args, out):
    for what, how, row, goal in (("data", "data", "data segment", "at most 400, under half of lwIP's"),
                                 ("data", "placed", "data segment, without its copy", ""),
                                 ("ack", "ack", "ack segment", "at most 250, under half of lwIP's")):
        costs = callgrind(binary("bench-core"), what, how), callgrind(binary("bench-core-lwip"), what)
        out.add("core", "-", row, "instructions", [costs], goal, peer="lwIP")
    out.add("core", "-", "ack segment, of a part of a flight", "instructions", [(callgrind(binary("bench-core"), "ack", "flight"), None)])


def pktio(args, out):
    text = rig.output([binary("bench-pktio")] + (["--quick"] if args.quick else []), limit=300)
    print(text, file=out.screen)


def native(args, out):
    plain, wire = rig.places()["xa"], rig.places()["k"]
    host, seconds = "10.77.0.1", str(args.seconds)
    for name, server, port, metric in (("bulk", "sink", 7100, "Gbit/s"), ("pong", "echo", 7101, "round trips/s")):
        peer = rig.Side("xtcp", wire, plain, host, 0)
        with rig.server(peer, port, [binary("bench-load"), server, str(port), "1"]):
            run = lambda program: {metric: float(rig.output(plain + [binary(program), name, host, str(port), seconds]))}
            pairs = rig.rounds(args.rounds, ("bench-native", "bench-load"), run)
        out.add("native", "A", "zero copy, " + name, metric, pairs[metric], "above 1", peer="sockets")
