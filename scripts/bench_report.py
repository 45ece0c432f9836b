#!/usr/bin/env python3
"""Measures the HTML report: its size, the time it takes to be written, and its first paint in a real Chromium.

    scripts/bench_report.py INPUT --scan PATH [--keep FILE] [--runs 9] [OPTION of ftaudit report …]

INPUT is a requirements or lock file, PATH a real source tree. The paints are those that Chromium itself reports
(Paint Timing), medians of fresh loads from disk, next to the target limits and a blank page of the same run.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.browser import Browser, open_browser  # type: ignore[import-not-found]

MOST_BYTES = 2_000_000
MOST_SECONDS = 1.0
BLANK = "<!doctype html><html lang=en><title>blank</title><body><p>blank</p></body></html>"

PAINT = """
    const done = arguments[0];
    const read = () => {
      const paints = performance.getEntriesByType("paint");
      const first = paints.find((paint) => paint.name === "first-contentful-paint");
      const page = performance.getEntriesByType("navigation")[0];
      if (first && page.loadEventEnd) done([first.startTime, page.domContentLoadedEventEnd, page.loadEventEnd]);
      else setTimeout(read, 10);
    };
    read();"""


def write_report(options: argparse.Namespace, more: list[str], output: Path) -> float:
    """Have the command write the report; return the seconds it took."""
    scan = [part for path in options.scan for part in ("--scan", path)]
    begun = time.perf_counter()
    command = [sys.executable, "-m", "ftaudit", "report", options.input, *scan, *more, "-q", "-o", str(output)]
    done = subprocess.run(command, check=False)
    if done.returncode not in (0, 1, 3):
        sys.exit(done.returncode)
    return time.perf_counter() - begun


def paints(browser: Browser, html: str, runs: int) -> list[float]:
    """Return the medians of first contentful paint, DOM ready and load, in milliseconds from the start of loading."""
    measured = []
    for _ in range(runs):
        browser.show(html)
        measured.append(browser.driver.execute_async_script(PAINT))
    return [statistics.median(values) for values in zip(*measured, strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input")
    parser.add_argument("--scan", action="append", required=True)
    parser.add_argument("--keep", type=Path, help="leave the report here")
    parser.add_argument("--runs", type=int, default=9)
    options, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="ftaudit-bench-") as folder:
        output = options.keep or Path(folder, "report.html")
        print(f"{'ftaudit report':24} {write_report(options, more, output):8.2f} s")
        again = write_report(options, more, output)
        html = output.read_text("utf-8")
        size = len(html.encode())
        rows, hazards = html.count('<tbody id="p'), html.count('class="hazard"')
        print(f"{'again, all caches warm':24} {again:8.2f} s")
        print(f"{'size':24} {size / 1e6:8.3f} MB  (wanted: at most {MOST_BYTES / 1e6:.0f} MB), ", end="")
        print(f"{rows} packages, {hazards} code frames")
        with open_browser(Path(folder)) as browser:
            print(browser.driver.capabilities["browserName"], browser.driver.capabilities["browserVersion"])
            told = {title: paints(browser, page, options.runs) for title, page in (("blank", BLANK), ("report", html))}
    for title, (first, ready, loaded) in told.items():
        limit = f"  (wanted: at most {MOST_SECONDS * 1000:.0f} ms)" if title == "report" else ""
        print(f"{title + ', first paint':24} {first:8.1f} ms{limit}; usable after {ready:.1f}, loaded {loaded:.1f} ms")
    return int(size > MOST_BYTES or told["report"][0] > MOST_SECONDS * 1000)


if __name__ == "__main__":
    sys.exit(main())
