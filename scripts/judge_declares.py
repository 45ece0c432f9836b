#!/usr/bin/env python3
"""What `scan --diff` and `scan --declare` do to releases that declare nothing, used as a user does.

scripts/judge_declares.py                  the releases below (needs the index and a compiler; takes minutes)
scripts/judge_declares.py NAME==VERSION…   others, of any kind
scripts/judge_declares.py --budget S       processor time of each stress

For each release: unpack the sdist, count the edits of `--diff`, apply them, and ask for the declaration. Where it is
given, apply it, build a wheel for 3.14t, and ask again with `--declare --stress WHEEL`. Where findings refuse it, the
last column is the first of them. The build runs outside the sandbox: name releases that you trust.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

from ftaudit.engine.session import open_session
from ftaudit.engine.tiers.sdists import parse_release
from ftaudit.interpreters import find_interpreter
from ftaudit.processes import find_uv
from ftaudit.settings import Settings, default_cache_dir
from ftaudit.target import parse_target

RELEASES = {
    "lru-dict==1.3.0": "C",
    "rcssmin==1.2.1": "C, macro",
    "netifaces==0.11.0": "C, macro",
    "crc32c==2.4": "C",
    "fastrlock==0.8.3": "Cython",
    "editdistance==0.8.1": "Cython, C++",
    "mapbox-earcut==1.0.1": "pybind11",
}


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


def apply(tree: Path, diff: str, *, back: bool = False) -> bool:
    """Apply a diff, or take it `back`; return whether it fits."""
    command = ["git", "apply", "--unsafe-paths", *(["-R"] if back else []), "-"]
    data = diff.encode("utf-8", "surrogateescape")
    return subprocess.run(command, cwd=tree, input=data, capture_output=True, check=False).returncode == 0


def edits_of(tree: Path) -> str:
    """Return how many fixes the findings have: safe, suggested, and refused ones."""
    _, text, _ = scan(tree, "--format", "json")
    fixes = [each["fix"] for each in json.loads(text)["findings"] if each["fix"] is not None]
    count = Counter(fix["applicability"] or "refused" for fix in fixes)
    return f"{count['safe']}/{count['suggested']}/{count['refused']}"


def build(tree: Path, folder: Path) -> Path | str:
    """Return the wheel that the tree builds for 3.14t, or the last error in the log."""
    python = find_interpreter(parse_target("3.14t"), cache_dir=default_cache_dir()).path
    command = [str(find_uv()), "build", "--wheel", "--python", python, "--out-dir", str(folder / "dist"), str(tree)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list((folder / "dist").glob("*.whl"))
    errors = [line.strip() for line in ran.stderr.splitlines() if re.search(r"[Ee]rror: (?!Failed to build)", line)]
    return wheels[0] if wheels else (errors or ["no wheel"])[-1][:160]


def judge(release: str, budget: float, folder: Path) -> str:
    """Return the columns of a release."""
    tree = unpack(release, folder)
    edits = edits_of(tree)
    _, diff, _ = scan(tree, "--diff")
    applied = "no diff" if not diff.strip() else "applied" if apply(tree, diff) else "does not apply"
    code, declaration, message = scan(tree, "--declare")
    first = (message.strip().splitlines() or [""])[0].removeprefix("ftaudit: ")
    if code != 0:
        return f"{edits:9} {applied:14} {'refused':9} {'':9} {first}"
    if not apply(tree, declaration):
        return f"{edits:9} {applied:14} {'given':9} {'':9} the declaration does not apply"
    wheel = build(tree, folder)
    if not isinstance(wheel, Path):
        return f"{edits:9} {applied:14} {'given':9} {'no wheel':9} {wheel}"
    apply(tree, declaration, back=True)
    code, _, message = scan(tree, "--declare", "--stress", str(wheel), "--budget", f"{budget:g}")
    last = (message.strip().splitlines() or [""])[0].removeprefix("ftaudit: ")
    answer = {0: "earned", 1: "refused"}.get(code, f"exit {code}")
    return f"{edits:9} {applied:14} {'given':9} {answer:9} {last if code else ''}"


def main() -> None:
    """Print a row for each release."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", nargs="*", metavar="NAME==VERSION")
    parser.add_argument("--budget", type=float, default=20.0, metavar="S")
    options = parser.parse_args()
    print("edits: safe/suggested/refused")
    print(f"{'release':24} {'kind':12} {'edits':9} {'--diff':14} {'--declare':9} {'--stress':9} why")
    for release in options.releases or RELEASES:
        with tempfile.TemporaryDirectory() as folder:
            try:
                row = judge(release, options.budget, Path(folder))
            except Exception as error:  # A release that cannot be judged is a row, too.
                row = f"{type(error).__name__}: {error}"
        print(f"{release:24} {RELEASES.get(release, ''):12} {row}", flush=True)


if __name__ == "__main__":
    main()
