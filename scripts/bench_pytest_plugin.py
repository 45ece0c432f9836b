"""The cost of the pytest plugin: sessions with it, with it switched off, and without it, in turn, by processor time.

Usage: bench_pytest_plugin.py [--runs N]. The session under the free-threaded interpreter imports most of the standard
library's extension modules, and runs 300 tests; medians, and their ratios to the session without the plugin.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

MODULES = (
    "array audioop binascii bz2 csv ctypes curses datetime decimal fcntl grp hashlib heapq json lzma math mmap pickle "
)
MODULES += (
    "pyexpat queue random readline select socket sqlite3 ssl statistics struct syslog termios unicodedata zlib zoneinfo"
)
TESTS = """\
import importlib, pytest
@pytest.mark.parametrize("name", {names!r})
def test_import(name):
    try:
        importlib.import_module(name)
    except ImportError:
        pytest.skip(name)
@pytest.mark.parametrize("number", range(300))
def test_work(number):
    assert sum(range(number * 50)) >= 0
"""


def spent(command: Sequence[str], application: object) -> float:
    """Return the processor seconds that one session took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = application.run(*command)  # type: ignore[attr-defined]
    if ran.returncode:
        raise SystemExit(ran.stdout + ran.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the medians."""
    from support.guarded import make_application  # type: ignore[import-not-found]

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    base = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
    plugin = (*base, "-p", "ftaudit.pytest_plugin")
    ways = {"without": base, "off": plugin, "on": (*plugin, "--ftaudit-gil")}
    with tempfile.TemporaryDirectory() as folder:
        application = make_application(Path(folder))
        application.write({"test_it.py": TESTS.format(names=MODULES.split())})
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for way in ways.values():
            spent(way, application)
        for _ in range(options.runs):
            for name, command in ways.items():
                taken[name].append(spent(command, application))
    peer = statistics.median(taken["without"])
    for name, seconds in taken.items():
        ratios = sorted(mine / other for mine, other in zip(seconds, taken["without"], strict=True))
        print(
            f"{name:<8} {statistics.median(seconds):.3f} s  ratio {statistics.median(ratios):.3f}  (peer {peer:.3f} s)"
        )


if __name__ == "__main__":
    main()
