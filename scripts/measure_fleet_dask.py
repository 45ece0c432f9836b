#!/usr/bin/env python3
"""Compare runs on a Dask cluster of separate processes with a local run, while workers and the scheduler are killed.

    scripts/measure_fleet_dask.py --packages 400 --kills 50

It prints whether the bytes are equal, how many kills there were, the throughput with 1, 2 and 4 workers, and that of a
bare map of the same tasks by `dask.distributed`, on another cluster that is as new and knows as little.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import distributed
from packaging.utils import canonicalize_name
from synthetic_index import IndexProcess, package_name

from ftaudit.errors import FtauditError
from ftaudit.fleet.fleet_questions import question_of
from ftaudit.fleet.fleet_tasks import JudgeTask, judge_task
from ftaudit.fleet.journal import read_progress
from ftaudit.index.index_settings import IndexOptions
from ftaudit.model import Pin
from ftaudit.settings import Settings
from ftaudit.target import parse_platform

CLIENT: Any = distributed.Client
CONNECTIONS = 16
"""Of each worker; `fleet survey` shares its 32 out among two."""


class Cluster:
    """A scheduler and workers, each a process of its own, which come back when they are killed."""

    def __init__(self, workers: int, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self._folder = folder
        self._workers = workers
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._keeper = threading.Thread(target=self._keep)

    def __enter__(self) -> Cluster:
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._keeper.join()
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _keep(self) -> None:
        while not self._ended.is_set():
            with self._lock:
                for name in ("scheduler", *(f"worker-{number}" for number in range(self._workers))):
                    process = self._processes.get(name)
                    if process is None or process.poll() is not None:
                        self._processes[name] = self._start(name)
            self._ended.wait(0.5)

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        where = ["--no-dashboard", "--host", "127.0.0.1"]
        command = ["scheduler", "--port", str(self.port), *where]
        if name != "scheduler":
            command = ["worker", self.address, "--nthreads", "1", "--no-nanny", *where, "--death-timeout", "60"]
            command += ["--local-directory", str(self._folder / name)]
        env = {**os.environ, "FTAUDIT_CACHE_DIR": str(self._folder / "cache")}
        return subprocess.Popen([sys.executable, "-m", "dask", *command], env=env, stderr=subprocess.DEVNULL)

    def kill(self, chance: random.Random) -> str:
        """Kill a process; every tenth time it is the scheduler."""
        with self._lock:
            name = "scheduler" if chance.random() < 0.1 else chance.choice(sorted(self._processes))
            if name in self._processes:
                self._processes[name].send_signal(signal.SIGKILL)
            return name


def digest(folder: Path) -> str:
    """Return the digest of all tables of a data set."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.parquet")):
        found.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return found.hexdigest()


def survey(names: Path, output: Path, url: str, *more: str) -> float:
    """Run a survey; return the seconds that it took."""
    started = time.monotonic()
    command = ["fleet", "survey", "--names", str(names), "-o", str(output), "--index-url", url, "--quiet"]
    done = subprocess.run(
        [sys.executable, "-m", "ftaudit", *command, "--platform", "linux-x86_64", *(more or ("--workers", "2"))],
        stdout=subprocess.DEVNULL,
    )
    if done.returncode not in (0, 1, 3):
        raise SystemExit(f"the run ended with {done.returncode}")
    return time.monotonic() - started


def bare_map(address: str, packages: int, url: str) -> float:
    """Run the same tasks with a bare map; return the seconds that it took."""
    settings = Settings(static=True, jobs=1, index_url=url, connections=CONNECTIONS)
    platform = parse_platform("linux-x86_64")
    pins = [Pin(name=canonicalize_name(package_name(number)), version=None) for number in range(packages)]
    questions = [question_of(pin, "3.14t", [platform.name], IndexOptions()) for pin in pins]
    tasks = [
        JudgeTask(
            questions=tuple(questions[start : start + 24]),
            settings=settings,
            targets=("3.14t",),
            platforms=(platform,),
            newest=1,
        )
        for start in range(0, packages, 24)
    ]
    started = time.monotonic()
    with CLIENT(address) as client:
        client.gather(client.map(judge_task, tasks, pure=False))
    return time.monotonic() - started


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=400)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="measure-dask-"))
    try:
        names = folder / "names.txt"
        names.write_text("".join(f"{package_name(number)}\n" for number in range(options.packages)))
        with IndexProcess(options.packages, 0.02) as url:
            local = survey(names, folder / "local", url, "--cache-dir", str(folder / "cache-local"))
            wanted = digest(folder / "local")
            print(f"local, 2 workers: {local:.1f} s, {options.packages / local:.1f} packages per second", flush=True)
            for count in options.workers:
                place = folder / f"cluster-{count}"
                with Cluster(count, place) as cluster:
                    _wait(cluster.address, count)
                    took = survey(names, place / "data", url, "--dask", cluster.address)
                    same = digest(place / "data") == wanted
                with Cluster(count, folder / f"bare-{count}") as cluster:
                    _wait(cluster.address, count)
                    bare = bare_map(cluster.address, options.packages, url)
                print(
                    f"Dask, {count} workers: {took:.1f} s, the same bytes: {same}; a bare map: {bare:.1f} s", flush=True
                )
            if options.kills:
                _kill(options, names, folder / "killed", url, wanted)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kill(options: argparse.Namespace, names: Path, place: Path, url: str, wanted: str) -> None:
    chance, ended = random.Random(options.seed), threading.Event()
    killed: list[str] = []
    with Cluster(2, place) as cluster:
        _wait(cluster.address, 2)

        def murder() -> None:
            # The run must find its scheduler once; from then on it waits for it.
            while not _judged(place / "data") and not ended.wait(0.2):
                pass
            while len(killed) < options.kills and not ended.wait(chance.uniform(1, 4)):
                killed.append(cluster.kill(chance))

        killer = threading.Thread(target=murder)
        killer.start()
        took = survey(names, place / "data", url, "--dask", cluster.address)
        ended.set()
        killer.join()
    same = digest(place / "data") == wanted
    told = f"{killed.count('scheduler')} of the scheduler"
    print(f"killed {len(killed)} times, {told}: {took:.1f} s, the same bytes: {same}", flush=True)


def _judged(data: Path) -> int:
    try:
        return read_progress(data)[0].questions_judged
    except FtauditError:
        return 0


def _wait(address: str, workers: int) -> None:
    for _ in range(60):
        try:
            with CLIENT(address, timeout=5) as client:
                client.wait_for_workers(workers, timeout=60)
                return
        except (OSError, TimeoutError):
            time.sleep(0.5)
    raise SystemExit("the cluster does not start")


if __name__ == "__main__":
    main()
