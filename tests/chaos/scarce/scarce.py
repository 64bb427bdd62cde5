# SPDX-License-Identifier: Apache-2.0
# Lets one call after the other fail (scarce.h) during runs of a command.
# usage: scarce.py FILE SAMPLES COUNT [--kill] XTCPD XTCPCTL SOCKET -- COMMAND...
#   SAMPLES   how many calls, spread evenly over those that a run makes; 0: each of them
#   COUNT     so many calls fail, one after the other
#   --kill    the stack process is killed before each run: its successor's calls fail
#   XTCPD     the keeper's process number; what it and its stack process have must be the same after each run as before all, but for the
#             connections of the honest program (xt-liar)
# A run may fail if it says why, in words of want; the next one, without want, must not.
import collections, json, os, random, re, signal, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../lib"))
from words import Words

path, samples, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
kill = "--kill" in sys.argv
dashes = sys.argv.index("--")
(keeper, *ctl), command = sys.argv[dashes - 3:dashes], sys.argv[dashes + 1:]
rand = random.Random(int(os.environ.get("XT_SEED", "1")))
FROM, COUNT, PASSED, FAILED, PLACE = 0, 8, 16, 24, 32
words = Words(path)
PATIENCE = 60
WANT = re.compile("Cannot allocate memory|No space left|No buffer space|Too many open files|Resource temporarily|Bad message|"
                  "Invalid argument|no memory for|Connection reset|Connection refused|Software caused|Broken pipe|child: |: the end after|closed the connection")


def ask(*what):
    p = subprocess.run([ctl[0], "--socket", ctl[1], *what], stdout=subprocess.PIPE, text=True)
    if p.returncode:
        raise OSError(f"xtcpctl {what}: exit code {p.returncode}")
    return p.stdout


def stack_process():
    with open(f"/proc/{keeper}/task/{keeper}/children") as f:
        children = f.read().split()
    if not children:
        raise OSError("there is no stack process")
    return children[0]


def descriptors(pid):
    """How many of each kind; without control connections, of which one may just be ending."""
    with open(f"/proc/{pid}/net/unix") as f:
        control = {f"socket:[{line.split()[6]}]" for line in f if line.rstrip().endswith(ctl[1]) and line.split()[3] == "00000000"}
    links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    kinds = collections.Counter(re.sub("[^a-z_/]", "", link) for link in links if link not in control)
    return ",".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))


def census():
    ask("flush-time-wait")
    status, stack = json.loads(ask("--json", "status")), stack_process()
    others = [line for line in ask("list").splitlines()[1:] if "xt-liar" not in line and ":7001" not in line]
    with open(f"/proc/{stack}/maps") as f:
        regions = f.read().count("memfd:xtcp-client")
    fds = "+".join(descriptors(pid) for pid in (keeper, stack))
    return (f"connections={others} sessions={status['sessions']} control_connections={status['control_connections']} regions={regions} "
            f"descriptors={fds}" + ("" if kill else f" stack_process={stack}"))


def patiently(look, want=None):
    """What look() returns; it may take a moment until that is what is wanted, or until a stack process is there that stays."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            now = look()
            if want in (None, now) or time.monotonic() > end:
                return now
        except OSError:
            if time.monotonic() > end:
                raise
        time.sleep(0.05)


def kill_stack():
    os.kill(int(patiently(stack_process)), signal.SIGKILL)


def run():
    p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    return p.returncode, p.stdout.strip()


def with_want(n):
    """Runs it with the n-th call failing; what was wrong, and whether there was such a call."""
    words.write(FROM, 0)
    words.write(PASSED, 0)
    words.write(FAILED, 0)
    words.write(COUNT, count)
    words.write(FROM, n)
    if kill:
        kill_stack()
    rc, said = run()
    words.write(FROM, 0)
    failed = words.read(FAILED) > 0
    wrong = ""
    if rc and (not failed or rc != 1 or not said or not all(WANT.search(line) for line in said.splitlines())):
        wrong = f"exit code {rc}: {said}"
    if rc:
        rc, again = run()
        if rc:
            wrong += f"; without want, exit code {rc}: {again}"
    now = patiently(census, before)
    if now != before:
        wrong += f"; before: {before}; after: {now}"
    if failed and (wrong or os.environ.get("VERBOSE")):
        print(f"call {n}, {words.text(PLACE)}: {said!r} {'WRONG ' + wrong if wrong else ''}", flush=True)
    elif wrong:
        print(f"no call failed: {wrong}", flush=True)
    return not wrong, failed, bool(said)


if kill:  # the first stack process has other descriptors than those that take over
    kill_stack()
rc, said = run()
if rc:
    sys.exit(f"without want: exit code {rc}: {said}")
before = ""
while (now := patiently(census)) != before:
    before = now
well, _, _ = with_want(0)
total = words.read(PASSED)
print(f"a run makes {total} calls for memory, descriptors and processes; the daemon has {before}", flush=True)
first, last = map(int, os.environ.get("CALLS", f"1-{2 * total}").split("-"))
bad, runs, told, n, missed = int(not well), 0, 0, float(first), 0
# How many calls a run makes differs a little; the end is where none fails again and again.
while missed < 3 and n <= (total if samples else last):
    well, failed, said = with_want(int(n))
    missed = 0 if failed else missed + 1
    bad += not well
    runs += failed
    told += said
    n += 1 if samples == 0 else rand.uniform(0.5, 1.5) * total / samples
print(f"{runs} calls failed, the program was told of {told}; {bad} times something was wrong")
sys.exit(bad > 0 or runs == 0)
