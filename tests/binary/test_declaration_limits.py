"""An undecidable declaration is undetermined with a reason, and a file that is not an image is an ImageError."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from ftaudit.binary.declaration import read_declaration
from ftaudit.binary.emulator.budget import Budget
from ftaudit.errors import ImageError
from ftaudit.model import GilDeclaration, ModuleBinary

ROOT = Path(__file__).resolve().parents[2] / "fixtures" / "binaries"


def fixture(platform: str, case: str) -> bytes:
    return next((ROOT / platform).glob(f"{case}.*")).read_bytes()


def declare(image: bytes, name: str, *, path: str | None = None, budget: Budget | None = None) -> ModuleBinary:
    return read_declaration(image, module_name=name, path=path or f"{name}.so", target_version=(3, 14), budget=budget)


def universal(*slices: bytes) -> bytes:
    """Join thin Mach-O files as `lipo` does (mach-o/fat.h)."""
    offset, header, body = 4096, struct.pack(">II", 0xCAFEBABE, len(slices)), b""
    for content in slices:
        cpu, subtype = struct.unpack_from("<iI", content, 4)
        header += struct.pack(">iIIII", cpu, subtype, offset + len(body), len(content), 12)
        body += content + bytes(-len(content) % 4096)
    return header.ljust(offset, b"\0") + body


@pytest.mark.parametrize(
    "content",
    [b"", b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe\0\0\0\x09", b"PK\3\4", b"#!/bin/sh\n" * 40],
)
def test_what_is_no_image_is_an_image_error(content: bytes) -> None:
    with pytest.raises(ImageError):
        declare(content, "module")


@pytest.mark.parametrize("platform", ["linux-x86_64", "linux-aarch64", "macos-arm64", "windows-amd64"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.7])
def test_a_truncated_image_is_an_error_or_undetermined_and_never_an_answer(platform: str, part: float) -> None:
    content = fixture(platform, "multi_used")
    try:
        answer = declare(content[: int(len(content) * part)], "multi_used")
    except ImageError as error:
        assert error.problem
    else:
        assert answer.declaration in (GilDeclaration.UNDETERMINED, GilDeclaration.USED)


@pytest.mark.parametrize("platform", ["linux-x86_64", "macos-x86_64", "windows-arm64"])
def test_flipped_bytes_end_in_an_answer_or_an_image_error(platform: str) -> None:
    content = fixture(platform, "runtime_slots")
    chance = random.Random(2026)
    for _ in range(60):
        changed = bytearray(content)
        for _ in range(chance.randrange(1, 4)):
            changed[chance.randrange(64, len(changed))] = chance.randrange(256)
        try:
            assert declare(bytes(changed), "runtime_slots", budget=Budget(instructions=50_000, tries=3)).how
        except ImageError as error:
            assert error.problem


@pytest.mark.parametrize(
    ("number", "name"), [(3, "i686"), (40, "armv7l"), (21, "ppc64le"), (22, "s390x"), (243, "riscv64")]
)
def test_another_machine_is_undetermined_and_named(number: int, name: str) -> None:
    content = bytearray(fixture("linux-x86_64", "multi_used"))
    struct.pack_into("<H", content, 18, number)
    answer = declare(bytes(content), "multi_used")
    assert answer.declaration is GilDeclaration.UNDETERMINED
    assert name in answer.how
    assert answer.machine == name


def test_a_32_bit_windows_module_is_undetermined() -> None:
    content = bytearray(fixture("windows-amd64", "multi_used"))
    struct.pack_into("<H", content, struct.unpack_from("<I", content, 0x3C)[0] + 4, 0x14C)
    assert declare(bytes(content), "multi_used").how == "ftaudit does not emulate i686"


def test_the_slices_of_a_universal_file_that_agree_give_one_answer() -> None:
    both = universal(fixture("macos-x86_64", "single_set"), fixture("macos-arm64", "single_set"))
    answer = declare(both, "single_set")
    assert answer.declaration is GilDeclaration.NOT_USED
    assert answer.machine == "x86_64+aarch64"


def test_the_slices_of_a_universal_file_that_differ_are_reported() -> None:
    set_too = fixture("macos-x86_64", "single_set")
    answer = declare(universal(set_too, fixture("macos-arm64", "multi_used")), "single_set")
    assert answer.declaration is GilDeclaration.UNDETERMINED
    assert "aarch64: undetermined" in answer.how
    assert "x86_64: not_used" in answer.how


def test_a_universal_file_whose_slice_is_cut_off_is_an_image_error() -> None:
    both = universal(fixture("macos-x86_64", "single_set"), fixture("macos-arm64", "single_set"))
    with pytest.raises(ImageError, match="truncated"):
        declare(both[:30_000], "single_set")


def test_an_image_larger_than_the_budget_is_an_image_error() -> None:
    with pytest.raises(ImageError, match="span"):
        declare(fixture("linux-x86_64", "multi_used"), "multi_used", budget=Budget(memory=4096))


def test_a_budget_of_few_instructions_leaves_a_module_undetermined() -> None:
    answer = declare(fixture("linux-aarch64", "needs_capsule"), "needs_capsule", budget=Budget(instructions=10))
    assert answer.declaration is GilDeclaration.UNDETERMINED
    assert "instructions" in answer.how


def test_the_same_bytes_give_the_same_answer() -> None:
    content = fixture("windows-amd64", "needs_capsule")
    assert declare(content, "needs_capsule") == declare(content, "needs_capsule")


@pytest.mark.parametrize(
    ("path", "laid_out_right"),
    [("m.cpython-314-x86_64-linux-gnu.so", True), ("m.cpython-314t-x86_64-linux-gnu.so", True), ("m.abi3.so", True)],
)
def test_the_layout_of_the_definition_outweighs_what_the_file_name_says(path: str, laid_out_right: bool) -> None:
    gil = declare(fixture("linux-x86_64", "gil_build"), "gil_build", path=path)
    assert (gil.declaration is GilDeclaration.NOT_USED) is laid_out_right
    assert gil.free_threaded_build is False
    free = declare(fixture("linux-x86_64", "multi_not_used"), "multi_not_used", path=path)
    assert (free.declaration is GilDeclaration.NOT_USED) is laid_out_right
    assert free.free_threaded_build is True
