#!/usr/bin/env python3
"""Measures `ftaudit plan FILE`, cold and warm, against a bare `uv pip compile` of the same file in the same run.

    scripts/bench_plan.py FILE [--runs 3] [--static]

Cold means empty caches, ftaudit's and uv's, in folders of this run; the interpreter that imports is there already. Warm
is the median of the runs after it. uv resolves for the GIL-enabled build; with wheels only it may stop at a pin that
has no wheel, so its figure is a lower bound. CPU seconds are those of the command and its children.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from uv import find_uv_bin

COLD_WANTED, WARM_WANTED = 20.0, 3.0


def run(command: Sequence[str], caches: Path) -> tuple[float, float, str]:
    """Run a command with its own caches; return wall time, CPU time and output."""
    environment = dict(os.environ, UV_CACHE_DIR=str(caches / "uv"), FTAUDIT_CACHE_DIR=str(caches / "ftaudit"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    seconds = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if "Traceback" in done.stderr:
        raise SystemExit(done.stderr)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--static", action="store_true")
    options = parser.parse_args()
    plan = [sys.executable, "-m", "ftaudit", "plan", "--format", "json", "--quiet", str(options.file)]
    plan += ["--static"] if options.static else []
    if "FTAUDIT_PYTHON" not in os.environ and not options.static:
        print("FTAUDIT_PYTHON is not set: with an empty cache there may be no interpreter to import with")
    bare = [find_uv_bin(), "pip", "compile", "--quiet", "--no-python-downloads", "--python-version", "3.14"]
    missed = 0
    with tempfile.TemporaryDirectory(prefix="ftaudit-bench-") as folder:
        for title, command in (
            ("uv pip compile", [*bare, str(options.file)]),
            ("uv pip compile, wheels alone", [*bare, "--only-binary", ":all:", str(options.file)]),
        ):
            caches = Path(folder, title.replace(" ", "-"))
            first, cpu, _ = run(command, caches)
            warm = statistics.median(run(command, caches)[0] for _ in range(options.runs))
            print(f"{title:30} cold {first:6.2f} s ({cpu:5.2f} s CPU)   warm {warm:6.2f} s")
        cold, cpu, output = run(plan, Path(folder, "plan"))
        document = json.loads(output)
        measured = [run(plan, Path(folder, "plan"))[:2] for _ in range(options.runs)]
    warm = statistics.median(seconds for seconds, _ in measured)
    warm_cpu = statistics.median(seconds for _, seconds in measured)
    for what, seconds, cpu_seconds, wanted in (
        ("ftaudit plan, cold", cold, cpu, COLD_WANTED),
        ("ftaudit plan, warm", warm, warm_cpu, WARM_WANTED),
    ):
        missed += seconds > wanted
        print(f"{what:30} {seconds:6.2f} s ({cpu_seconds:5.2f} s CPU)   wanted: at most {wanted:.0f} s")
    traffic = document["traffic"]
    print(f"plan's own traffic: {traffic['requests']} requests, {traffic['received'] / 1e6:.1f} MB, beside the audit's")
    print("changes: " + ", ".join(f"{row['name']} {row['current']} → {row['proposed']}" for row in document["changes"]))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
