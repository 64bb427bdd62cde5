# SPDX-License-Identifier: Apache-2.0
# Runs a command again and again, each time killed at a random instant: itself, a child of it, or all of them.
# usage: client_kill.py KILLS SEED MILLISECONDS -- COMMAND...     MILLISECONDS: within so many of its start
import os, random, signal, subprocess, sys, time

kills, seed, within = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
command = sys.argv[sys.argv.index("--") + 1:]
rand = random.Random(seed)


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(child) for child in f.read().split()]
    except OSError:
        return []


early = killed = of_children = 0
while killed < kills:
    p = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(rand.uniform(0, within / 1000))
    if p.poll() is None:
        child = children(p.pid)
        if child and rand.random() < 0.5:
            of_children += 1
            try:
                os.kill(child[0], signal.SIGKILL)
                time.sleep(rand.uniform(0, 0.005))
            except ProcessLookupError:
                pass
        if rand.random() < 0.5:
            p.kill()
            p.wait()
        killed += 1
    else:
        early += 1
    try:
        os.killpg(p.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    p.wait()
print(f"{killed} killed, {of_children} of them after a child; {early} were through before")
