#!/usr/bin/env python3
"""The findings of `ftaudit stress`: in planted races and their fixed twins, in packages, and around known fixes.

scripts/judge_stress.py --fixtures [--budget S]
scripts/judge_stress.py NAME==VERSION... [--budget S]     pure-Python packages must have 0 failures
scripts/judge_stress.py --list FILE [--most N]            a list of one NAME==VERSION a line
scripts/judge_stress.py --fixes scripts/stress_fixes.csv  found before the fix, quiet after it

Prints one line for each package: failures, each with its runs without and with the GIL, calls and processor time. With
`--alone N`, the script of each failure also runs N times by itself, under the interpreter and nothing else: that runs
the package outside the sandbox. The sums are at the end. It exits with 1 if a fixed twin or a pure-Python package has a
failure, or a script fails after the fix.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ftaudit.processes import find_uv

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
SECONDS = 60.0
"""Wall time of one run of a script, after which it counts as a hang."""
AFTER = 20
"""Runs of a script after the fix."""


def stress(name: str, budget: float, report: Path | None = None) -> dict[str, Any] | None:
    """Return the JSON row of one package; `None` if ftaudit could not judge it. Scripts go to the folder `report`."""
    command = [sys.executable, "-m", "ftaudit", "stress", name, "--budget", f"{budget:g}", "--format", "json", "-q"]
    command += ["--report", str(report)] if report is not None else []
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = json.loads(ran.stdout)["packages"] if ran.returncode in (0, 1, 3) and ran.stdout else []
    return rows[0] if rows else None


def print_row(name: str, stress: dict[str, Any]) -> int:
    """Print one package; return how many failures it has."""
    driven = sum(each["driven"] for each in stress["callables"])
    coverage = (
        f"{driven}/{len(stress['callables'])} callables, {stress['calls']:,} calls, {stress['cpu_seconds']:.0f} s"
    )
    print(f"{name}: {len(stress['failures'])} failures ({coverage})", stress["reason"] or "")
    for failure in stress["failures"]:
        runs = f"{failure['failed']}/{failure['tries']} without, {failure['failed_with_gil']}/{failure['tries']} with"
        print(f"    {failure['kind']}: {failure['target']}: {' | '.join(failure['operations'])} ({runs})", flush=True)
    return len(stress["failures"])


def interpreter() -> str:
    """Return the path of the free-threaded interpreter that the tests use."""
    from support import freethreaded  # type: ignore[import-not-found]

    path: str = freethreaded.interpreter().path
    return path


def install(requirement: str, folder: Path) -> Path:
    """Return the interpreter of a new environment with one package in it."""
    uv, python = str(find_uv()), folder / "bin" / "python"
    subprocess.run([uv, "venv", "-q", "--python", interpreter(), str(folder)], check=True, capture_output=True)
    options = ["-q", "--only-binary", ":all:", "--python", str(python)]
    subprocess.run([uv, "pip", "install", *options, requirement], check=True, capture_output=True)
    return python


def failures_alone(python: Path, script: Path, runs: int) -> int:
    """Return in how many runs a script fails by itself."""
    failed = 0
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            try:
                ran = subprocess.run([python, script], capture_output=True, cwd=folder, timeout=SECONDS, check=False)
            except subprocess.TimeoutExpired:
                failed += 1
            else:
                failed += ran.returncode != 0
    return failed


def judge_packages(names: list[str], budget: float, alone: int) -> int:
    """Judge packages; return how many pure-Python ones have a failure."""
    failing = wrong = scripts = reproduced = 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "scripts"
            row = stress(name, budget, report)
            if row is None:
                print(f"{name}: not judged", flush=True)
                continue
            failures = print_row(f"{name} {row['verdict']}", row["evidence"]["stress"])
            failing += bool(failures)
            wrong += bool(failures) and row["verdict"] == "pure"
            if failures and alone:
                python = install(f"{row['name']}=={row['version']}", Path(folder) / "venv")
                for script in sorted(report.glob("*.py")):
                    failed = failures_alone(python, script, alone)
                    scripts, reproduced = scripts + 1, reproduced + (2 * failed > alone)
                    print(f"    {script.name} by itself: {failed}/{alone}", flush=True)
    print(f"{len(names)} packages, {failing} with a failure, {wrong} pure-Python ones among them")
    if alone:
        print(f"{scripts} scripts, {reproduced} fail by themselves in most of {alone} runs")
    return wrong


def judge_fixes(file: Path, budget: float) -> int:
    """Judge releases before and after a known fix; return how many scripts fail after it."""
    rows = list(csv.DictReader(file.read_text("utf-8").splitlines()))
    found = wrong = 0
    for each in rows:
        name = each["name"]
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "scripts"
            row = stress(f"{name}=={each['before']}", budget, report)
            if row is None:
                print(f"{name}=={each['before']}: not judged", flush=True)
                continue
            found += bool(print_row(f"{name}=={each['before']}", row["evidence"]["stress"]))
            if not report.is_dir():
                continue
            before = install(f"{name}=={each['before']}", Path(folder) / "before")
            after = install(f"{name}=={each['after']}", Path(folder) / "after")
            for script in sorted(report.glob("*.py")):
                failed, then = failures_alone(before, script, 5), failures_alone(after, script, AFTER)
                wrong += bool(then)
                print(f"    {script.name}: {failed}/5 before, {then}/{AFTER} with {each['after']}", flush=True)
    print(f"{len(rows)} fixes, {found} with a failure before; {wrong} scripts fail after the fix")
    return wrong


def judge_fixtures(budget: float, races: Path | None) -> int:
    """Judge the planted races; return how many fixed twins have a failure."""
    from support.freethreaded import interpreter as found_interpreter  # type: ignore[import-not-found]
    from support.races import RACES, race_wheel  # type: ignore[import-not-found]

    from ftaudit.report.package.check_json import stress_as_dict
    from ftaudit.sandbox import SandboxSettings
    from ftaudit.stress.distributions import stress_distributions
    from ftaudit.stress.stress_settings import StressSettings

    found = wrong = 0
    names = sorted(path.stem for path in (races or RACES).glob("*.c"))
    for name in names:
        for fixed in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                wheel = race_wheel(Path(folder), name, fixed=fixed, races=races or RACES)
                sandbox = SandboxSettings(cache_dir=Path(folder) / "cache", offline=True)
                facts = stress_distributions(
                    found_interpreter(), [wheel], sandbox=sandbox, stress=StressSettings(budget=budget)
                )[wheel.name]
            failures = print_row(f"{name}{' (fixed)' if fixed else ''}", stress_as_dict(facts))
            found += bool(failures) and not fixed
            wrong += bool(failures) and fixed
    print(f"found {found} of {len(names)}, {wrong} of {len(names)} fixed twins with a failure")
    return wrong


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME==VERSION")
    parser.add_argument("--list", type=Path, metavar="FILE")
    parser.add_argument("--most", type=int, default=1000, metavar="N")
    parser.add_argument("--fixtures", action="store_true")
    parser.add_argument("--races", type=Path, metavar="FOLDER", help="a folder of other planted races")
    parser.add_argument("--fixes", type=Path, metavar="FILE", help="a CSV file: name, before, after, fix")
    parser.add_argument("--alone", type=int, default=0, metavar="N", help="run each script N times by itself")
    parser.add_argument("--budget", type=float, default=20.0, metavar="S")
    options = parser.parse_args()
    names = list(options.names)
    if options.list is not None:
        lines = (line.partition("#")[0].strip() for line in options.list.read_text("utf-8").splitlines())
        names += [line for line in lines if line]
    wrong = judge_fixtures(options.budget, options.races) if options.fixtures else 0
    if options.fixes is not None:
        wrong += judge_fixes(options.fixes, options.budget)
    if names:
        wrong += judge_packages(names[: options.most], options.budget, options.alone)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
