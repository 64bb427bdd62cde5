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

import report
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
    """(when, (who, what), (name, thread)) of each that counts; a softirq is nobody's, but its core that of the thread it came upon."""
    text = rig.output(["perf", "script", "-i", path, "--show-task-events", "--no-inline", "-F", "comm,pid,tid,time,event,ip,sym"])
    parents = {int(c): int(p) for c, p in re.findall(r"PERF_RECORD_FORK\((\d+):\d+\):\((\d+):", text) if c != p}
    for block in text.split("\n\n"):
        lines = [l for l in block.split("\n") if l.strip() and "PERF_RECORD_" not in l]
        head = re.match(r"\s*(.+?)\s+(\d+)/(\d+)\s.*?([\d.]+):", lines[0]) if len(lines) > 1 else None
        if not head:
            continue
        names = [re.sub(r"\+0x.*", "", l.split(None, 1)[-1].strip()) for l in lines[1:]]
        who, what, when = head.group(1), kind(names), float(head.group(4))
        ours = names[0] not in IDLE and who not in TOOLS and is_ours(int(head.group(2)), parents)
        if what == "softirq" or ours:
            yield when, ("packets" if what == "softirq" else who, what), (who, int(head.group(3))) if ours else ("packets", 0)


def cores(taken):
    """Of a run's samples: how many cores each program took, thread by thread: one that takes a whole core is what bounds the run.
    Only such 10 ms count in which somebody ran: clients sleep before they begin, sockperf for two seconds."""
    lasted = len({int(when * 100) for when, _, _ in taken}) / 100
    programs = {}
    for (name, _), n in collections.Counter(thread for _, _, thread in taken).most_common():
        programs.setdefault(name, []).append(n / HZ / lasted)
    shares = sorted(programs.items(), key=lambda p: -sum(p[1]))
    return ", ".join("%s %s" % (name, " + ".join("%.2f" % s for s in each if s >= 0.01)) for name, each in shares if each[0] >= 0.01)


def measure(load, side):
    """{(who, what): ms for each unit}, the cores, and the figures of one run."""
    load.prepare(side)
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
    taken = list(samples(base))
    if not taken:
        raise rig.Failed("perf has seen nothing")
    return {k: n * 1000 / HZ / load.units for k, n in collections.Counter(row for _, row, _ in taken).items()}, cores(taken), figures


def show(letter, load, sides):
    (ours, on_xtcp, got), (theirs, on_kernel, had) = (s.run(lambda side: measure(load, side)) for s in sides)
    said = ["%s %.3g" % f for figures in (got, had) for f in figures.items()]
    print("\n%s, %s: ms of processor time for each %s; xtcp (%s), %s (%s)" % (
        letter, load.name, "GiB" if hasattr(load, "streams") else "100k requests", said[0], sides[1].name, said[len(got)]))
    print("  cores, xtcp: %s\n  cores, kernel: %s" % (on_xtcp, on_kernel))
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
    print(report.congestion_line(rig.congestion()))
    for section in every:
        if not hasattr(section, "workloads") or (args.section and section.name not in args.section):
            continue
        for letter in section.topologies(args):
            for load in section.workloads(args):
                load = getattr(load, "load", load)  # what the section cpu measures is the one within
                try:
                    for sides in rig.topology(letter)[:None if load.every_peer else 1]:
                        with rig.servers(sides, load.port, load.server):
                            show(letter, load, sides)
                except rig.Failed as e:
                    print("%s, %s: FAILED: %s" % (letter, load.name, e))
                    failed += 1
    return 1 if failed else 0
