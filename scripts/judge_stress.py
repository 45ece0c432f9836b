#!/usr/bin/env python3
"""The findings of `ftaudit stress`: in planted races and their fixed twins, and in the named packages.

scripts/judge_stress.py --fixtures [--budget S]
scripts/judge_stress.py NAME==VERSION... [--budget S]     pure-Python packages must have 0 failures
scripts/judge_stress.py --list FILE [--most N]            a list of one NAME==VERSION a line

Prints one line for each package: failures, each with its runs without and with the GIL, calls and processor time. The
sums are at the end. It exits with 1 if a fixed twin or a pure-Python package has a failure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def stress(name: str, budget: float) -> dict[str, Any] | None:
    """Return the JSON row of one package; `None` if ftaudit could not judge it."""
    command = [sys.executable, "-m", "ftaudit", "stress", name, "--budget", f"{budget:g}", "--format", "json", "-q"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = json.loads(ran.stdout)["packages"] if ran.returncode in (0, 1, 3) and ran.stdout else []
    return rows[0] if rows else None


def told(name: str, stress: dict[str, Any]) -> int:
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


def judge_packages(names: list[str], budget: float) -> int:
    """Judge packages; return how many pure-Python ones have a failure."""
    failing = wrong = 0
    for name in names:
        row = stress(name, budget)
        if row is None:
            print(f"{name}: not judged", flush=True)
            continue
        failures = told(f"{name} {row['verdict']}", row["evidence"]["stress"])
        failing += bool(failures)
        wrong += bool(failures) and row["verdict"] == "pure"
    print(f"{len(names)} packages, {failing} with a failure, {wrong} pure-Python ones among them")
    return wrong


def judge_fixtures(budget: float) -> int:
    """Judge the planted races; return how many fixed twins have a failure."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.freethreaded import interpreter  # type: ignore[import-not-found]
    from support.races import NAMES, race_wheel  # type: ignore[import-not-found]

    from ftaudit.report.package.check_json import stress_as_dict
    from ftaudit.sandbox import SandboxSettings
    from ftaudit.stress.distributions import stress_distributions
    from ftaudit.stress.stress_settings import StressSettings

    found = wrong = 0
    for name in NAMES:
        for fixed in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                wheel = race_wheel(Path(folder), name, fixed=fixed)
                sandbox = SandboxSettings(cache_dir=Path(folder) / "cache", offline=True)
                facts = stress_distributions(
                    interpreter(), [wheel], sandbox=sandbox, stress=StressSettings(budget=budget)
                )[wheel.name]
            failures = told(f"{name}{' (fixed)' if fixed else ''}", stress_as_dict(facts))
            found += bool(failures) and not fixed
            wrong += bool(failures) and fixed
    print(f"found {found} of {len(NAMES)}, {wrong} of {len(NAMES)} fixed twins with a failure")
    return wrong


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME==VERSION")
    parser.add_argument("--list", type=Path, metavar="FILE")
    parser.add_argument("--most", type=int, default=1000, metavar="N")
    parser.add_argument("--fixtures", action="store_true")
    parser.add_argument("--budget", type=float, default=20.0, metavar="S")
    options = parser.parse_args()
    names = list(options.names)
    if options.list is not None:
        lines = (line.partition("#")[0].strip() for line in options.list.read_text("utf-8").splitlines())
        names += [line for line in lines if line]
    wrong = judge_fixtures(options.budget) if options.fixtures else 0
    if names:
        wrong += judge_packages(names[: options.most], options.budget)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
