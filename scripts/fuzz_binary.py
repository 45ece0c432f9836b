#!/usr/bin/env python3
"""Corrupts real binaries and wheels, inspects them, and counts the outcomes: only declared ones may occur.

    scripts/fuzz_binary.py [--variants 20000] [--seed 1] [--workers N] [PATH ...]

PATH is a wheel, an extension module or a folder of them; by default the repository's own small binaries of all
formats. Three in five variants are spoilt images, given to the worker processes, some of the ELF files with holes;
one is a spoilt wheel, opened and read as `ftaudit` reads it; and one is the spoilt end of a deflated image, with what
is looked up in its headers to read no more than is needed. Exits with 1 if an undeclared outcome occurs: an
exception other than `ArchiveError`, an answer of no kind, a bug in the reader itself. Crashed and hung workers are
declared outcomes (a row each) and counted apart.
"""

from __future__ import annotations

import argparse
import collections
import io
import random
import re
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from ftaudit.binary.questions import ModuleAnswer, ModuleQuestion, ModuleReaders
from ftaudit.cores import count_cores
from ftaudit.errors import ArchiveError
from ftaudit.wheel import Limits, ModuleMember, module_members, open_wheel, read_metadata
from ftaudit.wheel.image import image_format, mapped_part
from ftaudit.wheel.parts import find_parts, find_reach
from ftaudit.wheel.tail import inflate_tail
from ftaudit.workers import TaskEnding

BINARIES = Path(__file__).resolve().parent.parent / "fixtures" / "binaries"
WHEEL_NAME = "demo-1.0-cp314-cp314t-manylinux_2_17_x86_64.whl"
HEADERS = 4096
"""The part of a file that holds most of the data for a parser."""
LARGEST = 4 << 20
"""Bytes of a seed: larger ones only make the run longer."""
LIMITS = Limits(member=64 << 20)


@dataclass(frozen=True)
class Seed:
    """A real image, with the name that its init hook has."""

    module: str
    path: str
    data: bytes


def find_seeds(paths: Sequence[Path]) -> list[Seed]:
    """Return the images in the files, folders and wheels."""
    seeds = []
    for path in paths:
        if path.is_dir():
            seeds += find_seeds(sorted(path.rglob("*")))
        elif path.suffix == ".whl":
            with zipfile.ZipFile(path) as file, open_wheel(path, cache_dir=path.parent) as archive:
                seeds += [_seed(module, file.read(module.member.name)) for module in module_members(archive.members)]
        elif path.is_file() and path.suffix in (".so", ".pyd", ".dylib"):
            stem = path.name.split(".", 1)[0]
            seeds.append(Seed(module=stem, path=path.name, data=path.read_bytes()))
    return [seed for seed in seeds if image_format(seed.data) and len(seed.data) <= LARGEST]


def _seed(module: ModuleMember, data: bytes) -> Seed:
    return Seed(module=module.name, path=module.path, data=mapped_part(data))


