#!/usr/bin/env python3
"""Measures `ftaudit check --static FILE`, cold and warm, against a download of the same whole wheels in the same run.

    scripts/bench_static.py FILE [--runs 5]

Every figure is the median wall time of whole commands, start-up included. Cold means an empty cache folder (uv's too)
for each run, warm the same folder again. The whole download fetches, with as many connections as `ftaudit` uses, every
wheel that the audit chose, and does nothing with it. The share of bytes is given of the wheels that have extension
modules, and of all wheels that the audit chose.

The processor time is that of the main process and of the others: workers and uv. That of the main process is divided
among the rooms of ftaudit by samples: the time of a thread since the last sample counts for its innermost frame of
ftaudit.
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
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import requests
from requests.adapters import HTTPAdapter

CONNECTIONS = 16
MIB = 1 << 20


SAMPLED_EVERY = 0.005


def check(file: Path, cache: Path) -> tuple[float, dict[str, Any], dict[str, Any]]:
    """Run the command once; return its wall time, its answer and where its processor time went."""
    shares = cache.with_suffix(".json")
    command = [sys.executable, __file__, "--inside", str(shares), "check", "--static", "--format", "json", "--quiet"]
    environment = {**os.environ, "UV_CACHE_DIR": str(cache / "uv")}
    begun = time.perf_counter()
    done = subprocess.run(
        [*command, "--cache-dir", str(cache), str(file)], capture_output=True, env=environment, check=False
    )
    seconds = time.perf_counter() - begun
    if done.returncode not in (0, 1, 3):
        raise SystemExit(done.stderr.decode())
    spent = json.loads(shares.read_text())
    shares.unlink()
    return seconds, json.loads(done.stdout), spent


def run_inside(shares: Path, arguments: list[str]) -> int:
    """Run ftaudit in this process, and write where the processor time went."""
    from ftaudit.cli import main as ftaudit

    rooms: dict[str, float] = defaultdict(float)
    spent: dict[int, float] = {}
    over = threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLED_EVERY):
            for thread, frame in sys._current_frames().items():
                if thread != threading.get_ident():
                    now = time.clock_gettime(time.pthread_getcpuclockid(thread))
                    rooms[_room_of(frame)] += max(0.0, now - spent.get(thread, 0.0))
                    spent[thread] = now

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    sys.argv = ["ftaudit", *arguments]
    try:
        status = ftaudit()
    finally:
        over.set()
        sampler.join()
        main, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        told = {
            "main": main.ru_utime + main.ru_stime,
            "others": others.ru_utime + others.ru_stime,
            "peak": max(main.ru_maxrss, others.ru_maxrss),
            "rooms": rooms,
        }
        shares.write_text(json.dumps(told))
    return status


def _room_of(frame: FrameType | None) -> str:
    """Return the room of the innermost frame of ftaudit."""
    while frame is not None:
        parts = str(frame.f_globals.get("__name__")).split(".")
        if parts[0] == "ftaudit" and len(parts) > 1:
            return parts[1]
        frame = frame.f_back
    return "other"


def print_shares(name: str, spent: dict[str, Any]) -> None:
    """Print the processor time of one run."""
    main = spent["main"]
    print(f"{name}: {main + spent['others']:.2f} s of processor time, peak {spent['peak'] / 1024:.0f} MiB a process")
    print(f"  workers and uv   {spent['others']:6.2f} s")
    print(f"  main process     {main:6.2f} s, of which about")
    for room, seconds in sorted(spent["rooms"].items(), key=lambda row: -row[1])[:10]:
        print(f"    {room:14} {seconds:6.2f} s")


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
    if sys.argv[1:2] == ["--inside"]:
        return run_inside(Path(sys.argv[2]), sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    cold, warm, whole = [], [], []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory(prefix="ftaudit-bench-") as folder:
            seconds, report, cold_shares = check(options.file, Path(folder))
            cold.append(seconds)
            seconds, again, warm_shares = check(options.file, Path(folder))
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
    print(
        f"cold run received {report['traffic']['received'] / MIB:.1f} MiB in {report['traffic']['requests']} requests"
    )
    print_shares("last cold run", cold_shares)
    print_shares("last warm run", warm_shares)
    print(f"undetermined: {undecided} of {len(modules)} modules; warm run fetched {_received(again)} bytes of wheels")
    return 0


def _spread(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}, {len(values)} runs"


def _received(report: dict[str, Any]) -> int:
    return sum(row["evidence"]["binary"]["bytes_read"] for row in report["packages"])


if __name__ == "__main__":
    sys.exit(main())
