# SPDX-License-Identifier: Apache-2.0
"""Sets and gets values of many lengths, on connections of their own for each thread: HOST PORT THREADS VALUES."""
import random, socket, sys, threading

host, port, threads, values = sys.argv[1], *map(int, sys.argv[2:5])
bad = []


def work(n):
    r = random.Random(n)
    try:
        with socket.create_connection((host, port), 30) as s, s.makefile("rb") as f:
            data = {f"k{n}-{i}": r.randbytes(r.choice((1, 100, 1400, 5000, 60000))) for i in range(values)}
            for k, v in data.items():
                s.sendall(f"set {k} 0 0 {len(v)}\r\n".encode() + v + b"\r\n")
                assert f.readline() == b"STORED\r\n"
            for k, v in data.items():
                s.sendall(f"get {k}\r\n".encode())
                head = f.readline().split()
                assert head[:1] == [b"VALUE"] or not head[1:], head  # a value may have been evicted
                if head[0] == b"VALUE":
                    assert f.read(int(head[3])) == v and f.readline() == b"\r\n" and f.readline() == b"END\r\n"
    except Exception as e:
        bad.append(f"thread {n}: {e!r}")


all_threads = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
for t in all_threads:
    t.start()
for t in all_threads:
    t.join()
sys.exit("\n".join(bad) or None)
