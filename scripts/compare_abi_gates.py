"""Compare `ftaudit wheel` with abi3audit on abi3 wheels, and with abi3t-doctor on abi3t wheels.

    compare_abi_gates.py --tools FOLDER [NAME...]

FOLDER is the `bin` of an environment with both tools (`pip install abi3audit abi3t-doctor`); each NAME is a project
whose newest release with such wheels is taken, of which those below `--megabytes` are fetched. One row for each wheel:
what ftaudit finds (FT212), and what the other tool reports. The exit status is 1 if they differ.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from ftaudit.engine.setup import open_index
from ftaudit.engine.wheels import audit_wheels
from ftaudit.model import DistributionFile
from ftaudit.settings import Settings

NAMES = (
    "argon2-cffi-bindings", "ast-serialize", "cryptography", "hypothesis", "mqt-core", "resvg-py", "bcrypt", "pynacl",
    "psutil", "tornado", "tokenizers", "safetensors", "rpds-py", "blake3", "cffi", "ruff", "pywin32-ctypes", "pyzmq",
    "nh3", "jiter", "watchfiles", "hf-xet", "y-py", "pydantic-core", "orjson", "zstandard", "pycryptodome", "polars",
)  # fmt: skip
"""Projects with wheels of either kind, and some without, which the script skips."""


def main() -> int:
    """Fetch, audit, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--tools", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=6.0)
    parser.add_argument("--each", type=int, default=8, help="wheels of one project and kind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheels = fetch(options.names, Path(folder), limit=int(options.megabytes * (1 << 20)), each=options.each)
        ours = audit(wheels)
        differ = 0
        for path in wheels:
            free_threaded = is_abi3t(path.name)
            other = ask_doctor(options.tools, path) if free_threaded else ask_abi3audit(options.tools, path)
            mine = sorted(ours.get(path.name, ()))
            same = bool(mine) == bool(other)
            differ += not same
            print(f"{'same  ' if same else 'DIFFER'} {path.name}")
            for text in mine if not same or mine else ():
                print(f"         ftaudit: {text[:300]}")
            for text in other:
                print(f"         {'abi3t-doctor' if free_threaded else 'abi3audit'}: {text[:300]}")
        kinds = Counter("abi3t" if is_abi3t(path.name) else "abi3" for path in wheels)
        print(f"{len(wheels)} wheels ({kinds['abi3t']} abi3t, {kinds['abi3']} abi3), {differ} judged differently")
    return 1 if differ else 0


def is_abi3t(name: str) -> bool:
    """Return whether a wheel's name claims `abi3t`."""
    return any(tag.abi == "abi3t" for tag in parse_wheel_filename(name)[3])


def fetch(names: tuple[str, ...], folder: Path, *, limit: int, each: int) -> list[Path]:
    """Return the fetched wheels of each project's newest release that has any for a stable ABI."""
    found: list[Path] = []
    with open_index(Settings()) as index:
        for name in names:
            project = index.find_project(canonicalize_name(name))
            files = next((kept for files in project.versions.values() if (kept := stable(files))), ())
            kinds: dict[bool, int] = defaultdict(int)
            for file in files:
                kind = is_abi3t(file.filename)
                if kinds[kind] >= each or file.url is None:
                    continue
                answer = index.session().get(file.url, timeout=60)
                if not answer.ok or len(answer.content) > limit:
                    continue
                kinds[kind] += 1
                path = folder / file.filename
                path.write_bytes(answer.content)
                found.append(path)
    return found


def stable(files: tuple[DistributionFile, ...]) -> tuple[DistributionFile, ...]:
    """Return the wheels for a stable ABI."""
    kept = []
    for file in files:
        try:
            tags = parse_wheel_filename(file.filename)[3]
        except InvalidWheelFilename:
            continue
        if any(tag.abi in ("abi3", "abi3t") for tag in tags):
            kept.append(file)
    return tuple(kept)


def audit(wheels: list[Path]) -> dict[str, set[str]]:
    """Return FT212's finding for each wheel, by its name."""
    report = audit_wheels([str(path) for path in wheels], Settings(target="3.15t"))
    found: dict[str, set[str]] = defaultdict(set)
    for row in report.packages:
        for finding in row.findings:
            if finding.code == "FT212" and row.facts.index.wheel is not None:
                found[row.facts.index.wheel.filename].add(finding.message)
    return found


def ask_abi3audit(tools: Path, path: Path) -> list[str]:
    """Return abi3audit's findings in a wheel."""
    ran = subprocess.run([tools / "abi3audit", "--report", path], capture_output=True, text=True, check=False)
    try:
        report: Any = json.loads(ran.stdout)
    except ValueError:
        return [f"no report: {ran.stderr.strip().splitlines()[-1:] or ran.returncode}"]
    told = []
    for spec in report["specs"].values():
        for wheel in spec.get("wheel", ()):
            told += [str(result) for result in wheel.get("results", ()) if result["result"].get("non_abi3_symbols")]
    return told or re.findall(r"'non_abi3_symbols': \[[^\]]+\]|'is_abi3_baseline_compatible': False", str(report))


def ask_doctor(tools: Path, path: Path) -> list[str]:
    """Return the errors that abi3t-doctor finds in a wheel."""
    command = [str(tools / "abi3t-doctor"), "wheel", "--format", "json", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        (report,) = json.loads(ran.stdout)
    except ValueError:
        return [f"no report: {ran.stderr.strip()[-200:]}"]
    return [str(finding) for finding in report["findings"]]


if __name__ == "__main__":
    sys.exit(main())
