# SPDX-License-Identifier: Apache-2.0
"""Where programs run (namespaces, on the kernel's TCP or on an xtcpd's) and how two of them are compared."""
import contextlib
import functools
import json
import os
import signal
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Side:
    """One way to run a workload: its name in reports, where its server and its client run, and the server's address as the client
    sees it."""

    def __init__(self, name, server, client, host, port_step, route=()):
        """`route`: the arguments of ip(8) for a route that is there while this side is measured."""
        self.name, self.server, self.client, self.host, self.port_step, self.route = name, server, client, host, port_step, route

    def run(self, measure):
        if not self.route:
            return measure(self)
        ip = ["ip", "-n", os.environ["NS_K"], "route"]
        output(ip + ["add", *self.route])
        try:
            return measure(self)
        finally:
            output(ip + ["delete", *self.route])

    def port(self, base):  # servers of the two stacks have ports of their own: they may listen beside each other
        return base + self.port_step


def places():
    x, k = os.environ["NS_X"], os.environ["NS_K"]
    on_a, on_b = os.environ["BENCH_ENV_A"].split(), os.environ["BENCH_ENV_B"].split()
    enter = lambda ns: ["ip", "netns", "exec", ns]
    return {"x": enter(x), "k": enter(k), "xa": enter(x) + ["env"] + on_a, "kb": enter(k) + ["env"] + on_b}


def topology(letter):
    """[(xtcp's side, the kernel's side)] and, where that has another congestion control than xtcp, a pair in which the kernel has
    xtcp's: in A, where xtcp's client is on the kernel, at that end, too."""
    p = places()
    at_xtcp = p["xa"], p[{"A": "k", "B": "kb", "C": "xa"}[letter]], os.environ["ADDR_X"], 0
    xtcp = Side("xtcp", *at_xtcp)
    client, hosts = (p["x"], ("127.0.0.1", LOOPBACK)) if letter == "C" else (p["k"], (os.environ["ADDR_XK"], WIRE_X))
    kernels = [Side(name, p["x"], client, host, 1) for name, host in zip(list(congestion())[1:], hosts)]
    if letter == "A" and len(kernels) > 1:
        route = [at_xtcp[2] + "/32", "dev", os.environ["IF_K"], "congctl", congestion()["xtcp"]]
        return [(xtcp, kernels[0]), (Side("xtcp", *at_xtcp, route), kernels[1])]
    return [(xtcp, k) for k in kernels]


# Where the second kernel peer is: on the two ends of the wire, and in topology C.
WIRE_X, WIRE_K, LOOPBACK = "10.77.0.5", "10.77.0.6", "127.0.0.2"


@functools.cache
def congestion():
    """{name of a side: its congestion control}, xtcp first. A namespace can't make one the kernel's usual that the machine does not
    let every program choose; but its routes can say it, so that peer has addresses of its own."""
    p, usual = places(), "/proc/sys/net/ipv4/tcp_congestion_control"
    ours = json.loads(control("--json", "config"))["congestion"]
    sides = {"xtcp": ours, "kernel": output(p["x"] + ["cat", usual]).strip()}
    if ours != sides["kernel"] and ours in output(p["x"] + ["cat", usual.replace("tcp_", "tcp_available_")]).split():
        for end, here, there in (("X", WIRE_X, WIRE_K), ("K", WIRE_K, WIRE_X)):
            ip, device = ["ip", "-n", os.environ["NS_" + end]], os.environ["IF_" + end]
            output(ip + ["address", "add", here + "/32", "dev", device])
            output(ip + ["route", "add", there + "/32", "dev", device, "src", here, "congctl", ours])
        output(["ip", "-n", os.environ["NS_X"], "route", "add", "local", LOOPBACK, "dev", "lo", "src", LOOPBACK, "congctl", ours,
                "table", "local"])
        sides["kernel with " + ours] = ours
    return sides


def control(*argv):
    """What xtcpctl says of topology A's xtcpd."""
    return output([os.path.join(os.environ["BENCH_TOP"], "build/tools/ctl/xtcpctl"), "--socket",
                   os.path.join(os.environ["WORK"], "xtcpd.sock"), *argv])


class Failed(Exception):
    pass


