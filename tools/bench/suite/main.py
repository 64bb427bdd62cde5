# SPDX-License-Identifier: Apache-2.0
"""What tools/bench/run does once its network stands: picks sections, runs them, hands the rows to the report."""
import argparse
import os
import sys

import profile_cpu
import report
import rig
import sections

EPILOG = """\
topologies:
  A  server on xtcp, client on the kernel at the other end of a veth; beside it kernel to kernel on the same veth
  B  two xtcpd, one at each end of the veth; beside it kernel to kernel on the same veth
  C  both programs on one xtcpd; beside it the kernel's loopback
  -  no network: the figure stands by itself or beside the peer that the row names

congestion control:
  A line above the table says what each stack has. Where they differ, bulk, web and cpu have rows against the kernel with xtcp's, too: further
  legs of each round, over routes that say so. In A the kernel is at one end of xtcp's connections, and has xtcp's there, too.

sections:
""" + "\n".join("  %-12s %s" % (s.name, s.about) for s in sections.ALL)


def arguments():
    p = argparse.ArgumentParser(prog="tools/bench/run", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
                                description="xtcp beside the kernel: medians of alternating rounds, ratio round by round.")
    p.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of each pair (5)")
    p.add_argument("--seconds", type=float, default=3, metavar="S", help="length of one measurement (3): what takes a number "
                                                                                "of requests is given what its last run did in that time")
    p.add_argument("--quick", action="store_true", help="every section in under five minutes: 3 rounds of half a second (1 s of iperf3, "
                                                        "wrk and sockperf), fewer workloads, B for bulk and rpc only")
    p.add_argument("--topology", metavar="ABC", help="only these topologies")
    p.add_argument("--json", metavar="FILE", help="also write the rows as a JSON array ('-': to the standard output, the table to "
                                                  "the standard error)")
    p.add_argument("--plot", metavar="DIR", help="also draw a chart for each section (PNG, by gnuplot)")
    p.add_argument("--profile", action="store_true", help="instead: how many cores each program takes and where the processor time of each "
                                                          "workload goes, by perf, one run a side")
    p.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    p.add_argument("section", nargs="*", help="only these sections")
    a = p.parse_args()
    known = [s.name for s in sections.ALL]
    for name in a.section:
        if name not in known:
            p.error("no section '%s'; there are: %s" % (name, " ".join(known)))
    if a.rounds < 1 or a.seconds <= 0:
        p.error("--rounds and --seconds must be positive")
    if a.topology is not None and (not a.topology or set(a.topology) - set("ABC")):
        p.error("--topology takes letters of A, B and C")
    if a.quick:
        a.rounds, a.seconds = min(a.rounds, 3), 0.5
    return a


def main():
    args = arguments()
    if args.check:
        return 0
    if os.geteuid() != 0:
        print("tools/bench/run: needs root, for network namespaces and a packet socket", file=sys.stderr)
        return 1
    if args.profile:
        return profile_cpu.run(sections.ALL, args)
    out = report.Report(sys.stderr if args.json == "-" else sys.stdout, args, rig.congestion())
    failed = 0
    for s in sections.ALL:
        if not args.section or s.name in args.section:
            failed += s.run(args, out)
    out.end()
    if failed:
        print("%d measurements failed" % failed, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
