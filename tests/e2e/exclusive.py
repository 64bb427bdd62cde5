# SPDX-License-Identifier: Apache-2.0
"""How many of the processes that wait for one listener, each in an epoll set of its own, a connection wakes.
    exclusive.py ADDRESS PORT WORKERS CONNECTIONS exclusive|plain   prints wake-ups; a client connects when told to
Reads a line for each connection that is to come; writes "ready" when all workers sleep, at the end the number of wake-ups.
A wake-up is a voluntary context switch: a worker does nothing else that would make it wait."""
import os
import select
import signal
import socket
import sys
import time

PATIENCE = 60


def work(listener, flags):
    ep = select.epoll()
    ep.register(listener.fileno(), select.EPOLLIN | flags)
    while True:
        for _ in ep.poll():
            try:
                c, _ = listener.accept()
                c.close()
            except BlockingIOError:
                pass


def status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        fields = dict(line.split(":", 1) for line in f)
    return fields["State"].split()[0], int(fields["voluntary_ctxt_switches"])


def sleeps(pid):
    """Asleep, and for good: nothing has moved it since a look before."""
    before = status(pid)
    time.sleep(0.02)
    return before[0] == "S" and status(pid) == before


def until_all_sleep(pids):
    end = time.monotonic() + PATIENCE
    while not all([sleeps(pid) for pid in pids]):
        if time.monotonic() > end:
            sys.exit("workers do not come to rest")


def main():
    address, port, workers, connections = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    flags = select.EPOLLEXCLUSIVE if sys.argv[5] == "exclusive" else 0
    listener = socket.create_server((address, port))
    listener.setblocking(False)
    pids = []
    for _ in range(workers):
        pid = os.fork()
        if pid == 0:
            work(listener, flags)
        pids.append(pid)
    try:
        until_all_sleep(pids)
        before = sum(status(pid)[1] for pid in pids)
        for _ in range(connections):
            print("ready", flush=True)
            if not sys.stdin.readline():
                sys.exit("no client")
            until_all_sleep(pids)
        print(sum(status(pid)[1] for pid in pids) - before, flush=True)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


main()
