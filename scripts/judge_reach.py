#!/usr/bin/env python3
"""Compare what `--reach` says about small real stacks with what importing them loads under free-threaded CPython.

    scripts/judge_reach.py [NAME...] [--stacks FILE] [--keep FOLDER] [--ruff]

The default file is scripts/reach_stacks.toml: requirements, and the code of a module `app`. Each stack is installed
from wheels into an environment of its own (kept in FOLDER if that is given), the question is answered from the files
alone, and then `import app` runs. Prints a line for each stack, each wrong answer with its reason, and the sums:

  at start            loaded / named: wanted at least 99 %
  found               loaded modules that are "at start" or "at start, if": wanted at least 95 %
  no way found        loaded modules without an open site: wanted at most 0.5 % of those named

It exits with 1 if a loaded module is called unreached. `--ruff` also runs `ruff analyze graph`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import tomli

from ftaudit.model.reachability import ModuleReach, OpenKind, ReachAnswer, ReachClass
from ftaudit.reach.finder import Finder
from ftaudit.reach.folder_tree import FolderTree
from ftaudit.reach.run import ReachQuestion, find_reach
from ftaudit.reach.starts import StartPoint
from ftaudit.source.python.parse import parse_module

ROOT = Path(__file__).resolve().parent.parent
LOADED = """
import sys
sys.path.insert(0, sys.argv[1])
try:
    import app
except BaseException as error:
    print("failed:", type(error).__name__, error, file=sys.stderr)
specs = [(name, getattr(module, "__spec__", None)) for name, module in list(sys.modules.items())]
names = [name for name, spec in specs if str(getattr(spec, "origin", "")).endswith(".so")]
import json
print("\\0" + json.dumps(names))
"""


@dataclass
class Sums:
    """The figures of all stacks."""

    said: Counter[ReachClass] = field(default_factory=Counter)
    loaded: Counter[ReachClass] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def install(requirements: list[str], folder: Path) -> Path | None:
    """Return the site-packages folder of an environment with the requirements; `None` if they have no wheels."""
    python = folder / "bin" / "python"
    if not (folder / "done").exists():
        interpreter = next(iter(sorted((Path.home() / ".cache/ftaudit/python").glob("3.14*t/bin/python3.14t"))), None)
        if interpreter is None:
            sys.exit("no free-threaded 3.14 interpreter: run `ftaudit python build 3.14t` first")
        subprocess.run(["uv", "venv", "-q", "--clear", "--python", interpreter, folder], check=True)
        command: list[str | Path] = [
            "uv",
            "pip",
            "install",
            "-q",
            "--only-binary",
            ":all:",
            "--python",
            python,
            *requirements,
        ]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            return None
        (folder / "done").touch()
    return next(folder.glob("lib/python3.*/site-packages"))


def ask(source: Path, site: Path) -> tuple[ReachAnswer, float]:
    """Return the answer for `app`, and its processor time."""
    trees = [FolderTree(name="src", root=source, own=True), FolderTree(name="site", root=site)]
    before = time.process_time()
    finder = Finder(trees=trees, version=(3, 14), sys_platform="linux")
    question = ReachQuestion(
        finder=finder,
        starts=[StartPoint(module="app", text="app")],
        platform="linux-x86_64",
        machine="x86_64",
        parse=parse_module,
    )
    return find_reach(question), time.process_time() - before


def run(source: Path, python: Path) -> tuple[frozenset[str], str]:
    """Return the extension modules that importing `app` loads, and what it prints."""
    ran = subprocess.run(
        [python, "-X", "gil=0", "-c", LOADED, source], capture_output=True, text=True, check=False, timeout=300
    )
    listed = ran.stdout.rpartition("\0")[2]
    return frozenset(json.loads(listed)) if listed.startswith("[") else frozenset(), ran.stderr.strip()[-300:]


def judge(name: str, stack: dict[str, object], folder: Path, sums: Sums) -> None:
    """Judge one stack, and print its line."""
    site = install(list(stack["requirements"]), folder)  # type: ignore[call-overload]
    if site is None:
        print(f"{name:20} has no wheels for 3.14t", flush=True)
        return
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch)
        (source / "app.py").write_text(str(stack["app"]))
        answer, seconds = ask(source, site)
        loaded, printed = run(source, folder / "bin" / "python")
    by_name = {each.module: each for each in answer.modules}
    said = Counter(each.reached for each in answer.modules)
    hit = Counter(by_name[each].reached for each in loaded if each in by_name)
    sums.said += said
    sums.loaded += hit
    sums.seconds.append(seconds)
    parts = [f"{kind.value} {hit[kind]}/{said[kind]}" for kind in ReachClass if said[kind]]
    print(f"{name:20} {seconds:5.1f} s {answer.files:5} files  {', '.join(parts)}", flush=True)
    if printed.startswith("failed:"):
        print(f"    import {printed}", flush=True)
    for each in sorted(loaded & by_name.keys()):
        found = by_name[each]
        if found.reached not in (ReachClass.START, ReachClass.START_IF):
            sums.wrong.append(f"{name}: {each} was loaded, and is `{found.reached.value}`{_opens(found, answer)}")
            print(f"    {sums.wrong[-1]}", flush=True)
    for named in answer.modules:
        if named.reached is ReachClass.START and named.module not in loaded:
            way = " → ".join(f"{step.site.file}:{step.site.line}" for step in named.path)
            print(f"    {named.module} was not loaded, and is `start`: {way}", flush=True)


def _opens(found: ModuleReach, answer: ReachAnswer) -> str:
    computed = sum(site.kind is OpenKind.COMPUTED and not site.prefix and site.at_start for site in answer.open_sites)
    return f" ({len(found.open_sites)} open sites cover it, {computed} computed imports at start)"


def ruff(folder: Path) -> None:
    """Print what a plain import graph knows of the same files."""
    before = time.perf_counter()
    ran = subprocess.run(["ruff", "analyze", "graph", folder], capture_output=True, text=True, check=False)
    graph = json.loads(ran.stdout or "{}")
    print(f"    ruff analyze graph: {time.perf_counter() - before:.1f} s, {len(graph)} files, 0 extension modules")


def main() -> int:
    """Judge the stacks that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--stacks", type=Path, default=ROOT / "scripts" / "reach_stacks.toml", metavar="FILE")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--ruff", action="store_true")
    options = parser.parse_args()
    stacks = tomli.loads(options.stacks.read_text("utf-8"))
    sums = Sums()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        for name in options.names or stacks:
            try:
                judge(name, stacks[name], folder / name, sums)
            except (OSError, subprocess.SubprocessError) as error:
                print(f"{name:20} not judged: {error}", flush=True)
            if options.ruff:
                ruff(folder / name)
    start, maybe = sums.loaded[ReachClass.START], sums.loaded[ReachClass.START_IF]
    every, unreached = sum(sums.loaded.values()), sums.loaded[ReachClass.NONE]
    seconds = sorted(sums.seconds) or [0.0]
    print(f"{len(sums.seconds)} stacks, {sum(sums.said.values())} modules, {every} loaded")
    print(f"at start: {start} of {sums.said[ReachClass.START]} were loaded")
    print(f"found: {start + maybe} of {every} loaded modules are at start, or at start, if")
    print(f"no way found: {unreached} of {sums.said[ReachClass.NONE]} were loaded")
    print(f"processor time of one answer: median {seconds[len(seconds) // 2]:.1f} s, most {seconds[-1]:.1f} s")
    return bool(unreached)


if __name__ == "__main__":
    sys.exit(main())
