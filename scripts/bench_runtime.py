"""Time the runtime tier on a requirements file against the bare sum of the same imports: `bench_runtime.py FILE`.

The file is audited once, which resolves it and makes the environment. Then, in turn, `--runs` times each: every
import within the sandbox, as `ftaudit check` does it; and the same imports without one, in one plain process per
distribution, one process after another. Prints medians; the target is 15 s on two cores for 350 modules.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import ftaudit
from ftaudit.engine.rows import INSTALLED_KINDS
from ftaudit.interpreters import provide_interpreter
from ftaudit.model import Interpreter, Report, RuntimeFacts, Status
from ftaudit.model.sentences import gap_phrase
from ftaudit.sandbox import SandboxSettings, WheelToImport, import_distributions
from ftaudit.sandbox.environment import open_environment
from ftaudit.settings import Settings
from ftaudit.target import parse_target

WANTED_SECONDS = 15.0

BARE = """
import site, sys
site.addsitedir(sys.argv[1])
for name in sys.argv[2:]:
    try:
        __import__(name)
    except BaseException:
        pass
"""


def main() -> int:
    """Measure and print; exit with 1 if the target time is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()

    audit = Settings()
    interpreter = provide_interpreter(parse_target(audit.target), cache_dir=audit.cache, progress=print)
    settings = SandboxSettings(cache_dir=audit.cache)
    wheels = wheels_of(ftaudit.audit(options.file, settings=audit))
    # Once without a clock: the environment is made, and the files come into the system's memory.
    facts = import_distributions(interpreter, wheels, settings=settings)
    with_sandbox, without = [], []
    for _ in range(options.runs):
        started = time.perf_counter()
        facts = import_distributions(interpreter, wheels, settings=settings)
        with_sandbox.append(time.perf_counter() - started)
        started = time.perf_counter()
        import_bare(interpreter, wheels, facts, settings)
        without.append(time.perf_counter() - started)

    rows = [module.runtime for found in facts.values() for module in found.modules]
    imported = sum(1 for row in rows if row is not None and row.imported)
    guilty = sum(1 for row in rows if row is not None and row.requires_gil)
    print(f"{interpreter.build}; {os.cpu_count()} cores, {settings.jobs} processes at a time")
    print(f"{len(facts)} distributions, {len(rows)} modules: {imported} imported, {guilty} require the GIL")
    for name, found in sorted(facts.items()):
        if found.status is not Status.DONE:
            print(f"  {name}: {found.reason and gap_phrase(found.reason)}")
    print(f"runtime tier (sandbox)   median {_told(with_sandbox)}   wanted <= {WANTED_SECONDS:g} s")
    print(f"bare sum of imports      median {_told(without)}   one process a distribution, one after another")
    return 0 if statistics.median(with_sandbox) <= WANTED_SECONDS else 1


def wheels_of(report: Report) -> list[WheelToImport]:
    """Return the wheels that the audit installed, and which of them it imported."""
    found = []
    for package in report.packages:
        pin, index = package.facts.pin, package.facts.index
        if index.wheel is None or index.wheel.url is None:
            continue
        found.append(
            WheelToImport(
                name=pin.name,
                version=str(pin.version),
                filename=index.wheel.filename,
                location=index.wheel.url,
                sha256=index.wheel.sha256,
                wanted=index.kind in INSTALLED_KINDS,
            )
        )
    return found


def import_bare(
    interpreter: Interpreter, wheels: list[WheelToImport], facts: dict[str, RuntimeFacts], settings: SandboxSettings
) -> None:
    """Import the same names with nothing around them."""
    with open_environment(interpreter, wheels, settings=settings, safe_to_link=True) as environment:
        for found in facts.values():
            names = [*(name for name, _ in found.toplevels), *(module.name for module in found.modules)]
            subprocess.run(
                [interpreter.path, "-I", "-S", "-c", BARE, environment.path, *names],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )


def _told(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):6.2f} s of {len(seconds)} runs ({min(seconds):.2f}–{max(seconds):.2f})"


if __name__ == "__main__":
    sys.exit(main())
