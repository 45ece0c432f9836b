#!/usr/bin/env python3
"""What `scan --diff` and `scan --declare` do to releases that declare nothing, used as a user does.

scripts/judge_fixes.py                  the releases below (needs the index and compilers; takes half an hour)
scripts/judge_fixes.py NAME==VERSION…   some of them, or others
scripts/judge_fixes.py --budget S       processor time of each stress
scripts/judge_fixes.py --with PYTHON    the Python with the GIL (default: the one that runs this)

For each release: unpack the sdist, count the fixes, apply `--diff`, and ask for the declaration. If findings refuse it,
accept them all, so that stress can say whether they were right. Then the original and the edited tree are built for
3.14t and for a Python with the GIL; the tests of the release run on both; and `--declare --stress WHEEL` judges the
wheel of the edited tree. `earned` means that stress found no failure. Builds and tests run outside the sandbox: name
releases that you trust.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ftaudit.engine.session import open_session
from ftaudit.engine.tiers.sdists import parse_release
from ftaudit.interpreters import find_interpreter
from ftaudit.judge.build_log import classify_log
from ftaudit.model import Obstacle
from ftaudit.processes import find_uv
from ftaudit.settings import Settings, default_cache_dir
from ftaudit.target import parse_target


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release, and how its tests are run."""

    kind: str
    tests: str = ""
    """Arguments of pytest, first the folder in the source tree; empty for a release without tests."""
    needs: tuple[str, ...] = ()
    """What the tests need beside pytest."""


RELEASES = {
    "wrapt==1.16.0": Release(kind="C single-phase", tests="tests", needs=("pytest<9",)),
    "lru-dict==1.3.0": Release(kind="C single-phase", tests="test"),
    "persistent==6.1.1": Release(kind="C single-phase", tests="--pyargs persistent", needs=("manuel",)),
    "zodbpickle==4.2": Release(kind="C single-phase", tests="--pyargs zodbpickle.tests"),
    "immutables==0.20": Release(kind="C single-phase", tests="tests --ignore tests/test_mypy.py"),
    "xxhash==3.4.1": Release(kind="C multi-phase", tests="tests"),
    "python-rapidjson==1.16": Release(kind="C++", tests="tests", needs=("pytz",)),
    "kiwisolver==1.4.5": Release(kind="C++", tests="py/tests"),
    "mapbox-earcut==1.0.1": Release(kind="pybind11"),
    "fastrlock==0.8.3": Release(kind="Cython, setup.py"),
    "frozenlist==1.4.1": Release(kind="Cython, pyproject", tests="tests"),
    "PyWavelets==1.6.0": Release(kind="Cython, meson", needs=("numpy",)),
    "argon2-cffi-bindings==21.2.0": Release(kind="cffi", tests="tests"),
    "apexpy==2.1.0": Release(kind="f2py, meson", tests="apexpy/tests", needs=("numpy",)),
    "box2d-py==2.3.8": Release(kind="SWIG"),
}
ACCEPT = '[[accept]]\nrule = "{}"\nreason = "to see what stress says"\n'
TESTS_SECONDS = 400


def unpack(release: str, folder: Path) -> Path:
    """Fetch the source distribution of a release, unpack it, and return its folder."""
    found = parse_release(release)
    if found is None:
        raise SystemExit(f"{release} is not NAME==VERSION")
    asked = folder / "requirements.txt"
    asked.write_text(f"{release}\n")
    with open_session([str(asked)], Settings(no_deps=True)) as session:
        path = session.sdists.fetch(*found)
    with tarfile.open(path) as archive:
        archive.extractall(folder / "source", filter="data")
    (tree,) = (folder / "source").iterdir()
    return tree


def scan(tree: Path, *options: str) -> tuple[int, str, str]:
    """Return the exit code of `ftaudit scan`, its output and its messages."""
    command = [sys.executable, "-m", "ftaudit", "scan", ".", "-q", *options]
    ran = subprocess.run(command, cwd=tree, capture_output=True, check=False)
    # Universal newlines would change the lines of files that end in \r\n.
    return ran.returncode, ran.stdout.decode("utf-8", "surrogateescape"), ran.stderr.decode("utf-8", "replace")


def apply(tree: Path, diff: str) -> bool:
    """Apply a diff; return whether it fits."""
    data = diff.encode("utf-8", "surrogateescape")
    command = ["git", "apply", "--unsafe-paths", "-"]
    return subprocess.run(command, cwd=tree, input=data, capture_output=True, check=False).returncode == 0


def kind_of(fix: dict[str, str] | None) -> str:
    """Return whether a finding has a safe fix, a suggested one, an obstacle, or a rule without fixes."""
    return "no rule" if fix is None else fix["applicability"] or f"refused: {fix['obstacle']}"


def findings_of(tree: Path) -> list[tuple[str, str]]:
    """Return the code of each finding in a tree, and the kind of its fix."""
    _, text, _ = scan(tree, "--format", "json")
    return [(finding["code"], kind_of(finding["fix"])) for finding in json.loads(text)["findings"]]


