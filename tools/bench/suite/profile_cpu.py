# SPDX-License-Identifier: Apache-2.0
"""Where the processor time of a workload goes: perf samples all processors while it runs once on each side. What this run's own
processes took, and the softirqs that carry packets, is told apart by who spent it and on what."""
import collections
import os
import re
import select
import shutil
import subprocess
import sys

import rig

HZ = 4000
COPIES = re.compile(r"_?copy_(to|from)_(iter|user)|rep_movs|(__|__pi_)?mem(cpy|move)|skb_copy|xtcp_copy|xt_text_put|take_text")
# What a function among a sample's callers says of it; the first that fits.
ABOUT = (("wake-ups, switches", re.compile(r"(__)?schedule$|try_to_wake_up|do_sched_yield|finish_task_switch")),
         ("spinning", re.compile(r"xtcp_waiter_spin$|spin_for_answer$|wait_for_answer$")),
         ("softirq", re.compile(r"net_rx_action$")),
         ("packet socket", re.compile(r"packet_(sendmsg|recvmsg|poll)$")),
         ("kernel TCP", re.compile(r"tcp_(sendmsg|recvmsg|poll|close|v4_connect|splice_read)|inet_(accept|csk_accept|release)")),
         ("system calls", re.compile(r"do_syscall_64$|entry_SYSCALL_64|asm_exc_page_fault$")))
IDLE = ("default_idle", "pv_native_safe_halt", "native_safe_halt", "acpi_safe_halt")
TOOLS = ("perf", "python3", "ip", "env")


def kind(names):
    """`names`: a sample's functions, the innermost first."""
    if COPIES.match(names[0]):
        return "copying bytes"
    for what, pattern in ABOUT:
        if any(pattern.match(n) for n in names):
            return what
    return "own code"


def is_ours(pid, parents):
    while pid in parents and pid != os.getppid():
        pid = parents[pid]
    return pid == os.getppid()


def samples(path):
    """(who, what) of each that counts."""
    text = rig.output(["perf", "script", "-i", path, "--show-task-events", "--no-inline", "-F", "comm,pid,tid,time,event,ip,sym"])
    parents = {int(c): int(p) for c, p in re.findall(r"PERF_RECORD_FORK\((\d+):\d+\):\((\d+):", text) if c != p}
    for block in text.split("\n\n"):
        lines = [l for l in block.split("\n") if l.strip() and "PERF_RECORD_" not in l]
        head = re.match(r"\s*(.+?)\s+(\d+)/", lines[0]) if len(lines) > 1 else None
        if not head:
            continue
        names = [re.sub(r"\+0x.*", "", l.split(None, 1)[-1].strip()) for l in lines[1:]]
        who, what = head.group(1), kind(names)
        if what == "softirq":
            yield "packets", what
        elif names[0] not in IDLE and who not in TOOLS and is_ours(int(head.group(2)), parents):
            yield who, what


def measure(load, side):
    """{(who, what): ms for each unit} and the figures of one run."""
    base = os.path.join(os.environ["WORK"], "profile")
    for end in (".ctl", ".ack"):
        if not os.path.exists(base + end):
            os.mkfifo(base + end)
    control, ack = os.open(base + ".ctl", os.O_RDWR), os.open(base + ".ack", os.O_RDWR)
    perf = subprocess.Popen(["perf", "record", "-q", "-a", "-e", "cpu-clock", "-F", str(HZ), "-g", "-D", "-1", "--control",
                             "fifo:%s.ctl,%s.ack" % (base, base), "-o", base], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        os.write(control, b"enable\n")
        if not select.select([ack], [], [], 30)[0]:
            raise rig.Failed("perf does not start")
        figures = load.measure(side)
    finally:
        perf.terminate()
        perf.wait()
        os.close(control)
        os.close(ack)
    units = getattr(load, "units", None) or getattr(load, "requests", 1e5) / 1e5
    return {k: n * 1000 / HZ / units for k, n in collections.Counter(samples(base)).items()}, figures


def show(letter, load, sides):
    (ours, got), (theirs, had) = (measure(load, s) for s in sides)
    said = ["%s %.3g" % f for figures in (got, had) for f in figures.items()]
    print("\n%s, %s: ms of processor time for each %s; xtcp (%s), kernel (%s)" % (
        letter, load.name, "GiB" if hasattr(load, "streams") else "100k requests", *said[::len(got)]))
    total = sum(ours.values()), sum(theirs.values())
    rows = sorted(set(ours) | set(theirs), key=lambda r: -max(ours.get(r, 0), theirs.get(r, 0)))
    for row, a, b in [("all", *total)] + [("%s: %s" % r, ours.get(r, 0), theirs.get(r, 0)) for r in rows]:
        if a > total[0] / 50 or b > total[1] / 50:
            print("  %-36s %8.0f %3.0f%% %8.0f %3.0f%%" % (row, a, 100 * a / total[0], b, 100 * b / total[1]), flush=True)


def run(every, args):
    """All workloads of the sections that have some."""
    failed = 0
    if not shutil.which("perf"):
        print("tools/bench/run: --profile needs perf (Debian's package linux-perf)", file=sys.stderr)
        return 1
    for section in every:
        if not hasattr(section, "workloads") or (args.section and section.name not in args.section):
            continue
        for letter in section.topologies:
            for load in section.workloads(args) if letter in args.topology else ():
                load = getattr(load, "load", load)  # what the section cpu measures is the one within
                try:
                    sides = rig.topology(letter)
                    with rig.servers(sides, load.port, load.server):
                        show(letter, load, sides)
                except rig.Failed as e:
                    print("%s, %s: FAILED: %s" % (letter, load.name, e))
                    failed += 1
    return 1 if failed else 0
