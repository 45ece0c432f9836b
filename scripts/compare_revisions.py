#!/usr/bin/env python3
"""Times the same commands with this tree and with an earlier revision of ftaudit, in turn.

    scripts/compare_revisions.py REVISION [--runs 5] [--tree FOLDER] [--wheel FILE] [--requirements FILE] [NAME...]

Each revision is installed from a clone into an environment of its own, with the same versions of its dependencies.
Prints the median processor time of both (the command and its children), and the median of the ratios of the pairs:
a busy machine changes both runs of a pair. A cold command has an empty cache folder for each run. The exit status is 1
if a command takes more than `--limit` times as long as before.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "fixtures" / "lockfiles" / "stack" / "uv.lock"
BLOCKED = ROOT / "fixtures" / "requirements" / "blocked.txt"


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command that both revisions know."""

    name: str
    arguments: tuple[str, ...]
    cold: bool = False
    cached: bool = True
    """Whether it takes a folder for its cache."""


def install(source: Path, folder: Path) -> Path:
    """Install ftaudit from a tree into a new environment; return the interpreter."""
    constraints = ROOT / "scripts" / "constraints.txt"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, folder], check=True)
    pip: list[str | Path] = [
        "uv",
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",
        "--python",
        folder,
        "-c",
        constraints,
    ]
    subprocess.run([*pip, f"{source}[all]"], check=True)
    return folder / "bin" / "python"


def clone(revision: str, folder: Path) -> Path:
    """Return a tree with the files of a revision."""
    subprocess.run(["git", "clone", "--quiet", "--shared", "--no-checkout", ROOT, folder], check=True)
    subprocess.run(["git", "-C", folder, "checkout", "--quiet", "--detach", revision], check=True)
    return folder


def processor_seconds(python: Path, command: Command, cache: Path) -> float:
    """Run a command once; return its processor time with that of its children, in seconds."""
    where = ["--cache-dir", str(cache)] if command.cached else []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        [python, "-m", "ftaudit", *command.arguments, *where],
        capture_output=True,
        text=True,
        check=False,
        cwd=cache.parent,
        env={**os.environ, "NO_COLOR": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ran.returncode not in (0, 1, 3):
        raise SystemExit(f"{command.name}: exit status {ran.returncode}: {ran.stderr.strip()[-300:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def commands(options: argparse.Namespace) -> list[Command]:
    """Return the commands to compare."""
    static = ("check", "--static", "--quiet", "--format", "json")
    found = [
        Command(name="version", arguments=("--version",), cached=False),
        Command(name="check, lock, offline", arguments=(*static, "--offline", str(LOCK))),
        Command(name="check, warm", arguments=(*static, str(options.requirements))),
        Command(name="check, cold", arguments=(*static, str(options.requirements)), cold=True),
        Command(name="plan, warm", arguments=("plan", "--static", "--quiet", str(BLOCKED))),
    ]
    if options.tree:
        found += [
            Command(name="scan, cold", arguments=("scan", "--quiet", str(options.tree)), cold=True),
            Command(name="scan, warm", arguments=("scan", "--quiet", str(options.tree))),
        ]
    if options.wheel:
        found.append(Command(name="wheel, cold", arguments=("wheel", "--static", str(options.wheel)), cold=True))
    return [each for each in found if not options.names or each.name in options.names]


def compare(command: Command, pythons: tuple[Path, Path], folder: Path, runs: int) -> float:
    """Print one line; return the ratio of this tree's time to the earlier revision's."""

    def once(number: int) -> float:
        cache = folder / f"cache-{number}"
        if command.cold:
            shutil.rmtree(cache, ignore_errors=True)
        return processor_seconds(pythons[number], command, cache)

    if not command.cold:
        for number in range(len(pythons)):
            once(number)
    pairs = [(once(0), once(1)) for _ in range(runs)]
    ratio = statistics.median(now / before for now, before in pairs)
    now, before = (statistics.median(pair[number] for pair in pairs) for number in range(2))
    print(f"{command.name:24} {now:8.2f} s   before {before:8.2f} s   ratio {ratio:5.2f}", flush=True)
    return ratio


def main() -> int:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these commands, `check, warm` for example")
    parser.add_argument("--requirements", type=Path, default=BLOCKED)
    parser.add_argument("--tree", type=Path)
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--limit", type=float, default=1.1)
    options = parser.parse_args()
    for name in ("requirements", "tree", "wheel"):
        path: Path | None = getattr(options, name)
        setattr(options, name, path and path.resolve())
    with tempfile.TemporaryDirectory(prefix="compare-revisions-") as scratch:
        folder = Path(scratch)
        earlier = clone(options.revision, folder / "earlier")
        pythons = install(ROOT, folder / "now-venv"), install(earlier, folder / "earlier-venv")
        ratios = [compare(each, pythons, folder, options.runs) for each in commands(options)]
    return int(any(ratio > options.limit for ratio in ratios))


if __name__ == "__main__":
    sys.exit(main())
