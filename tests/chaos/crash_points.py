# SPDX-License-Identifier: Apache-2.0
# Arms the crash points of a running xtcpd (daemon/base/crash.h) one after the other, each for one run of a command.
# usage: crash_points.py FILE SAMPLES AGAIN SEED WITHIN -- COMMAND...
#   SAMPLES   how many points, spread evenly over those that a run passes; 0: each of them
#   AGAIN     the next process dies too, after so many points; 0: it does not
#   WITHIN    not empty: only points in files with this in their name; and after each such death there is a run with two others on its
#             way, at whatever points, to see what was left behind
import os, random, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from words import Words

path, samples, again, seed, within = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
command = sys.argv[sys.argv.index("--") + 1:]
LEFT, SIGNAL, AGAIN, PASSED, PLACE, WITHIN = 0, 8, 16, 32, 40, 296
words = Words(path)
rand = random.Random(seed)


def place():
    return words.text(PLACE).replace("../", "")


def run(n, more, within):
    """True when all was well; and whether the point was reached."""
    words.write(LEFT, 0)
    words.write_text(WITHIN, within)
    words.write(SIGNAL, 9)
    words.write(AGAIN, more)
    words.write(PASSED, 0)
    words.write(LEFT, n)
    p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    died = n > 0 and words.read(AGAIN if more else LEFT) <= 0
    if p.returncode:
        print(f"point {n}, then {more}, at {place()}: exit code {p.returncode}: {p.stdout.strip()}", flush=True)
    elif died:
        places.add(place())
    return p.returncode == 0, died


places = set()
failed, deaths, n, missed = 0, 0, 1, 0
failed += not run(0, 0, "")[0]
total = of_all = words.read(PASSED)
if within:
    failed += not run(0, 0, within)[0]
    total = words.read(PASSED)
print(f"seed {seed}: a run passes {total} points", flush=True)
# How many points a run passes differs a little; the end is where it lives on again and again.
while missed < 3 and (samples == 0 or n <= total):
    well, died = run(int(n), rand.randrange(1, again + 1) if again else 0, within)
    if within and died:
        failed += not run(of_all // 3, of_all // 4, "")[0]
    missed = 0 if died else missed + 1
    deaths += died
    failed += not well
    n += 1 if samples == 0 else rand.uniform(0.5, 1.5) * total / samples
words.write(LEFT, 0)
print(f"{deaths} deaths at {len(places)} places, {failed} runs failed")
sys.exit(failed > 0 or deaths == 0)
