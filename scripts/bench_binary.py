"""Time loading and emulating of extension modules, in this process: `bench_binary.py WHEEL|FOLDER ...`.

Every module of the wheels is read `--runs` times after one run without a clock, and counts with its median. The
median over the modules is held against the wanted 12 ms; beside it stands the time for unpacking the same modules.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ftaudit.binary.declaration import read_declaration
from ftaudit.errors import ImageError

WANTED_MILLISECONDS = 12.0
SUFFIXES = (".so", ".pyd")


def main() -> int:
    """Measure and print; return 1 where the wanted time is not reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    unpacking, reading = [], []
    for wheel in wheels_in(options.paths):
        with zipfile.ZipFile(wheel) as archive:
            for name in modules_of(archive):
                image = archive.read(name)
                if b"PyInit" not in image:
                    continue
                unpacking.append(median_time(lambda: archive.read(name), options.runs))  # noqa: B023
                reading.append(median_time(lambda: declare(image, name), options.runs))  # noqa: B023
    if not reading:
        print("no extension modules found")
        return 1
    reading.sort()
    median = statistics.median(reading)
    print(
        f"{len(reading)} modules: median {median:.1f} ms (wanted {WANTED_MILLISECONDS}), 95 % within "
        f"{reading[int(0.95 * len(reading))]:.1f} ms, slowest {reading[-1]:.0f} ms, sum {sum(reading) / 1000:.1f} s; "
        f"unpacking them: median {statistics.median(unpacking):.1f} ms, sum {sum(unpacking) / 1000:.1f} s"
    )
    return 0 if median <= WANTED_MILLISECONDS else 1


def wheels_in(paths: list[Path]) -> Iterator[Path]:
    """Yield the wheels that the paths are or hold."""
    for path in paths:
        yield from sorted(path.glob("*.whl")) if path.is_dir() else (path,)


def modules_of(archive: zipfile.ZipFile) -> list[str]:
    """Return the members that may be extension modules."""
    return [name for name in archive.namelist() if name.endswith(SUFFIXES) and ".libs/" not in name]


def declare(image: bytes, path: str) -> None:
    """Read one module as an inspection does."""
    stem = path.rpartition("/")[2].partition(".")[0]
    name = path.rpartition("/")[0] if stem == "__init__" else f"{path.rpartition('/')[0]}/{stem}"
    try:
        read_declaration(image, module_name=name.strip("/").replace("/", "."), path=path, target_version=(3, 14))
    except ImageError as error:
        print(f"{path}: {error.problem}", file=sys.stderr)


def median_time(work: Callable[[], object], runs: int) -> float:
    """Return the median wall time of the work in milliseconds."""
    work()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main())
