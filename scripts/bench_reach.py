#!/usr/bin/env python3
"""Time `ftaudit check --reach` cold and warm against the same check without `--reach`, in the same run.

    scripts/bench_reach.py [NAME...] [--runs N] [--stacks FILE]

The stacks are those of scripts/reach_stacks.toml. "Cold" starts with an empty cache for reachability; the pages of the
index and the facts about binaries are in the cache for both. Prints processor time and wall time, medians of N runs,
and the bytes that the answer fetched. The limits: 3 s of processor time more than the check when cold, 0.5 s when warm.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tomli

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = ("feed", "api", "orm", "frames", "client", "web_flask", "plots")


def check(folder: Path, cache: Path, *more: str) -> tuple[float, float, int]:
    """Return the processor time and the wall time of a check, and the bytes that reachability fetched."""
    command = [sys.executable, "-m", "ftaudit", "check", "requirements.txt", "--static", "-q", "--format", "json"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ran = subprocess.run(
        [*command, "--cache-dir", str(cache), *more], cwd=folder, capture_output=True, env=os.environ, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ran.returncode not in (0, 1, 3):
        sys.exit(ran.stderr.decode())
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    fetched = sum(each["bytes_read"] for each in json.loads(ran.stdout)["reach"])
    return processor, time.perf_counter() - start, fetched


def main() -> int:
    """Time the stacks that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=DEFAULT, metavar="NAME")
    parser.add_argument("--runs", type=int, default=3, metavar="N")
    parser.add_argument("--stacks", type=Path, default=ROOT / "scripts" / "reach_stacks.toml", metavar="FILE")
    options = parser.parse_args()
    stacks = tomli.loads(options.stacks.read_text("utf-8"))
    extra: dict[str, list[float]] = {"cold": [], "warm": []}
    for name in options.names:
        with tempfile.TemporaryDirectory() as scratch:
            folder, cache = Path(scratch) / "project", Path(scratch) / "cache"
            folder.mkdir()
            (folder / "requirements.txt").write_text("\n".join(stacks[name]["requirements"]) + "\n")
            (folder / "app.py").write_text(stacks[name]["app"])
            check(folder, cache)
            rows: dict[str, list[tuple[float, float, int]]] = {"without": [], "cold": [], "warm": []}
            for _ in range(options.runs):
                rows["without"].append(check(folder, cache))
                shutil.rmtree(cache / "reach", ignore_errors=True)
                rows["cold"].append(check(folder, cache, "--reach", "app"))
                rows["warm"].append(check(folder, cache, "--reach", "app"))
            median = {kind: statistics.median(row[0] for row in found) for kind, found in rows.items()}
            walls = {kind: statistics.median(row[1] for row in found) for kind, found in rows.items()}
            for kind, found in extra.items():
                found.append(median[kind] - median["without"])
            told = ", ".join(f"{kind} {median[kind]:.2f} s ({walls[kind]:.2f} s)" for kind in rows)
            print(f"{name:16} {told}, {rows['cold'][0][2] / 1e6:.1f} MB fetched", flush=True)
    for kind, found in extra.items():
        print(f"--reach adds when {kind}: median {statistics.median(found):.2f} s of processor time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
