#!/usr/bin/env python3
"""Measures whole commands, start-up included: `--version`, a warm `check --static FILE`, a LOCK without network.

    scripts/bench_check.py FILE [--lock LOCK] [--runs 7]

Medians of wall times, next to the target limit of each and a bare `python -c pass` of the same run. The lock
file is judged with an empty cache folder and `--offline`, so that its own wheel names are all there is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "fixtures" / "lockfiles" / "stack" / "uv.lock"


def run(*arguments: str) -> tuple[float, bytes]:
    """Run Python with these arguments; return wall time and output."""
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    return time.perf_counter() - begun, done.stdout


def median(runs: int, *arguments: str) -> tuple[float, bytes]:
    """Return the median wall time, and the last output."""
    measured = [run(*arguments) for _ in range(runs)]
    return statistics.median(seconds for seconds, _ in measured), measured[-1][1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--lock", type=Path, default=LOCK)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    missed = 0

    def tell(title: str, seconds: float, wanted: float | None, more: str = "") -> None:
        nonlocal missed
        missed += wanted is not None and seconds > wanted
        limit = "" if wanted is None else f"  (wanted: at most {wanted:.2f} s)"
        print(f"{title:42} {seconds:6.3f} s{limit}{more}")

    tell("python -c pass", median(options.runs, "-c", "pass")[0], None)
    tell("ftaudit --version", median(options.runs, "-m", "ftaudit", "--version")[0], 0.15)
    with tempfile.TemporaryDirectory(prefix="ftaudit-bench-") as folder:
        static = ("-m", "ftaudit", "check", "--static", "--format", "json", "--quiet", "--cache-dir")
        check = (*static, f"{folder}/warm", str(options.file))
        run(*check)
        seconds, output = median(options.runs, *check)
        answer: dict[str, Any] = json.loads(output)
        tell("check --static, warm", seconds, 0.6, f", {answer['traffic']['requests']} requests")
        seconds, output = median(options.runs, *static, f"{folder}/none", "--offline", str(options.lock))
        answer = json.loads(output)
        judged = answer["coverage"]["index"]
        wheels = sum(row["evidence"]["index"]["wheels"] for row in answer["packages"])
        requests = answer["traffic"]["requests"]
        more = f", {judged['done']} of {judged['total']} packages, {wheels} wheels, {requests} requests"
        tell("check of a lock file, no network", seconds, 0.5, more)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