def output(argv, limit=120):
    """What a command prints; Failed with its last words when it does not end well."""
    try:
        p = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failed("%s: not done after %d s" % (argv[-1], limit))
    if p.returncode:
        raise Failed("exit code %d: %s" % (p.returncode, (p.stderr + p.stdout).strip()[-300:]))
    return p.stdout


def until(ready, seconds, what):
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise Failed("%s: not ready after %d s" % (what, seconds))
        time.sleep(0.02)


def is_gone(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"  # only waits for the shell that it is of
    except FileNotFoundError:
        return True


def fresh_xtcpd():
    """In the place of topology A's xtcpd, another one like it, of which no page was ever used. The stage ends it, as all that runs in its
    namespaces."""
    pid = int(os.environ["XTCPD_PID"])
    with open("/proc/%d/cmdline" % pid) as f:
        argv = f.read().split("\0")[:-1]
    os.kill(pid, signal.SIGTERM)
    until(lambda: is_gone(pid), 30, "end of xtcpd")
    with open(os.path.join(os.environ["WORK"], "xtcpd.log"), "a") as log:
        p = subprocess.Popen(places()["x"] + argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    os.environ["XTCPD_PID"] = str(p.pid)
    ctl = [os.path.join(os.environ["BENCH_TOP"], "build/tools/ctl/xtcpctl"), "--socket", argv[argv.index("--socket") + 1], "status"]
    until(lambda: p.poll() is not None or subprocess.run(ctl, capture_output=True).returncode == 0, 30, "xtcpd")
    if p.poll() is not None:
        raise Failed("xtcpd has ended")


@contextlib.contextmanager
def server(side, port, argv):
    """A server on `side` while the block runs; it answers on `port` when the block begins."""
    log = open(os.path.join(os.environ["WORK"], "%s-%d.log" % (os.path.basename(argv[0]), port)), "w+")
    p = subprocess.Popen(side.server + argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ready():
        if p.poll() is not None:
            log.seek(0)
            raise Failed("%s ended: %s" % (argv[0], log.read()[-300:]))
        # Asked from the client's place: what counts is whether it can be reached.
        return subprocess.run(side.client + ["python3", "-c", PROBE, side.host, str(port)], capture_output=True).returncode == 0
    try:
        until(ready, 15, argv[0])
        yield p
    finally:
        p.terminate()
        try:
            p.wait(5)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
        log.close()


PROBE = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).close()"


@contextlib.contextmanager
def servers(sides, port, command):
    """A server for each side, for those of one port the same; `command(port)` is its command line."""
    with contextlib.ExitStack() as stack:
        for at, s in {s.port(port): s for s in sides}.items():
            stack.enter_context(server(s, at, command(at)))
        yield


def busy():
    """Seconds that all processors have spent on anything but idling, interrupts included."""
    with open("/proc/stat") as f:
        user, nice, system, _idle, _iowait, irq, softirq = map(int, f.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


def seconds_of(pid):
    """Processor seconds that a process has taken so far, all its threads."""
    with open("/proc/%d/stat" % pid) as f:
        return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13])) / TICKS


def rounds(n, sides, run):
    """`run(side)` gives a dict of figures; n rounds of all sides, the order alternating: {figure: [(one of each side)]}"""
    rows = {}
    for i in range(n):
        got = {}
        for s in sides if i % 2 == 0 else reversed(sides):
            got[s] = run(s)
        for key in got[sides[0]]:
            rows.setdefault(key, []).append(tuple(got[s][key] for s in sides))
    return rows


class Pace:
    """How many requests make a run of `seconds`: what the same side's last run did in that time, and never fewer than `least`."""

    def __init__(self, seconds, least):
        self.seconds, self.least, self.rates = seconds, max(1000, int(least)), {}

    def count(self, side):
        return max(self.least, int(self.rates.get(side, 0) * self.seconds))

    def run(self, side, do):
        """`do(count)` gives a rate; of this run, the count and the rate."""
        count = self.count(side)
        self.rates[side] = do(count)
        return count, self.rates[side]

    def find(self, side, do):
        """Runs until one takes a quarter of the time: a short one is connecting and starting for the most part, its rate far too low."""
        for _ in range(5):
            count, _rate = self.run(side, do)
            if self.count(side) <= 4 * count:
                break
