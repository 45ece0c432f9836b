#!/usr/bin/env python3
"""Compare `ftaudit check` with a facts store, an empty cache and no network to a warm run of the same lock file.

    scripts/measure_facts.py          # limit: at most 1.0 times the warm run, and all binary evidence

It prints the ratio of the times, and that of the processor times, which says more on a busy machine.
The lock file pins 100 packages of the synthetic index, which is gone when the store is used.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure_fleet_projects import URL, lock
from synthetic_index import IndexProcess

ROUNDS = 5


def check(path: Path, report: Path, *more: str) -> tuple[float, float]:
    """Check a lock file; return the seconds that it took, and those of processor time."""
    started, worked = time.monotonic(), _worked()
    command = ["check", "--static", str(path), "--platform", "linux-x86_64", "-o", str(report), *more]
    subprocess.run([sys.executable, "-m", "ftaudit", *command], check=False, stderr=subprocess.DEVNULL)
    return time.monotonic() - started, _worked() - worked


def _worked() -> float:
    """Return the processor time of all commands so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pins", type=int, default=100)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="measure-facts-"))
    try:
        path, report, store = folder / "uv.lock", folder / "report.json", folder / "known.ftfacts"
        warm = ("--cache-dir", str(folder / "warm"))
        with IndexProcess(options.pins, 0.0) as url:
            files = url.replace("/simple/", "/files/{}")
            path.write_text(lock(list(range(options.pins))).replace(URL.format(""), files.format("")))
            check(path, report, *warm)
            subprocess.run([sys.executable, "-m", "ftaudit", "facts", "export", "-o", str(store), *warm], check=True)
        runs: dict[str, list[tuple[float, float]]] = {"warm": [], "store": []}
        for number in range(ROUNDS):
            runs["warm"].append(check(path, report, *warm, "--offline"))
            empty = folder / f"empty-{number}"
            runs["store"].append(check(path, report, "--cache-dir", str(empty), "--facts", str(store), "--offline"))
        binaries = json.loads(report.read_text())["coverage"]["binaries"]
        print(f"binaries {binaries}")
        for number, what in enumerate(("time", "processor time")):
            own, stored = (statistics.median(each[number] for each in runs[name]) for name in ("warm", "store"))
            print(f"{what}: warm {own:.2f} s, with the store {stored:.2f} s, ratio {stored / own:.2f} (limit 1.0)")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
