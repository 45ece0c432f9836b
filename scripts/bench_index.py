"""Measures the index tier on a file of pins, cold and warm, against uv on the same names in the same run.

    python scripts/bench_index.py FILE [--runs 5] [--python-version 3.14]

Every figure is the median wall time of whole processes, start-up included. Cold means an empty cache folder for
each run, for uv as for us. Two peers: `uv pip compile --no-deps` (on an index without PEP 658 it reads each
distribution's metadata out of the wheel as well), and `uv pip list --outdated` over a folder of made-up
installations of the same names, which reads the same pages and nothing else.
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
from collections.abc import Callable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--python-version", default="3.14")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    pins = read_pins(arguments.file)
    if arguments.child is not None:
        print(json.dumps(run_tier(pins, arguments.child)))
        return 0
    with tempfile.TemporaryDirectory(prefix="ftaudit-bench-") as folder:
        compare(arguments, pins, Path(folder))
    return 0


def read_pins(path: Path) -> list[tuple[str, Version]]:
    """Return names and versions of lines `NAME[EXTRAS]==VERSION`."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    requirements = [Requirement(line) for line in lines if line]
    return [(r.name, Version(next(iter(r.specifier)).version)) for r in requirements]


def run_tier(pins: list[tuple[str, Version]], cache: Path) -> dict[str, object]:
    """Run the index tier once in this process and return what it took and found."""
    begun = time.perf_counter()
    from ftaudit.index.choose import choose_wheel
    from ftaudit.index.client import Index
    from ftaudit.index.index_settings import find_settings
    from ftaudit.index.release import query_for
    from ftaudit.model import Pin, Status
    from ftaudit.target import host_platform, parse_platform, parse_target

    target, platform = parse_target("3.14t"), host_platform()
    asked = {pin: query_for(pin) for pin in (Pin(name=canonicalize_name(n), version=v) for n, v in pins)}
    with Index(find_settings(env=os.environ, cache=cache)) as index:
        releases = index.find_releases(query for query in asked.values() if query is not None)
    facts = [choose_wheel(pin, releases[query], target, platform) for pin, query in asked.items() if query is not None]
    seconds = time.perf_counter() - begun
    locked = [
        Pin(name=pin.name, version=pin.version, files=releases[query].files) for pin, query in asked.items() if query
    ]
    begun = time.perf_counter()
    for platform in (parse_platform("macos-arm64"), parse_platform("windows-amd64")):
        for pin in locked:
            choose_wheel(pin, None, target, platform)
    return {
        "seconds": seconds,
        "locked_seconds": time.perf_counter() - begun,
        "locked_wheels": 2 * sum(len(fact.wheels) for fact in facts),
        "answered": sum(fact.status is Status.DONE for fact in facts),
        "installable": sum(fact.wheel is not None for fact in facts),
        **dict(index.traffic.counts),
    }


def compare(arguments: argparse.Namespace, pins: list[tuple[str, Version]], folder: Path) -> None:
    names = folder / "names.in"
    names.write_text("".join(f"{name}=={version}\n" for name, version in pins))
    for name, _ in pins:
        installed = folder / "installed" / f"{name.replace('-', '_')}-0.0.1.dist-info"
        installed.mkdir(parents=True)
        (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0.1\n")
    uv = [find_uv(), "--quiet", "--no-progress"]
    compiled = [*uv, "pip", "compile", "--no-deps", "--no-python-downloads", "--python", sys.executable]
    compiled += ["--python-version", arguments.python_version, str(names)]
    listed = [*uv, "pip", "list", "--outdated", "--target", str(folder / "installed")]
    ours = [sys.executable, __file__, str(arguments.file)]
    reports: dict[str, dict[str, float]] = {}

    def tier(number: int, kind: str) -> None:
        done = run([*ours, "--child", str(folder / f"ours-{number}")])
        reports[kind] = json.loads(done)

    steps: dict[str, Callable[[int], object]] = {
        "ftaudit index tier, cold": lambda n: tier(n, "cold"),
        "ftaudit index tier, warm": lambda n: tier(n, "warm"),
        "uv pip list --outdated, cold": lambda n: run([*listed, "--cache-dir", str(folder / f"list-{n}")]),
        "uv pip compile --no-deps, cold": lambda n: run([*compiled, "--cache-dir", str(folder / f"uv-{n}")]),
    }
    times: dict[str, list[float]] = {title: [] for title in steps}
    for number in range(arguments.runs):
        for title, step in steps.items():
            begun = time.perf_counter()
            step(number)
            times[title].append(time.perf_counter() - begun)
    medians = {title: statistics.median(values) for title, values in times.items()}
    cold, warm, pages, compile_ = medians.values()
    for title, values in times.items():
        print(f"{title:32} median {medians[title]:7.3f} s   all {' '.join(f'{v:.3f}' for v in values)}")
    for kind, report in reports.items():
        print(
            f"{kind}: {report['answered']:.0f}/{len(pins)} answered, {report['installable']:.0f} installable, "
            f"{report['requests']:.0f} requests, {report['received']:,.0f} bytes received, "
            f"{report['saved']:,.0f} saved, {report['seconds']:.3f} s without start-up"
        )
    report = reports["warm"]
    print(
        f"files of a lock file, judged twice as {2 * len(pins)} packages: {report['locked_wheels']:.0f} wheels in "
        f"{report['locked_seconds'] * 1000:.0f} ms, no network"
    )
    print(f"cold / uv pip compile --no-deps: {cold / compile_:.2f}  (wanted: at most 2.5)")
    print(f"cold / uv reading the same pages: {cold / pages:.2f}")
    print(f"warm: {warm:.3f} s (wanted: at most 0.6 s for the whole command)")


def find_uv() -> str:
    from uv import find_uv_bin

    return os.fsdecode(find_uv_bin())


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command[:6])} failed:\n{done.stderr[-1000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
