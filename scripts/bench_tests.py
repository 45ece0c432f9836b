#!/usr/bin/env python3
"""Time the test suite as it ran before (one process, with coverage) against how it runs now (all cores, without).

    scripts/bench_tests.py [PYTEST ARGUMENTS]       for example: tests/source -k scan

Prints for both the wall time and the processor time of pytest and of all that it started, and the ratios. On a machine
that does something else meanwhile, compare the processor times.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(arguments: list[str]) -> tuple[float, float, str]:
    """Return the wall time and the processor time of pytest, in seconds, and its last line."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, used, (done.stdout.strip().splitlines() or [done.stderr.strip()])[-1]


def main() -> int:
    """Run the suite both ways and print what each took."""
    cores = len(os.sched_getaffinity(0))
    ways = {
        "one process, coverage": ["--cov", "--cov-report="],
        f"{cores} processes": ["--numprocesses", str(cores), "--dist", "loadgroup"],
    }
    results = {}
    for name, options in ways.items():
        results[name] = wall, used, last = run([*options, *sys.argv[1:]])
        print(f"{name:24} wall {wall:7.1f} s   processor {used:7.1f} s   {last}", flush=True)
    (old_wall, old_used, _), (new_wall, new_used, _) = results.values()
    print(f"{'ratio':24} wall {new_wall / old_wall:7.2f}     processor {new_used / old_used:7.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
