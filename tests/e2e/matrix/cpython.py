# SPDX-License-Identifier: Apache-2.0
"""Runs modules of CPython's own test suite, each in a process of its own, and writes a line for each test.

    cpython.py RESULTS MODULE[/PATTERN]...     PATTERN: only tests whose name matches; RESULTS.only: only these names
The lines are "RUN NAME", then "PASS|FAIL|SKIP NAME". A test that hangs or kills its process has only the first, and the
rest goes on without it."""
import faulthandler
import os
import re
import subprocess
import sys
import unittest

HANG = 60


def child(module, pattern, only, results):
    from test import support
    support.use_resources = ["cpu"]
    done = {line.split()[1] for line in open(results)}
    out = open(results, "a", buffering=1)

    def flat(suite):
        for t in suite:
            if isinstance(t, unittest.TestSuite):
                yield from flat(t)
            else:
                yield t

    class Result(unittest.TestResult):
        def startTest(self, test):
            super().startTest(test)
            self.word = "PASS"
            out.write("RUN %s\n" % test.id())
            faulthandler.dump_traceback_later(HANG, exit=True)

        def stopTest(self, test):
            super().stopTest(test)
            faulthandler.cancel_dump_traceback_later()
            out.write("%s %s\n" % (self.word, test.id()))

        def bad(self, test, err):
            self.word = "FAIL"
            print("FAIL", test.id(), self._exc_info_to_string(err, test), flush=True)

        def addError(self, test, err):
            self.bad(test, err)

        addFailure = addError

        def addSubTest(self, test, subtest, err):
            if err:
                self.bad(test, err)

        def addSkip(self, test, reason):
            self.word = "SKIP"

        def addUnexpectedSuccess(self, test):
            self.word = "FAIL"

    faulthandler.enable()
    loader = unittest.TestLoader()
    suite = unittest.TestSuite(
        t for t in flat(loader.loadTestsFromName(module))
        if t.id() not in done and re.search(pattern, t.id()) and (only is None or t.id() in only))
    suite.run(Result())


def main(results, modules):
    only = None
    if os.path.exists(results + ".only"):
        only = set(open(results + ".only").read().split())
    open(results, "w").close()
    for m in modules:
        module, _, pattern = m.partition("/")
        if only is not None and not any(t.startswith(module + ".") for t in only):
            continue
        while subprocess.call([sys.executable, __file__, "child", results, module, pattern], stdin=subprocess.DEVNULL):
            last = (open(results).read().splitlines() or [""])[-1]
            print("the process of", module, "ended in", last, flush=True)
            if not last.startswith("RUN"):
                break


if sys.argv[1] == "child":
    only_file = sys.argv[2] + ".only"
    child(sys.argv[3], sys.argv[4], set(open(only_file).read().split()) if os.path.exists(only_file) else None, sys.argv[2])
else:
    main(sys.argv[1], sys.argv[2:])
