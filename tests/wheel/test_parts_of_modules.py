"""Code that a module's initialization does not reach is left out; unread data is not treated as known."""

from __future__ import annotations

import base64
import platform
import random
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from support.index_server import IndexServer
from support.wheels import CORE, NAME, incompressible, wheel

from ftaudit.binary.inspection import InspectSettings, WheelRequest, inspect_wheels
from ftaudit.model import BinaryFacts, DistributionFile, GilDeclaration, ModuleBinary, Status
from ftaudit.target import parse_target
from ftaudit.wheel.parts import PAGE, Parts, find_holes, find_parts, find_reach
from ftaudit.wheel.tail import NO_TAIL, Tail, inflate_tail

BINARIES = Path(__file__).parents[2] / "fixtures" / "binaries" / "linux-x86_64"
HAS_COMPILER = pytest.mark.skipif(
    shutil.which("gcc") is None or platform.machine() != "x86_64", reason="needs gcc for x86-64"
)
WORDS = [bytes(random.Random(n).randbytes(3 + n % 9)) for n in range(400)]


def text(size: int, seed: int = 0) -> bytes:
    """Return bytes as compressible as machine code, with copies from far back."""
    chance = random.Random(seed)
    made = bytearray()
    while len(made) < size:
        made += chance.choice(WORDS)
    return bytes(made[:size])


def deflated(data: bytes) -> bytes:
    engine = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


@pytest.mark.parametrize("raw", [b"", b"\x00", b"\xff" * 5000, incompressible(120_000), deflated(text(900_000))[:-1]])
def test_what_is_no_end_of_a_stream_is_not_inflated(raw: bytes) -> None:
    assert inflate_tail(raw[-40_000:]) is None


def test_the_end_of_a_stream_is_inflated_and_what_came_from_before_it_is_told() -> None:
    data = text(900_000)
    raw = deflated(data)
    tail = inflate_tail(raw[len(raw) // 2 :])
    assert tail is not None
    assert 100_000 < len(tail.data) < len(data)
    same = data[-len(tail.data) :]
    unknown = [index for index, (zero, one) in enumerate(zip(tail.data, tail.other, strict=True)) if zero != one]
    assert unknown
    assert all(tail.data[index] == byte for index, byte in enumerate(same) if tail.data[index] == tail.other[index])


SOURCE = """
#include "mini.h"
static PyModuleDef_Slot slots[] = {{{{GIL, {slot}}}, {{0, 0}}}};
static PyModuleDef definition = DEFINITION(slots);
EXPORTED(PyObject *) PyInit__core(void) {{
    {before}
    MARK_FREE_THREADED((PyObject *)&definition);
    return PyModuleDef_Init(&definition);
}}
__asm__(".section .text.zz, \\"ax\\", @progbits\\n"
        "far: mov $1, %eax\\nret\\n"
        ".incbin \\"{filler}\\"\\n"
        "farther: mov $1, %eax\\nret\\n"
        ".incbin \\"{literal}\\"\\n.text");
"""


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., bytes]:
    """Return a compiler of modules with a lot of code after their hook."""

    def compiled(*, slot: str = "USED", before: str = "") -> bytes:
        filler, literal = tmp_path / "filler", tmp_path / "literal"
        filler.write_bytes(text(900_000))
        literal.write_bytes(base64.b64encode(incompressible(150_000)))
        source, result = tmp_path / "core.c", tmp_path / "core.so"
        source.write_text(SOURCE.format(slot=slot, before=before, filler=filler, literal=literal))
        flags = ("-shared", "-fPIC", "-O1", "-nostdlib", "-s", "-Wl,-z,separate-code", "-Wl,--build-id=none")
        subprocess.run(["gcc", *flags, "-I", str(BINARIES.parent / "src"), "-o", result, source], check=True)
        return result.read_bytes()

    return compiled


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


def inspect(server: IndexServer, folder: Path, data: bytes) -> BinaryFacts:
    url = server.add_file(NAME, data)
    request = WheelRequest(file=DistributionFile(filename=NAME, url=url), target=parse_target("3.14t"))
    settings = InspectSettings(cache_dir=folder / "cache", workers=1, session=requests.Session)
    return inspect_wheels([request], settings=settings)[request]


def read(facts: BinaryFacts) -> ModuleBinary:
    assert facts.status is Status.DONE, facts.reason
    (module,) = facts.modules
    assert module.binary is not None
    return module.binary


@HAS_COMPILER
def test_most_of_a_modules_code_is_not_read(server: IndexServer, tmp_path: Path, build: Callable[..., bytes]) -> None:
    facts = inspect(server, tmp_path, wheel({CORE: build()}))
    assert read(facts).declaration is GilDeclaration.USED
    assert read(facts).free_threaded_build is True
    assert facts.bytes_read < 0.6 * facts.bytes_total


@HAS_COMPILER
@pytest.mark.parametrize("far", ["far", "farther"])
def test_code_that_the_hook_calls_far_away_is_read_after_all(
    server: IndexServer, tmp_path: Path, build: Callable[..., bytes], far: str
) -> None:
    before = f'__asm__ volatile("call {far}" ::: "rax", "memory");'
    facts = inspect(server, tmp_path, wheel({CORE: build(slot="NOT_USED", before=before)}))
    assert read(facts).declaration is GilDeclaration.NOT_USED


def test_a_file_laid_out_otherwise_has_no_parts() -> None:
    (path,) = BINARIES.glob("multi_used.*")
    image = path.read_bytes()
    assert find_parts(image) is not None
    for broken in (b"", image[:40], b"MZ" + image[2:], image[:4] + b"\1" + image[5:], image[:54] + b"\0" + image[55:]):
        assert find_parts(broken) is None


def test_a_hook_that_is_not_exported_has_no_place() -> None:
    (path,) = BINARIES.glob("multi_used.*")
    image = path.read_bytes()
    parts = find_parts(image)
    assert parts is not None
    assert find_reach(image, parts, b"PyInit_multi") is None
    reach = find_reach(image, parts, b"PyInit_multi_used")
    assert reach is not None
    assert parts.code[0] <= reach < parts.code[1]


def test_everything_between_what_was_read_is_a_hole() -> None:
    parts = Parts(
        mapped=10 * PAGE, code=(PAGE, 6 * PAGE), data=6 * PAGE, dynamic=(8 * PAGE, 8 * PAGE + 64), segments=()
    )
    assert find_holes(10 * PAGE, 10 * PAGE, NO_TAIL, parts) == ()
    assert find_holes(PAGE + 5, 10 * PAGE, NO_TAIL, parts) == ((PAGE, 10 * PAGE),)
    zeros, ones = bytearray(b"x" * 5 * PAGE), bytearray(b"x" * 5 * PAGE)
    ones[10], ones[3 * PAGE + 20] = 0, 0
    tail = Tail(data=bytes(zeros), other=bytes(ones))
    found = find_holes(2 * PAGE, 5 * PAGE, tail, parts)
    assert found == ((2 * PAGE, 6 * PAGE), (8 * PAGE + 16, 8 * PAGE + 32))
