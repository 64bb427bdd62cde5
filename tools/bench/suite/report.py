# SPDX-License-Identifier: Apache-2.0
"""Rows of results: on screen, as JSON, as charts."""
import json
import os
import statistics
import subprocess
import sys


def figure(v):
    if v is None:
        return "-"
    return "%.0f" % v if abs(v) >= 1000 else "%.1f" % v if abs(v) >= 100 else "%.3g" % v


def congestion_line(congestion):
    line = "congestion control: xtcp %(xtcp)s, kernel %(kernel)s" % congestion
    more = list(congestion)[2:]
    if more:
        line += "; '%s': the same rounds, by routes that say so" % more[0]
    elif congestion["xtcp"] != congestion["kernel"]:
        line += ", which does not have xtcp's"
    return line


class Report:
    def __init__(self, screen, args, congestion):
        """`congestion`: {name of a side: its congestion control}"""
        self.screen, self.args, self.congestion, self.rows = screen, args, congestion, []
        print(congestion_line(congestion), file=screen)
        print("%-11s %-3s %-34s %11s %11s %7s  %-15s %s" % (
            "section", "top", "median of %d rounds" % args.rounds, "xtcp", "kernel", "ratio", "spread", "goal"), file=screen)

    def add(self, section, topology, workload, metric, pairs, goal="", peer="kernel"):
        """`pairs`: (xtcp, peer) of each round; a peer of None: there is nothing to compare with."""
        ours = [a for a, _ in pairs]
        theirs = [b for _, b in pairs if b is not None]
        ratios = [a / b for a, b in pairs if b]
        row = {"section": section, "topology": topology, "workload": workload, "metric": metric,
               "xtcp": statistics.median(ours), "kernel": statistics.median(theirs) if theirs else None,
               "ratio": statistics.median(ratios) if ratios else None,
               "spread": [min(ratios), max(ratios)] if ratios else None, "goal": goal, "peer": peer if theirs else None,
               "congestion": [self.congestion["xtcp"], self.congestion[peer]] if theirs and peer in self.congestion else None}
        last = self.rows[-1] if self.rows else row
        self.rows.append(row)
        name = "%s, %s" % (workload, metric) + ("" if peer == "kernel" or not theirs else " (against %s)" % peer)
        if row is not last and all(row[k] == last[k] for k in ("section", "topology", "workload", "metric")):
            name = "  the same, %s" % peer
        print("%-11s %-3s %-34s %11s %11s %7s  %-15s %s" % (
            section, topology, name, figure(row["xtcp"]), figure(row["kernel"]),
            "-" if not ratios else "%.2f" % row["ratio"],
            "" if not ratios else "%.2f to %.2f" % tuple(row["spread"]), goal), file=self.screen, flush=True)

    def failed(self, section, topology, workload, why):
        print("%-11s %-3s %-34s FAILED: %s" % (section, topology, workload, why), file=self.screen, flush=True)

    def end(self):
        if self.args.json:
            text = json.dumps(self.rows, indent=1)
            if self.args.json == "-":
                print(text)
            else:
                with open(self.args.json, "w") as f:
                    f.write(text + "\n")
        if self.args.plot:
            os.makedirs(self.args.plot, exist_ok=True)
            for section in dict.fromkeys(r["section"] for r in self.rows if r["ratio"]):
                self.plot(section)

    def plot(self, section):
        rows = [r for r in self.rows if r["section"] == section and r["ratio"]]
        beside = lambda r: "" if r["peer"] == "kernel" else ", " + r["peer"]
        data = "\n".join('"%s %s\\n%s%s" %g %g %g' % (r["topology"], r["workload"], r["metric"], beside(r), r["ratio"], *r["spread"])
                         for r in rows).replace("_", "\\\\_")
        script = """set terminal pngcairo size %d,600
set output '%s'
set title '%s: xtcp over its peer, median and spread'
set style data histograms
set style histogram errorbars gap 2 lw 1
set style fill solid 0.5
set yrange [0:*]
set xtics rotate by -35
set bmargin 9
set rmargin 12
set grid ytics
$d << E
%s
E
plot $d using 2:3:4:xtic(1) title 'ratio', 1 with lines title 'equal'
""" % (max(500, 200 + 90 * len(rows)), os.path.join(self.args.plot, section + ".png"), section, data)
        p = subprocess.run(["gnuplot"], input=script, text=True, capture_output=True)
        if p.returncode or p.stderr:
            print("gnuplot: " + p.stderr, file=sys.stderr)