def spoil(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """Return the bytes with one kind of damage, near the beginning half of the time."""
    spoilt = bytearray(data)
    kind = chance.randrange(7)
    reach = min(len(spoilt), HEADERS) if chance.random() < 0.5 else len(spoilt)
    if kind == 0:
        for _ in range(chance.choice((1, 2, 4, 16, 64))):
            spoilt[chance.randrange(reach)] ^= 1 << chance.randrange(8)
    elif kind == 1:
        for _ in range(chance.choice((1, 4, 16))):
            spoilt[chance.randrange(reach)] = chance.randrange(256)
    elif kind == 2:
        del spoilt[chance.randrange(len(spoilt)) :]
    elif kind == 3:
        width = chance.choice((2, 4, 8))
        at = chance.randrange(max(1, reach - width))
        value = chance.choice((0, 1, 0x7F, 0x80, 0xFF)).to_bytes(1, "little") * width
        spoilt[at : at + width] = chance.choice((value, b"\xff" * (width - 1) + b"\x7f", value))
    elif kind == 4:
        at, length = chance.randrange(reach), chance.randrange(1, 4096)
        other = chance.choice(others)
        start = chance.randrange(len(other))
        spoilt[at : at + length] = other[start : start + length]
    elif kind == 5:
        at, length = chance.randrange(reach), chance.randrange(1, 256)
        spoilt[at:at] = spoilt[at : at + length] * chance.choice((1, 8))
    else:
        at, length = chance.randrange(reach), chance.randrange(1, 4096)
        spoilt[at : at + length] = bytes(length)
    return bytes(spoilt)


def make_wheel(seeds: Sequence[Seed], chance: random.Random) -> bytes:
    """Return a small wheel of a few images."""
    buffer = io.BytesIO()
    method = chance.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))
    with zipfile.ZipFile(buffer, "w", method) as file:
        for index, seed in enumerate(chance.sample(seeds, min(3, len(seeds)))):
            file.writestr(f"demo{index}/{seed.path.rpartition('/')[2]}", seed.data)
        file.writestr("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
        file.writestr("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: cp314-cp314t-linux_x86_64\n")
        file.writestr("demo-1.0.dist-info/RECORD", "demo0/x,,\n")
    return buffer.getvalue()


def spoil_wheel(data: bytes, chance: random.Random) -> bytes:
    """Return the wheel with damage that a zip reader sees: its records rather than its data, mostly."""
    if chance.random() < 0.3:
        return spoil(data, chance, [data])
    spoilt = bytearray(data)
    records = [match.start() for match in re.finditer(rb"PK(?:\x01\x02|\x03\x04|\x05\x06)", data)]
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.choice(records) + chance.randrange(46)
        if at < len(spoilt):
            spoilt[at] = chance.choice((0, 1, 0xFF, chance.randrange(256)))
    return bytes(spoilt)


def read_wheel(path: Path) -> str:
    """Return the outcome of opening and reading a wheel; raise any exception that is not a declared outcome."""
    try:
        with open_wheel(path, cache_dir=path.parent, limits=LIMITS) as archive:
            read_metadata(archive, WHEEL_NAME, record=True)
            modules = module_members(archive.members)
            failed = sum(image.error is not None for image in archive.read_images([m.member for m in modules]))
    except ArchiveError:
        return "wheel: refused"
    if failed:
        return "wheel: some members refused"
    return "wheel: read, with problems" if archive.problems else "wheel: read"


def make_holes(data: bytes, chance: random.Random) -> tuple[tuple[int, int], ...]:
    """Return a few ranges of a file, in order, as they would be left out of it."""
    places = sorted(chance.sample(range(len(data) + 4096), 2 * chance.choice((1, 2, 5))))
    return tuple(zip(places[::2], places[1::2], strict=True))


def read_parts(seed: Seed, data: bytes, chance: random.Random) -> str:
    """Return the outcome of finding a module's parts and of inflating the end of a corrupted stream."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    stream = engine.compress(data) + engine.flush()
    tail = inflate_tail(spoil(stream[chance.randrange(len(stream)) :], chance, [stream]))
    parts = find_parts(data[:4096])
    if parts is None or parts.mapped > len(data):
        return f"parts: none, tail {'read' if tail else 'not read'}"
    reach = find_reach(data[: parts.mapped], parts, f"PyInit_{seed.module}".encode())
    return f"parts: found, {'with' if reach else 'without'} a hook, tail {'read' if tail else 'not read'}"


def run(seeds: Sequence[Seed], *, variants: int, seed: int, workers: int, seconds: float) -> collections.Counter[str]:
    """Inspect the variants; return the count of each outcome. `FLAW` outcomes must not occur."""
    chance = random.Random(seed)
    outcomes: collections.Counter[str] = collections.Counter()
    images = [each.data for each in seeds]
    wheels = [make_wheel(seeds, chance) for _ in range(20)]
    waiting: collections.deque[tuple[str, Future[ModuleAnswer]]] = collections.deque()
    with (
        tempfile.TemporaryDirectory(prefix="ftaudit-fuzz-") as folder,
        ModuleReaders(workers=workers, seconds=seconds, memory=12 << 30) as pool,
    ):
        path = Path(folder) / WHEEL_NAME
        for index in range(variants):
            if index % 5 == 4:
                path.write_bytes(spoil_wheel(chance.choice(wheels), chance))
                outcomes[_guarded(lambda: read_wheel(path))] += 1
                continue
            one = chance.choice(seeds)
            data = spoil(one.data, chance, images)
            if index % 5 == 3:
                outcomes[_guarded(lambda: read_parts(one, data, chance))] += 1  # noqa: B023
                continue
            holes = make_holes(data, chance) if data.startswith(b"\x7fELF") and chance.random() < 0.2 else ()
            question = ModuleQuestion(module=one.module, path=one.path, target=(3, 14), image=data, holes=holes)
            waiting.extend((image_format(one.data) or "", answer) for answer in pool.ask([question]))
            while len(waiting) > 4 * workers:
                outcomes[_outcome(*waiting.popleft())] += 1
        outcomes.update(_outcome(*each) for each in waiting)
    return outcomes


def _guarded(work: Callable[[], str]) -> str:
    try:
        return work()
    except Exception as error:
        return f"FLAW: {type(error).__name__}: {error}"


def _outcome(kind: str, future: Future[ModuleAnswer]) -> str:
    """Name the outcome of one image."""
    answer = future.result()
    how = answer.binary.how
    if answer.lost:
        return f"{kind}: {how}"
    if answer.died is not None and answer.died.how is TaskEnding.RAISED:
        return f"FLAW: {kind}: {how}"
    return f"{kind}: {answer.binary.declaration}"


def report(outcomes: collections.Counter[str], elapsed: float) -> Iterator[str]:
    """Yield the lines of the summary."""
    total = sum(outcomes.values())
    for outcome, count in sorted(outcomes.items()):
        yield f"{count:8}  {outcome}"
    flaws = sum(count for outcome, count in outcomes.items() if outcome.startswith("FLAW"))
    yield f"{total:8}  variants in {elapsed:.0f} s ({1000 * elapsed / max(1, total):.1f} ms each), {flaws} undeclared"


def main() -> int:
    """Run the fuzzer over the given seeds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("paths", nargs="*", type=Path, default=[BINARIES], metavar="PATH")
    parser.add_argument("--variants", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=count_cores())
    parser.add_argument("--seconds", type=float, default=20.0, help="what one image may take")
    options = parser.parse_args()
    seeds = find_seeds(options.paths)
    if not seeds:
        print("no binaries there", file=sys.stderr)
        return 2
    kinds = collections.Counter(image_format(seed.data) for seed in seeds)
    print(f"{len(seeds)} seeds: {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items(), key=str))}")
    started = time.monotonic()
    outcomes = run(
        seeds, variants=options.variants, seed=options.seed, workers=options.workers, seconds=options.seconds
    )
    print(*report(outcomes, time.monotonic() - started), sep="\n")
    return 1 if any(outcome.startswith("FLAW") for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
