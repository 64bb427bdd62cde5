# SPDX-License-Identifier: Apache-2.0
"""Finds lost wake-ups: a line for each connection that stands still although somebody has work to do on it. Looks once a second
until it is ended.

    asleep.py LOOKS XTCPCTL [OPTION...]

A connection stands still when in LOOKS looks, one after the other,
  - data waits for its program, none was taken, and no thread of the program or its descendants ran; or
  - data waits to be sent, none was acknowledged, and no timer runs: xtcpd has forgotten it.
For programs that read whatever comes: others may have reasons to leave data where it is.
"""
import glob, json, subprocess, sys, time


def ask(*args):
    """What xtcpctl answers; None while the stack process starts again, or when the connection has just ended."""
    r = subprocess.run([*sys.argv[2:], "--json", *args], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(r.stdout) if r.returncode == 0 else None


def states():
    """Of each process: its parent and the states of its threads."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/task/[0-9]*/stat"):
        try:
            text = open(path).read()
        except OSError:
            continue
        state, parent = text[text.rindex(")") + 2:].split()[:2]
        found.setdefault(int(path.split("/")[2]), (int(parent), []))[1].append(state)
    return found


def sleeps(pid, procs):
    """Every thread of the program and its descendants waits for something."""
    return (pid not in procs or set(procs[pid][1]) <= set("SZX")) and all(
        sleeps(child, procs) for child, (parent, _) in procs.items() if parent == pid)


def still(row, procs):
    """What about it stands still now: (what, place in the stream), or None."""
    if row["recv_q"] and sleeps(row.get("pid", 0), procs):
        f = ask("show", str(row["id"])) or {}
        return ("unread", f.get("generation"), f.get("rx_tail"))
    if row["send_q"] and "timer" not in row and row["state"] in ("ESTABLISHED", "CLOSE_WAIT"):
        f = ask("show", str(row["id"])) or {}
        return ("unsent", f.get("generation"), f.get("tx_una"))
    return None


def main():
    looks = int(sys.argv[1])
    seen = {}  # connection: (what stands still, in how many looks)
    while True:
        time.sleep(1)
        listed = ask("list")
        if listed is None:
            continue
        procs, before, seen = states(), seen, {}
        for row in listed["connections"]:
            what = still(row, procs) if row["state"] != "LISTEN" else None
            if not what:
                continue
            key = (row["id"], row["local"], row["peer"])
            count = before[key][1] + 1 if key in before and before[key][0] == what else 1
            seen[key] = (what, count)
            if count == looks:
                print(f"stands still, {what[0]}: {json.dumps(row)}", flush=True)


main()
