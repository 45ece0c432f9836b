#!/usr/bin/env python3
"""Measure `ftaudit fleet survey` on a synthetic index: time, processor time and memory by the number of packages.

    scripts/measure_fleet.py 500 8000          # limits: 30 minutes, 2 GiB, the same processor time for each within 20 %

For each size, a cold run with two workers and 20 ms latency, then a second run with nothing changed (limit: 60 s), in
which the index confirms each page: no page is valid longer than its run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from synthetic_index import IndexProcess, package_name


@dataclass
class Measured:
    """What one command used."""

    seconds: float
    processor: float
    """Seconds of processor time of the command and its processes."""
    peak: int
    """Bytes of memory of all its processes together, shared pages counted once (PSS)."""
    code: int


def look(root: int, worked: dict[int, float]) -> int:
    """Return the proportional set size of a process and its descendants, in bytes, and note how long each worked.

    A process that is killed with its parent is not in the resource usage of ours.
    """
    parents: dict[int, list[int]] = {}
    times: dict[int, float] = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(place.name))
        times[int(place.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    found, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        waiting += parents.get(process, ())
        worked[process] = max(worked.get(process, 0.0), times.get(process, 0.0))
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        found += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) * 1024
    return found


def measure(*command: str) -> Measured:
    """Run a command."""
    started, peak, ended = time.monotonic(), 0, threading.Event()
    worked: dict[int, float] = {}
    process = subprocess.Popen([sys.executable, "-m", "ftaudit", *command], stdout=subprocess.DEVNULL)

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.5):
            peak = max(peak, look(process.pid, worked))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    seconds = time.monotonic() - started
    ended.set()
    watcher.join()
    return Measured(seconds=seconds, processor=sum(worked.values()), peak=peak, code=code)


def main() -> None:
    """Measure each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="+", type=int, metavar="PACKAGES")
    parser.add_argument("--latency", type=float, default=0.02)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print("packages  run     seconds  processor  per package   peak memory  exit code")
    for size in options.sizes:
        folder = Path(tempfile.mkdtemp(prefix="measure-fleet-"))
        try:
            names = folder / "names.txt"
            names.write_text("".join(f"{package_name(number)}\n" for number in range(size)))
            with IndexProcess(size, options.latency, max_age=0) as url:
                for run in ("cold", "again"):
                    found = measure(
                        *("fleet", "survey", "--names", str(names), "-o", str(folder / run), "--index-url", url),
                        *("--cache-dir", str(folder / "cache"), "--workers", str(options.workers), "--quiet"),
                        *("--platform", "linux-x86_64"),
                    )
                    each = 1000 * found.processor / size
                    print(
                        f"{size:8}  {run:6} {found.seconds:8.1f} {found.processor:10.1f} {each:9.1f} ms"
                        f" {found.peak / (1 << 20):9.0f} MiB {found.code:10}",
                        flush=True,
                    )
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
