"""Times reading and walking a uv.lock of some hundred packages, each run in a new process, next to bare peers.

    python scripts/bench_inputs.py [RUNS]

Needs no network. Prints medians in milliseconds: starting Python alone, `tomllib` on the same text (Python 3.11
and later), and ftaudit's `read` and `pins` with all imports. The target is 120 ms for the last.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

LOCK = Path(__file__).parents[1] / "fixtures" / "lockfiles" / "stack" / "uv.lock"

PROGRAMS = {
    "python -c pass": "pass",
    "tomllib.loads": f"import tomllib; tomllib.loads(open({str(LOCK)!r}).read())",
    "ftaudit read and pins": f"""
from pathlib import Path
from ftaudit.lockfiles import ResolveOptions, pins, read
from ftaudit.target import parse_platform, parse_target
found = pins(read(Path({str(LOCK)!r})), parse_target("3.14t"), parse_platform("linux-x86_64"), ResolveOptions())
assert len(found.pins) > 85
""",
}


def main() -> None:
    """Print one line for each program."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    text = LOCK.read_text()
    print(f"{text.count('[[package]]')} packages, {text.count('.whl')} wheels, {len(text):,} characters; {runs} runs")
    for name, program in PROGRAMS.items():
        times = [_time(program) for _ in range(runs)]
        print(f"{name:24} {statistics.median(times):7.1f} ms   (fastest {min(times):.1f})")


def _time(program: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    main()
