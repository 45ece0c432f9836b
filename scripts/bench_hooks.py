#!/usr/bin/env python3
"""Measures the wait at a commit: the commands of the hooks, including start-up, as pre-commit runs them.

    scripts/bench_hooks.py [--packages 100] [--files 10] [--runs 7]

`ftaudit-check` on a uv.lock of so many packages, half of which have compiled wheels that an earlier run has read, and
`ftaudit-scan` of so many changed files in a project of 200; both warm. Medians of wall time and of CPU time (of the
children, user and system), next to the limit and a bare `python -c pass` of the same run.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PLATFORM = "manylinux_2_17_x86_64"
LIMIT = 1.0
"""Seconds that a commit may wait for each hook."""
CODE = """\
import threading

_lock = threading.Lock()
_known = {{}}


def get_{n}(key):
    with _lock:
        return _known.setdefault(key, {n})
"""


def command_of(hook: str) -> list[str]:
    """Return the command that pre-commit runs, without the files."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    (found,) = [each for each in hooks if each["id"] == hook]
    _, *arguments = shlex.split(found["entry"])
    return [sys.executable, "-m", "ftaudit", *arguments, *found.get("args", ())]


def write_lock(folder: Path, packages: int) -> None:
    """Write a lock file with its packages as wheels in the same folder: pure ones and ones with an extension module."""
    image = min((ROOT / "fixtures" / "binaries" / "linux-x86_64").rglob("*not_used*.so"))
    entries, needs = [], []
    for number in range(packages):
        name = f"package-{number}"
        needs.append(f'    {{ name = "{name}" }},')
        compiled = number % 2 == 0
        tag = f"cp314-cp314t-{PLATFORM}" if compiled else "py3-none-any"
        wheel = folder / f"package_{number}-1.0-{tag}.whl"
        wheel.write_bytes(make_wheel(number, image.read_bytes() if compiled else None, image.name, tag))
        files = [wheel.name, *(f"package_{number}-1.0-cp3{minor}-cp3{minor}-{PLATFORM}.whl" for minor in range(10, 20))]
        listed = "\n".join(f'    {{ url = "{(folder / each).as_uri()}", size = 1000 }},' for each in files)
        entries.append(
            f'[[package]]\nname = "{name}"\nversion = "1.0"\n'
            f'source = {{ registry = "https://index.example/simple" }}\nwheels = [\n{listed}\n]\n'
        )
    own = '[[package]]\nname = "app"\nversion = "0"\nsource = { virtual = "." }\ndependencies = [\n'
    text = 'version = 1\nrequires-python = ">=3.10"\n\n' + own + "\n".join(needs) + "\n]\n\n" + "\n".join(entries)
    (folder / "uv.lock").write_text(text)


def make_wheel(number: int, image: bytes | None, module: str, tag: str) -> bytes:
    """Return a small wheel."""
    buffer = io.BytesIO()
    info = f"package_{number}-1.0.dist-info"
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"package_{number}/__init__.py", "")
        if image is not None:
            archive.writestr(f"package_{number}/{module}", image)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.2\nName: package-{number}\nVersion: 1.0\n\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return buffer.getvalue()


def write_project(folder: Path, files: int) -> list[str]:
    """Write a project of 200 modules; return the paths of as many of them as changed."""
    (folder / "pyproject.toml").write_text('[project]\nname = "app"\nversion = "0"\n')
    (folder / "app").mkdir()
    for number in range(200):
        (folder / "app" / f"module_{number}.py").write_text(CODE.format(n=number) * 20)
    return [f"app/module_{number}.py" for number in range(files)]


def run(command: Sequence[str], folder: Path, environment: dict[str, str]) -> tuple[float, float, str]:
    """Run a command; return wall time, CPU time and the last line of its output."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode not in (0, 1):
        raise SystemExit(f"{shlex.join(command)}\n{done.stdout}{done.stderr}")
    return wall, cpu, (done.stdout.splitlines() or [""])[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=100)
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    missed = 0

    def tell(title: str, command: Sequence[str], folder: Path, limit: float | None) -> None:
        nonlocal missed
        measured = [run(command, folder, environment) for _ in range(options.runs)]
        wall = statistics.median(each[0] for each in measured)
        cpu = statistics.median(each[1] for each in measured)
        missed += limit is not None and wall > limit
        wanted = "" if limit is None else f"  (wanted: at most {limit:.1f} s)"
        print(f"{title:38} {wall:6.3f} s wall {cpu:6.3f} s CPU{wanted}  {measured[-1][2]}")

    with tempfile.TemporaryDirectory(prefix="ftaudit-bench-") as name:
        folder = Path(name)
        environment = os.environ | {"FTAUDIT_CACHE_DIR": f"{name}/cache"}
        locked, project = folder / "locked", folder / "project"
        for each in (locked, project):
            each.mkdir()
        write_lock(locked, options.packages)
        changed = write_project(project, options.files)
        check = [*command_of("ftaudit-check"), "uv.lock"]
        scan = [*command_of("ftaudit-scan"), *changed]
        for command, where in ((check, locked), (scan, project)):
            wall, cpu, _ = run(command, where, environment)
            print(f"{'cold: ' + command[3]:38} {wall:6.3f} s wall {cpu:6.3f} s CPU")
        tell("python -c pass", [sys.executable, "-c", "pass"], folder, None)
        tell(f"ftaudit-check, {options.packages} packages", check, locked, LIMIT)
        tell(f"ftaudit-scan, {options.files} changed of 200", scan, project, LIMIT)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
