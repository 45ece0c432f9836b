#!/usr/bin/env python3
"""Measures the site of a fleet: how long it takes to make, and how long its table takes to filter and sort.

scripts/bench_fleet_site.py [PACKAGES [PROJECTS [PINS]]]     default 8000 2000 150

It makes a data set without a meaning, and prints processor time, peak memory, files, and bytes. If Chromium and its
driver are here, it prints the milliseconds that the page's script takes to answer a key press and a click, and the
milliseconds until the browser has drawn the answer.
"""

from __future__ import annotations

import random
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.fleets import LINUX, Project, Release, write_fleet  # type: ignore[import-not-found]  # noqa: E402

from ftaudit.cli import main  # noqa: E402
from ftaudit.model import BLOCKING, Verdict  # noqa: E402

SHARES = {
    Verdict.READY: 32,
    Verdict.PURE: 45,
    Verdict.FALLBACK: 4,
    Verdict.REENABLES_GIL: 8,
    Verdict.SOURCE_ONLY: 5,
    Verdict.UNAVAILABLE: 2,
    Verdict.BROKEN: 1,
    Verdict.UNKNOWN: 3,
}
KINDS = {
    Verdict.PURE: "pure",
    Verdict.FALLBACK: "pure",
    Verdict.SOURCE_ONLY: "none",
    Verdict.UNAVAILABLE: "none",
}
UNTIL_DRAWN = """
    const [done, act] = [arguments[arguments.length - 1], new Function(arguments[0])];
    const start = performance.now();
    act();
    const spent = performance.now() - start;
    requestAnimationFrame(() => setTimeout(() => done([spent, performance.now() - start])));
"""
TYPED = "const f = document.querySelector('.f-text'); f.value = '{}'; f.dispatchEvent(new Event('input'))"
STEPS = {
    "a letter in the filter": TYPED.format("e-7"),
    "the filter emptied": TYPED.format(""),
    "sorted by a number": "document.querySelector('th.number button').click()",
    "sorted by name": "document.querySelector('th button').click()",
}


def make(folder: Path, packages: int, projects: int, pins: int) -> None:
    """Write a data set in which few packages are pinned by many projects, as in real fleets."""
    chance = random.Random(7)
    releases = []
    for number in range(packages):
        (verdict,) = chance.choices(list(SHARES), weights=list(SHARES.values()))
        fix = "9.0" if verdict in BLOCKING and chance.random() < 0.5 else None
        guilty = (f"package_{number}._core",) if verdict is Verdict.REENABLES_GIL else ()
        kind = KINDS.get(verdict, "free-threaded")
        releases.append(Release(name=f"package-{number}", verdict=verdict, fix=fix, guilty=guilty, kind=kind))
    weights = [1 / (number + 3) for number in range(packages)]
    made = [
        Project(id=f"team/repository-{number}", pins=tuple(dict.fromkeys(chance.choices(releases, weights, k=pins))))
        for number in range(projects)
    ]
    write_fleet(folder, releases, made, platforms=(LINUX,))


def measure_browser(site: Path) -> None:
    """Print how long each step takes in the table of all packages."""
    import pytest
    from support.browser import open_browser  # type: ignore[import-not-found]

    try:
        with tempfile.TemporaryDirectory() as scratch, open_browser(Path(scratch)) as browser:
            for width in (1280, 360):
                browser.tell(
                    "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
                )
                for step, script in STEPS.items():
                    browser.driver.get((site / "packages.html").as_uri())
                    taken = [browser.driver.execute_async_script(UNTIL_DRAWN, script) for _ in range(7)]
                    script_time, drawn = (statistics.median(each) for each in zip(*taken, strict=True))
                    print(f"browser, {width} pixels: {step:<24} script {script_time:4.0f} ms, drawn {drawn:4.0f} ms")
    except pytest.skip.Exception as reason:
        print(f"browser: {reason}")


def run(packages: int, projects: int, pins: int) -> None:
    """Make the data set and the site, and print the figures."""
    with tempfile.TemporaryDirectory() as scratch:
        data, site = Path(scratch) / "run", Path(scratch) / "site"
        make(data, packages, projects, pins)
        before = time.process_time()
        code = main(["fleet", "report", "--quiet", str(data), "-o", str(site)])
        spent = time.process_time() - before
        files = [path for path in site.rglob("*") if path.is_file()]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{packages:,} packages, {projects:,} projects of {pins} pins: exit code {code}")
        print(f"site: {spent:.1f} s of processor time, {peak:.0f} MiB at most (with the making of the data set)")
        print(f"site: {len(files):,} files, {sum(path.stat().st_size for path in files) / 1e6:.0f} MB")
        print(f"packages.html: {(site / 'packages.html').stat().st_size / 1e6:.1f} MB")
        measure_browser(site)


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    run(*(given + [8000, 2000, 150][len(given) :]))
