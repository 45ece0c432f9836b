#!/usr/bin/env python3
"""Compare what `--reach` says about small real stacks with what importing them loads under free-threaded CPython.

    scripts/judge_reach.py [NAME...] [--stacks FILE] [--keep FOLDER] [--peers]

The default file is scripts/reach_stacks.toml: requirements, and the code of a module `app`. Each stack is installed
from wheels into an environment of its own (kept in FOLDER if that is given), the question is answered from the files
alone, and then `import app` runs. Prints a line for each stack, each wrong answer with its reason, and the sums:

  at start            loaded / named: wanted at least 99 %
  found               loaded modules that are "at start" or "at start, if": wanted at least 95 %
  no path found        loaded modules without an open site: wanted at most 0.5 % of those named

A stack with `work` is a workload: that function of `app` is called after the import, and the modules that it loads
must be in one of the first three classes (wanted: at least 98 % of those that turn the GIL on).

It exits with 1 if a loaded module is called unreached. `--peers` also runs `ruff analyze graph` and grimp.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import tomli

from ftaudit.model.reachability import ModuleReach, OpenKind, ReachAnswer, ReachClass, StartPoint
from ftaudit.reach.finder import Finder
from ftaudit.reach.folder_tree import FolderTree
from ftaudit.reach.run import ReachQuestion, find_reach
from ftaudit.source.python.parse import parse_module

ROOT = Path(__file__).resolve().parent.parent
LOADED = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("gilwatch", sys.argv[2])
gilwatch = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gilwatch)
guilty = []
gilwatch.Watch(lambda culprit: guilty.append(culprit.name)).start()
sys.path.insert(0, sys.argv[1])

def loaded():
    specs = [(name, getattr(module, "__spec__", None)) for name, module in list(sys.modules.items())]
    return [name for name, spec in specs if str(getattr(spec, "origin", "")).endswith(".so")]

at_start = []
try:
    import app
    at_start = loaded()
    if sys.argv[3]:
        getattr(app, sys.argv[3])()
except BaseException as error:
    print("failed:", type(error).__name__, error, file=sys.stderr)
print("\\0" + json.dumps({"start": at_start or loaded(), "all": loaded(), "guilty": guilty}))
"""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The extension modules that a run loaded."""

    start: frozenset[str] = frozenset()
    """Those that importing `app` loaded."""
    later: frozenset[str] = frozenset()
    """Those that the workload loaded after that."""
    guilty: frozenset[str] = frozenset()
    """Those that turned the GIL on, or would have."""
    printed: str = ""


@dataclass
class Sums:
    """The figures of all stacks."""

    said: Counter[ReachClass] = field(default_factory=Counter)
    loaded: Counter[ReachClass] = field(default_factory=Counter)
    later: Counter[ReachClass] = field(default_factory=Counter)
    """Modules that a workload loaded, by class."""
    guilty_start: Counter[ReachClass] = field(default_factory=Counter)
    guilty_later: Counter[ReachClass] = field(default_factory=Counter)
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


def run(source: Path, python: Path, work: str) -> Loaded:
    """Return the extension modules that importing `app`, and then calling `work`, loads."""
    command: list[str | Path] = [python, "-c", LOADED, source, ROOT / "auditor" / "ftaudit" / "gilwatch.py", work]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    printed = ran.stderr.strip()[-3000:]
    listed = ran.stdout.rpartition("\0")[2]
    if not listed.startswith("{"):
        return Loaded(printed=printed)
    found = {key: frozenset(names) for key, names in json.loads(listed).items()}
    return Loaded(start=found["start"], later=found["all"] - found["start"], guilty=found["guilty"], printed=printed)


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
        loaded = run(source, folder / "bin" / "python", str(stack.get("work", "")))
    by_name = {each.module: each for each in answer.modules}
    said = Counter(each.reached for each in answer.modules)
    hit = Counter(by_name[each].reached for each in loaded.start if each in by_name)
    later = Counter(by_name[each].reached for each in loaded.later if each in by_name)
    sums.said += said
    sums.loaded += hit
    sums.later += later
    sums.guilty_start += Counter(by_name[each].reached for each in loaded.start & loaded.guilty if each in by_name)
    sums.guilty_later += Counter(by_name[each].reached for each in loaded.later & loaded.guilty if each in by_name)
    sums.seconds.append(seconds)
    parts = [f"{kind.value} {hit[kind]}/{said[kind]}" for kind in ReachClass if said[kind]]
    parts += [f"work {kind.value} {later[kind]}" for kind in ReachClass if later[kind]]
    print(f"{name:20} {seconds:5.1f} s {answer.files:5} files  {', '.join(parts)}", flush=True)
    if "failed:" in loaded.printed:
        print(f"    {loaded.printed[loaded.printed.index('failed:') :][:300]}", flush=True)
    right = {ReachClass.START, ReachClass.START_IF}
    for when, names, accepted in (("", loaded.start, right), (" by work", loaded.later, {*right, ReachClass.RUN})):
        for each in sorted(names & by_name.keys()):
            found = by_name[each]
            if found.reached not in accepted:
                guilty = ", guilty" if each in loaded.guilty else ""
                text = f"{name}: {each}{guilty} was loaded{when}, and is `{found.reached.value}`"
                sums.wrong.append(f"{text}{_opens(found, answer)}")
                print(f"    {sums.wrong[-1]}", flush=True)
    for named in answer.modules:
        if named.reached is ReachClass.START and named.module not in loaded.start:
            way = " → ".join(f"{step.site.file}:{step.site.line}" for step in named.path)
            print(f"    {named.module} was not loaded, and is `start`: {way}", flush=True)


def _opens(found: ModuleReach, answer: ReachAnswer) -> str:
    computed = sum(site.kind is OpenKind.COMPUTED and not site.prefix and site.at_start for site in answer.open_sites)
    return f" ({len(found.open_sites)} open sites cover it, {computed} computed imports at start)"


GRIMP = """
import sys, grimp
sys.path[:0] = sys.argv[1:3]
names = [name for name in sys.argv[3:]]
graph = grimp.build_graph("app", *names, include_external_packages=True, cache_dir=None)
print(len(graph.modules))
"""


def peers(name: str, stack: dict[str, object], folder: Path) -> None:
    """Print what plain import graphs know of the same files: `ruff analyze graph` and grimp, if they are installed."""
    site = next(folder.glob("lib/python3.*/site-packages"), None)
    if site is None:
        return
    packages = sorted(path.parent.name for path in site.glob("*/__init__.py") if path.parent.name.isidentifier())
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "app").mkdir()
        (Path(scratch) / "app" / "__init__.py").write_text(str(stack["app"]))
        told = []
        for peer, command in (
            ("ruff analyze graph", ["ruff", "analyze", "graph", scratch, str(site)]),
            ("grimp", [sys.executable, "-c", GRIMP, scratch, str(site), *packages]),
        ):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            if ran.returncode:
                told.append(f"{peer} failed: {ran.stderr.strip().splitlines()[-1][:100] if ran.stderr else ''}")
            elif peer == "grimp":
                told.append(f"{peer} {seconds:.1f} s, {ran.stdout.strip()} modules")
            else:
                graph = json.loads(ran.stdout or "{}")
                natives = sum(file.endswith((".so", ".pyd")) for found in graph.values() for file in found)
                told.append(f"{peer} {seconds:.1f} s, {len(graph)} files, {natives} extension modules")
    print(f"    {'; '.join(told)}", flush=True)


def main() -> int:
    """Judge the stacks that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--stacks", type=Path, default=ROOT / "scripts" / "reach_stacks.toml", metavar="FILE")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--peers", action="store_true")
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
            if options.peers:
                peers(name, stacks[name], folder / name)
    start, maybe = sums.loaded[ReachClass.START], sums.loaded[ReachClass.START_IF]
    every, unreached = sum(sums.loaded.values()), sums.loaded[ReachClass.NONE]
    late = sum(sums.later.values())
    late_found = late - sums.later[ReachClass.NONE] - sums.later[ReachClass.UNSURE]
    guilty, guilty_late = sum(sums.guilty_start.values()), sum(sums.guilty_later.values())
    missed = guilty - sums.guilty_start[ReachClass.START] - sums.guilty_start[ReachClass.START_IF]
    guilty_found = guilty_late - sums.guilty_later[ReachClass.NONE] - sums.guilty_later[ReachClass.UNSURE]
    seconds = sorted(sums.seconds) or [0.0]
    print(f"{len(sums.seconds)} stacks, {sum(sums.said.values())} modules, {every} loaded")
    print(f"at start: {start} of {sums.said[ReachClass.START]} were loaded")
    print(f"found: {start + maybe} of {every} loaded modules are at start, or at start, if")
    print(f"no path found: {unreached} of {sums.said[ReachClass.NONE]} were loaded")
    print(f"guilty at start: {missed} of {guilty} missed")
    print(f"workloads: {late_found} of {late} modules are found, {guilty_found} of {guilty_late} guilty ones")
    print(f"processor time of one answer: median {seconds[len(seconds) // 2]:.1f} s, most {seconds[-1]:.1f} s")
    return bool(unreached or sums.later[ReachClass.NONE])


if __name__ == "__main__":
    sys.exit(main())
