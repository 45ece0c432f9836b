#!/usr/bin/env python3
"""Install ftaudit and its extras into empty environments: the size, the number of distributions, and the time.

Each row is one interpreter with one set of extras, installed by uv from wheels alone (`--only-binary :all:`), as
somebody without a compiler would. The wheels are in uv's cache after the first round; the time is that of the
second. `before` is what ftaudit required when the engines were no extras.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETS = {"core": "", "binary": "[binary]", "source": "[source]", "all": "[all]"}


def size(folder: Path) -> int:
    """Return the bytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def install(python: str, wheel: Path, extras: str, work: Path) -> tuple[str, str, str]:
    """Return the size, the number of distributions and the time of one installation, or what uv says."""
    venv = work / "venv"
    seconds = 0.0
    for _ in range(2):
        subprocess.run(["uv", "venv", "--quiet", "--clear", "--python", python, venv], check=True)
        command = ["uv", "pip", "install", "--quiet", "--only-binary", ":all:", "--link-mode", "copy"]
        start = time.monotonic()
        ran = subprocess.run(
            [*command, "--python", venv / "bin" / "python", f"ftaudit{extras} @ {wheel.as_uri()}"],
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - start
        if ran.returncode:
            lines = [line.strip() for line in ran.stderr.splitlines() if "no wheels" in line or "hint" in line]
            return "-", "-", f"fails: {' '.join(lines)[:150]}"
    count = len(list(venv.glob("lib/python*/site-packages/*.dist-info")))
    works = subprocess.run([venv / "bin" / "ftaudit", "--version"], capture_output=True, text=True, check=False)
    told = f"{seconds:.1f} s" + ("" if works.returncode == 0 else f", `ftaudit --version` fails: {works.stderr[-100:]}")
    return f"{size(venv) / 1e6:.0f} MB", str(count), told


def main() -> int:
    """Build the wheel, install it in every way, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="*", default=[sys.executable], metavar="PYTHON")
    parser.add_argument("--wheel", type=Path, help="this wheel, instead of one built from the tree")
    parser.add_argument("--sets", default=",".join(SETS), help="the extras, with commas: %(default)s")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        wheel = options.wheel
        if wheel is None:
            build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", name, str(ROOT)]
            subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
            (wheel,) = work.glob("*.whl")
        print(f"{'interpreter':44} {'extras':8} {'size':>8} {'dists':>6}  time")
        for python in options.pythons:
            for each in options.sets.split(","):
                told = install(python, wheel.resolve(), SETS[each], work)
                print(f"{python[-44:]:44} {each:8} {told[0]:>8} {told[1]:>6}  {told[2]}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
