#!/usr/bin/env python3
"""Measures `ftaudit check --static FILE`, cold and warm, against a download of the same whole wheels in the same run.

    scripts/bench_static.py FILE [--runs 5]

Every figure is the median wall time of whole commands, start-up included. Cold means an empty cache folder (uv's too)
for each run, warm the same folder again. The whole download fetches, with as many connections as `ftaudit` uses, every
wheel that the audit chose, and does nothing with it. The share of bytes is given of the wheels that have extension
modules, and of all wheels that the audit chose.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter

CONNECTIONS = 16
MIB = 1 << 20


def check(file: Path, cache: Path) -> tuple[float, dict[str, Any]]:
    """Run the command once; return its wall time and its answer."""
    command = [sys.executable, "-m", "ftaudit", "check", "--static", "--format", "json", "--quiet"]
    environment = {**os.environ, "UV_CACHE_DIR": str(cache / "uv")}
    begun = time.perf_counter()
    done = subprocess.run(
        [*command, "--cache-dir", str(cache), str(file)], capture_output=True, env=environment, check=False
    )
    seconds = time.perf_counter() - begun
    if done.returncode not in (0, 1, 3):
        raise SystemExit(done.stderr.decode())
    return seconds, json.loads(done.stdout)


def download(urls: list[str]) -> tuple[float, int, list[int]]:
    """Fetch every wheel whole; return the wall time, the bytes, and the bytes of each."""
    with requests.Session() as session, ThreadPoolExecutor(CONNECTIONS) as pool:
        session.mount("https://", HTTPAdapter(pool_maxsize=CONNECTIONS))
        begun = time.perf_counter()
        sizes = list(pool.map(lambda url: _fetched(session, url), urls))
        return time.perf_counter() - begun, sum(sizes), sizes


def _fetched(session: requests.Session, url: str) -> int:
    with session.get(url, stream=True, timeout=60) as answer:
        answer.raise_for_status()
        return sum(len(chunk) for chunk in answer.iter_content(1 << 18))


def main() -> int:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    cold, warm, whole = [], [], []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory(prefix="ftaudit-bench-") as folder:
            seconds, report = check(options.file, Path(folder))
            cold.append(seconds)
            seconds, again = check(options.file, Path(folder))
            warm.append(seconds)
        rows = [row for row in report["packages"] if row["wheel"]]
        compiled = [row for row in rows if row["evidence"]["binary"]["bytes_total"]]
        seconds, _, sizes = download([row["wheel"]["url"] for row in rows])
        whole.append(seconds)
    fetched = sum(row["evidence"]["binary"]["bytes_read"] for row in compiled)
    total = sum(row["evidence"]["binary"]["bytes_total"] for row in compiled)
    modules = [module for row in compiled for module in row["modules"]]
    undecided = sum(module["binary"] == "undetermined" for module in modules)
    print(f"{options.file}: {len(rows)} wheels, {len(compiled)} with compiled code, {len(modules)} modules")
    print(f"check --static, cold     {statistics.median(cold):6.2f} s   ({_spread(cold)})")
    print(f"check --static, warm     {statistics.median(warm):6.2f} s   ({_spread(warm)})")
    print(f"the wheels whole         {statistics.median(whole):6.2f} s   ({_spread(whole)}), {CONNECTIONS} connections")
    print(f"fetched {fetched / MIB:.1f} MiB of {total / MIB:.1f} MiB of compiled wheels: {fetched / total:.1%}")
    print(f"        and of {sum(sizes) / MIB:.1f} MiB of all wheels: {fetched / sum(sizes):.1%}")
    print(f"undetermined: {undecided} of {len(modules)} modules; warm run fetched {_received(again)} bytes of wheels")
    return 0


def _spread(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}, {len(values)} runs"


def _received(report: dict[str, Any]) -> int:
    return sum(row["evidence"]["binary"]["bytes_read"] for row in report["packages"])


if __name__ == "__main__":
    sys.exit(main())
