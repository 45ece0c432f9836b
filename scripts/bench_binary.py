"""Time loading and emulating of extension modules, in this process: `bench_binary.py WHEEL|FOLDER ...`.

Every module of the wheels is read `--runs` times after one run without a clock, and counts with its median. The
median over the modules is compared with the target of 12 ms, for each file format and for all, next to the median
of the processor time, which a busy machine changes less, and the time for unpacking the same modules.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from ftaudit.binary.declaration import read_declaration
from ftaudit.errors import ImageError
from ftaudit.wheel.image import image_format

WANTED_MILLISECONDS = 12.0
SUFFIXES = (".so", ".pyd")


def main() -> int:
    """Measure and print; return 1 if the target time is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    unpacking: list[float] = []
    reading: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for wheel in wheels_in(options.paths):
        with zipfile.ZipFile(wheel) as archive:
            for name in modules_of(archive):
                image = archive.read(name)
                if b"PyInit" not in image:
                    continue
                unpacking.append(median_time(lambda: archive.read(name), options.runs)[0])  # noqa: B023
                times = median_time(lambda: declare(image, name), options.runs)  # noqa: B023
                reading[image_format(image) or "?"].append(times)
    if not reading:
        print("no extension modules found")
        return 1
    medians = [summed(kind, times) for kind, times in sorted(reading.items())]
    if len(reading) > 1:
        medians.append(summed("all", [pair for times in reading.values() for pair in times]))
    print(f"unpacking them: median {statistics.median(unpacking):.1f} ms, sum {sum(unpacking) / 1000:.1f} s")
    return 0 if max(medians) <= WANTED_MILLISECONDS else 1


def summed(kind: str, times: list[tuple[float, float]]) -> float:
    """Print what the modules of one format took, and return their median."""
    wall = sorted(pair[0] for pair in times)
    median = statistics.median(wall)
    print(
        f"{kind:6} {len(wall):5} modules: median {median:.1f} ms (wanted {WANTED_MILLISECONDS}), processor "
        f"{statistics.median(pair[1] for pair in times):.1f} ms, 95 % within {wall[int(0.95 * len(wall))]:.1f} ms, "
        f"slowest {wall[-1]:.0f} ms, sum {sum(wall) / 1000:.1f} s"
    )
    return median


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


def median_time(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """Return the median wall time and processor time of the work in milliseconds."""
    work()
    wall, processor = [], []
    for _ in range(runs):
        started, used = time.perf_counter(), time.process_time()
        work()
        wall.append(1000 * (time.perf_counter() - started))
        processor.append(1000 * (time.process_time() - used))
    return statistics.median(wall), statistics.median(processor)


if __name__ == "__main__":
    sys.exit(main())
