# SPDX-License-Identifier: Apache-2.0
"""Requests for URL from THREADS threads, each on a connection of its own, until FLAG exists; every body must have the hash.

    load.py URL THREADS SHA256 FLAG     FLAG.count grows by a byte with each; at the end prints the number of requests; a single one that fails ends it with what happened
"""
import hashlib, os, sys, threading, time, urllib.request

url, threads, want, flag = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
done, bad = [0] * threads, []
count = os.open(flag + ".count", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
start = time.monotonic()


def work(i):
    while not os.path.exists(flag) and not bad:
        try:
            with urllib.request.urlopen(url, timeout=30) as r:
                got = hashlib.sha256(r.read()).hexdigest()
            if got != want:
                raise ValueError("the hash is wrong")
            done[i] += 1
            os.write(count, b".")
        except Exception as e:
            bad.append(f"after {time.monotonic() - start:.3f} s, request {done[i]} of thread {i}: {e!r}")


all_threads = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
for t in all_threads:
    t.start()
for t in all_threads:
    t.join()
print(sum(done), *bad)
sys.exit(bool(bad))
