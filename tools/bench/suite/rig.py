# SPDX-License-Identifier: Apache-2.0
"""Where programs run (namespaces, on the kernel's TCP or on an xtcpd's) and how two of them are compared."""
import contextlib
import os
import signal
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Side:
    """One way to run a workload: where its server and its client run, and the server's address as the client sees it."""

    def __init__(self, server, client, host, port_step):
        self.server, self.client, self.host, self.port_step = server, client, host, port_step

    def port(self, base):  # servers of the two stacks have ports of their own: they may listen beside each other
        return base + self.port_step


def places():
    x, k = os.environ["NS_X"], os.environ["NS_K"]
    on_a, on_b = os.environ["BENCH_ENV_A"].split(), os.environ["BENCH_ENV_B"].split()
    enter = lambda ns: ["ip", "netns", "exec", ns]
    return {"x": enter(x), "k": enter(k), "xa": enter(x) + ["env"] + on_a, "kb": enter(k) + ["env"] + on_b}


def topology(letter):
    """(xtcp's side, the kernel's side)"""
    p, ours, kernels = places(), os.environ["ADDR_X"], os.environ["ADDR_XK"]
    wire = Side(p["x"], p["k"], kernels, 1)
    return {"A": (Side(p["xa"], p["k"], ours, 0), wire),
            "B": (Side(p["xa"], p["kb"], ours, 0), wire),
            "C": (Side(p["xa"], p["xa"], ours, 0), Side(p["x"], p["x"], "127.0.0.1", 1))}[letter]


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
    """A server on each of both sides; `command(port)` is its command line."""
    with contextlib.ExitStack() as stack:
        for s in sides:
            stack.enter_context(server(s, s.port(port), command(s.port(port))))
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


def rounds(n, sides, measure):
    """`measure(side)` gives a dict of figures; n rounds of both sides, the order alternating: {figure: [(xtcp, kernel)]}"""
    pairs = {}
    for i in range(n):
        got = {}
        for s in sides if i % 2 == 0 else reversed(sides):
            got[s] = measure(s)
        for key, value in got[sides[0]].items():
            pairs.setdefault(key, []).append((value, got[sides[1]][key]))
    return pairs
