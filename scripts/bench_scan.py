#!/usr/bin/env python3
"""Time the scan of a source tree against a bare parse of the same files and, if installed, `threadcheck scan`.

    scripts/bench_scan.py TREE [--runs N]        (TREE: an unpacked sdist, or NAME==VERSION to fetch one)

Prints medians: the whole command, cold and with a warm cache, with the processor time that it took; `ast.parse` and
`libcst.parse_module` of the same Python files in one process; and for C, the scan's rate on one core.
"""

from __future__ import annotations

import argparse
import ast
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path


def command(arguments: list[str], runs: int, **environment: str) -> tuple[float, float]:
    """Return the medians of the wall time and the processor time of a command, in seconds."""
    walls, processors = [], []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        subprocess.run(
            arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environment}
        )
        walls.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processors.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(walls), statistics.median(processors)


def row(what: str, seconds: float, note: str = "") -> None:
    print(f"{what:46}{seconds:8.2f} s   {note}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--libcst", type=int, default=1_000_000, metavar="BYTES", help="of Python for libcst (it is slow)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(options.tree)
        if "==" in options.tree:
            tree = fetch(options.tree, Path(scratch))
        files = sorted(path for path in tree.rglob("*.py") if path.is_file())
        texts = [path.read_bytes() for path in files]
        size = sum(map(len, texts))
        lines = sum(text.count(b"\n") for text in texts)
        print(
            f"{tree}: {len(files)} Python files, {lines:,} lines, {size / 1e6:.1f} MB; load {os.getloadavg()[0]:.1f}\n"
        )

        ftaudit = shutil.which("ftaudit", path=str(Path(sys.executable).parent)) or "ftaudit"
        scan = [ftaudit, "scan", str(tree), "--include-tests", "--include-vendored", "--quiet", "--format", "json"]
        wall, processor = command([*scan, "--no-cache"], options.runs)
        row("ftaudit scan, cold", wall, f"{processor:.2f} s of processor, {size / 1e6 / processor:.1f} MB/s a core")
        cache = {"FTAUDIT_CACHE_DIR": str(Path(scratch) / "cache")}
        command(scan, 1, **cache)
        wall, processor = command(scan, options.runs, **cache)
        row("ftaudit scan, nothing changed", wall, f"{processor:.2f} s of processor")
        threadcheck = shutil.which("threadcheck", path=str(Path(sys.executable).parent)) or shutil.which("threadcheck")
        if threadcheck:
            wall, processor = command([threadcheck, "scan", str(tree)], options.runs)
            row("threadcheck scan", wall, f"{processor:.2f} s of processor")
        else:
            print("threadcheck scan                              (not installed here)")
        parse(texts, options.libcst)
    return 0


def parse(texts: list[bytes], budget: int) -> None:
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    for text in texts:
        ast_or_nothing(text)
    row("ast.parse of the same files, one process", time.perf_counter() - start)
    import libcst

    some: list[bytes] = []
    for text in texts:
        if sum(map(len, some)) < budget:
            some.append(text)
    start = time.perf_counter()
    for text in some:
        try:
            libcst.parse_module(text)
        except libcst.ParserSyntaxError:
            continue
    took = time.perf_counter() - start
    share = sum(map(len, some)) / sum(map(len, texts))
    row("libcst.parse_module, one process", took / share, f"from {share:.0%} of the bytes, {took:.2f} s")


def ast_or_nothing(text: bytes) -> None:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return


def fetch(release: str, scratch: Path) -> Path:
    """Return the folder of a release's sdist, unpacked."""
    from ftaudit.engine.tiers.sdists import Sdists, parse_release
    from ftaudit.index.client import Index
    from ftaudit.index.index_settings import find_settings
    from ftaudit.settings import default_cache_dir
    from ftaudit.source.sdist import unpack

    named = parse_release(release)
    if named is None:
        raise SystemExit(f"{release} is not NAME==VERSION")
    cache = default_cache_dir()
    with Index(find_settings(env=os.environ, cache=cache)) as index:
        archive = Sdists(index, cache).fetch(named[0], named[1])
    unpack(archive, scratch)
    return next(path for path in scratch.iterdir() if path.is_dir())


if __name__ == "__main__":
    sys.exit(main())
