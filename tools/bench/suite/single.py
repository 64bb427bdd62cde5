# SPDX-License-Identifier: Apache-2.0
"""Sections that are not a server and a client over a topology: memory, core, pktio, native."""
import os
import re
import resource
import subprocess
import tempfile

import rig
from workloads import binary


def control(*argv):
    return rig.output([os.path.join(os.environ["BENCH_TOP"], "build/tools/ctl/xtcpctl"), "--socket", os.path.join(os.environ["WORK"],
                      "xtcpd.sock"), *argv])


def counter(name):
    return sum(int(m) for m in re.findall(r"\S*%s\s+(\d+)" % name, control("stats")))


def stack_pid():
    return int(re.search(r'"pid":\s*(\d+)', control("--json", "status")).group(1))


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
    """What the kernel's half of the same connections takes: slabs and socket buffers."""
    with open("/proc/meminfo") as f:
        return int(re.search(r"Slab:\s*(\d+)", f.read()).group(1)) * 1024


class Held:
    """Idle connections from the kernel's end to an echo server on xtcp."""
    port, ports = 7000, 40

    def __init__(self, conns):
        self.conns = conns

    def __enter__(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.conns + 1000, max(self.conns + 1000, resource.getrlimit(
            resource.RLIMIT_NOFILE)[1])))
        a, _ = rig.topology("A")
        self.server = rig.server(a, self.port, [binary("bench-load"), "echo", str(self.port), str(self.ports)])
        self.server.__enter__()
        self.before = daemon_bytes(), kernel_bytes()
        self.client = subprocess.Popen(a.client + [binary("bench-load"), "hold", a.host, str(self.port), str(self.ports), str(self.conns)],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.said("open")
        return self

    def said(self, word):
        if self.client.stdout.readline().strip() != word:
            raise rig.Failed("%d connections: not %s" % (self.conns, word))

    def exchange(self):
        self.client.stdin.write("\n")
        self.client.stdin.flush()
        self.said("exchanged")

    def each(self):
        return tuple((b - a) / self.conns for a, b in zip(self.before, (daemon_bytes(), kernel_bytes())))

    def __exit__(self, *exc):
        self.client.stdin.close()
        self.client.wait(60)
        self.server.__exit__(*exc)


def memory(args, out):
    for conns in (2000,) if args.quick else (10000, 100000):
        with Held(conns) as held:
            row = lambda workload, goal="": out.add("memory", "A", "%d idle, %s" % (conns, workload), "B each", [held.each()], goal)
            row("before the first byte", "at most 1024")
            held.exchange()
            row("after one exchange")


def callgrind(program, what):
    """Instructions that `program` spends in its function WHAT_segment(), for each call. Checksums are taken off: xtcp's core
    leaves them to the device, lwIP's Debian package computes them in software."""
    with tempfile.NamedTemporaryFile() as f:
        p = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=" + f.name, "--toggle-collect=%s_segment" % what,
                            program, "2000", what], capture_output=True, text=True)
        total = re.search(r"Collected : (\d+)", p.stderr)
        if p.returncode or not total:
            raise rig.Failed("callgrind: " + p.stderr[-300:])
        lines = rig.output(["callgrind_annotate", "--threshold=100", f.name]).splitlines()
    checksums = sum(int(l.split("(")[0].replace(",", "")) for l in lines if "chksum" in l and l.strip()[0].isdigit())
    return (int(total.group(1)) - checksums) / int(p.stdout)


def core(args, out):
    for what, goal in (("data", "at most 400, under half of lwIP's"), ("ack", "at most 250, under half of lwIP's")):
        out.add("core", "-", "%s segment" % what, "instructions", [tuple(callgrind(binary(b), what) for b in ("bench-core", "bench-core-lwip"))],
                goal, peer="lwIP")


def pktio(args, out):
    text = rig.output([binary("bench-pktio")] + (["--quick"] if args.quick else []), limit=300)
    print(text, file=out.screen)


def native(args, out):
    a, _ = rig.topology("A")
    plain, wire = rig.places()["xa"], rig.places()["k"]
    host, seconds = "10.77.0.1", str(args.seconds)
    for name, server, port, metric in (("bulk", "sink", 7100, "Gbit/s"), ("pong", "echo", 7101, "round trips/s")):
        peer = rig.Side(wire, plain, host, 0)
        with rig.server(peer, port, [binary("bench-load"), server, str(port), "1"]):
            run = lambda program: {metric: float(rig.output(plain + [binary(program), name, host, str(port), seconds]))}
            pairs = rig.rounds(args.rounds, ("bench-native", "bench-load"), run)
        out.add("native", "A", "zero copy, " + name, metric, pairs[metric], "above 1", peer="sockets")