def build(tree: Path, python: str, folder: Path) -> Path | str:
    """Return the wheel that the tree builds, or the first error in the log."""
    copy = folder / "tree"
    shutil.copytree(tree, copy, symlinks=True)
    command = [str(find_uv()), "build", "--wheel", "--python", python, "--out-dir", str(folder / "dist"), str(copy)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list((folder / "dist").glob("*.whl"))
    return wheels[0] if wheels else (classify_log(ran.stderr).error or "no wheel")[:120]


def run_tests(tree: Path, wheel: Path, python: str, release: Release, folder: Path) -> str:
    """Return what pytest says of the wheel, in a virtual environment of its own and away from the source tree."""
    uv, place = str(find_uv()), folder / "venv"
    subprocess.run([uv, "venv", "-q", "--python", python, str(place)], check=True, capture_output=True)
    inner = str(place / "bin" / "python")
    wanted = [str(wheel), "pytest", *release.needs]
    made = subprocess.run([uv, "pip", "install", "-q", "--python", inner, *wanted], capture_output=True, check=False)
    if made.returncode:
        return "not installed"
    first, *options = release.tests.split()
    tests = folder / "tests"
    tests.mkdir()
    if not first.startswith("-"):
        shutil.copytree(tree / first, tests / Path(first).name)
    options = [each.replace(first, Path(first).name) for each in (first, *options)]
    command = [inner, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        ran = subprocess.run(
            command, cwd=tests, capture_output=True, text=True, check=False, timeout=TESTS_SECONDS, env=environment
        )
    except subprocess.TimeoutExpired:
        return "out of time"
    counts = re.findall(r"(\d+) (passed|failed|errors?)\b", ran.stdout[-400:])
    return " ".join(f"{count} {word}" for count, word in counts) or f"exit {ran.returncode}"


def build_and_test(tree: Path, python: str, release: Release, folder: Path) -> tuple[Path | str, str]:
    """Return the wheel that the tree builds, or an error, and a phrase with what its tests say."""
    folder.mkdir()
    wheel = build(tree, python, folder)
    if not isinstance(wheel, Path):
        return wheel, f"no wheel ({wheel})"
    return wheel, "built" + (f", {run_tests(tree, wheel, python, release, folder)}" if release.tests else "")


def without_places(text: str) -> str:
    """Return a message of a compiler without line and column, which an edit above moves."""
    return re.sub(r":\d+:\d+:", ":", text)


def judge(name: str, release: Release, pythons: dict[str, str], budget: float, folder: Path) -> Counter[str]:
    """Print what is found about a release, and return its fixes and answers to add up."""
    tree = unpack(name, folder)
    edited = folder / "edited" / tree.name
    shutil.copytree(tree, edited, symlinks=True)
    found = Counter(kind for _, kind in findings_of(tree))
    print(f"  fixes: {', '.join(f'{count} {kind}' for kind, count in sorted(found.items())) or 'no finding'}")
    _, diff, _ = scan(edited, "--diff")
    if diff.strip():
        print(f"  --diff: {'applied' if apply(edited, diff) else 'DOES NOT APPLY'}")
    code, declaration, message = scan(edited, "--declare")
    first = (message.strip().splitlines() or [""])[0].removeprefix("ftaudit: ")
    answer = "given" if declaration.strip() else "refused by findings" if code == 1 else "undetermined" if code else "-"
    print(f"  --declare: exit {code}, {answer}: {first[:110]}")
    found[f"declaration: {answer}"] += 1
    config = folder / "accept.toml"
    config.write_text("")
    if not declaration.strip():
        codes = {code for code, kind in findings_of(edited) if kind != f"refused: {Obstacle.NEEDS_DECLARE}"}
        config.write_text("".join(map(ACCEPT.format, sorted(codes))))
        _, declaration, message = scan(edited, "--declare", "--config", str(config))
    undeclared = folder / "undeclared" / tree.name
    shutil.copytree(edited, undeclared, symlinks=True)
    if declaration.strip() and not apply(edited, declaration):
        print("  --declare: DOES NOT APPLY")
    is_edited = bool(diff.strip() or declaration.strip())
    wheels: dict[str, Path | str] = {}
    for target, python in pythons.items():
        before = build_and_test(tree, python, release, folder / f"{target}-before")
        after = build_and_test(edited, python, release, folder / f"{target}-after") if is_edited else before
        wheels[target] = after[0]
        is_same = without_places(before[1]) == without_places(after[1])
        same = "as before" if is_same else f"BEFORE: {before[1]}"
        print(f"  {target}: {after[1]}; {same if is_edited else 'not edited'}")
        if is_edited:
            found[f"{target}: {'as before' if is_same else 'DIFFERENT'}"] += 1
    wheel = wheels["3.14t"]
    if declaration.strip() and isinstance(wheel, Path):
        options = ("--stress", str(wheel), "--budget", f"{budget:g}", "--config", str(config))
        code, _, message = scan(undeclared, "--declare", *options)
        told = {0: "earned", 1: "refused"}.get(code, f"exit {code}")
        lines = [line.removeprefix("ftaudit: ") for line in message.strip().splitlines()]
        print(f"  --stress: {told}: {next((line for line in lines if wheel.name in line), '')[:160]}")
        found[f"stress of a declaration {answer}: {told}"] += 1
    return found


def main() -> None:
    """Print what each release gets, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", nargs="*", metavar="NAME==VERSION")
    parser.add_argument("--budget", type=float, default=20.0, metavar="S")
    parser.add_argument("--with", dest="gil", default=sys.executable, metavar="PYTHON")
    options = parser.parse_args()
    free = find_interpreter(parse_target("3.14t"), cache_dir=default_cache_dir()).path
    total: Counter[str] = Counter()
    for name in options.releases or RELEASES:
        release = RELEASES.get(name, Release(kind=""))
        print(f"{name} ({release.kind})", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            try:
                total += judge(name, release, {"3.14t": free, "GIL": options.gil}, options.budget, Path(folder))
            except Exception as error:  # A release that cannot be judged is a row, too.
                print(f"  {type(error).__name__}: {error}")
        sys.stdout.flush()
    for kind, count in sorted(total.items()):
        print(f"{count:5} {kind}")


if __name__ == "__main__":
    main()
