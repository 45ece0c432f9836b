"""Members that are extension modules by name, the mapped part of an image, and the metadata."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.wheels import CORE, NAME, TAG, elf, incompressible, metadata, wheel

from ftaudit.wheel import ArchiveMember, WheelMetadata, module_member, open_wheel, read_metadata
from ftaudit.wheel.image import image_format, mapped_part, mapped_size

FREE = "Programming Language :: Python :: Free Threading"


def member(name: str) -> ArchiveMember:
    return ArchiveMember(name=name, offset=0, end=0, compressed=0, size=0, crc=0, method=0, flags=0)


@pytest.mark.parametrize(
    "name",
    [
        "demo/__init__.py",
        "demo/data.so.txt",
        "demo/libspam.so.1",
        "demo/libspam.dylib",
        "demo/.so",
        "demo/.cpython-314t-x86_64-linux-gnu.so",
        "demo/spam.dll",
    ],
)
def test_other_files_are_no_modules(name: str) -> None:
    assert module_member(member(name)) is None


@pytest.mark.parametrize(
    "path",
    [
        "demo.libs/libspam-1234.so",
        "demo/.dylibs/libspam.so",
        "demo/core.cpython-314t-darwin.so.dSYM/Contents/Resources/DWARF/core.cpython-314t-darwin.so",
        "demo-1.0.data/scripts/spam.so",
        "demo-1.0.data/data/lib/spam.so",
    ],
)
def test_a_module_in_a_folder_that_is_no_package_is_named_by_its_path(path: str) -> None:
    module = module_member(member(path))
    assert module is not None
    assert (module.name, module.by_import, module.last) == (path, False, path.rpartition("/")[2].partition(".")[0])


def test_debugging_symbols_of_a_module_are_no_image() -> None:
    header = b"\xcf\xfa\xed\xfe" + bytes(8)
    assert image_format(header + b"\x0a\0\0\0") is None
    assert image_format(header + b"\x06\0\0\0") == "macho"


@pytest.mark.parametrize(
    ("name", "dotted", "abi"),
    [
        (CORE, "demo._core", "cp314t"),
        ("demo/_core.cpython-314-x86_64-linux-gnu.so", "demo._core", "cp314"),
        ("demo/_core.cpython-314t-darwin.so", "demo._core", "cp314t"),
        ("demo/_core.cp314t-win_amd64.pyd", "demo._core", "cp314t"),
        ("demo/_core.cp314-win32.pyd", "demo._core", "cp314"),
        ("demo/_core.abi3.so", "demo._core", "abi3"),
        ("demo/_core.abi3t.so", "demo._core", "abi3t"),
        ("demo/_core.abi3t-x86_64-linux-gnu.so", "demo._core", "abi3t"),
        ("demo/_core.abi3t-darwin.so", "demo._core", "abi3t"),
        ("demo/_core.abi3-aarch64-linux-musl.so", "demo._core", "abi3"),
        ("demo/_core.pyd", "demo._core", None),
        ("demo/_core.so", "demo._core", None),
        ("demo/__init__.cpython-314t-x86_64-linux-gnu.so", "demo", "cp314t"),
        ("demo/sub/__init__.abi3.so", "demo.sub", "abi3"),
        ("_demo.so", "_demo", None),
        ("30fcd23745efe32ce681__mypyc.cpython-314t-darwin.so", "30fcd23745efe32ce681__mypyc", "cp314t"),
        ("demo-1.0.data/platlib/demo/_core.so", "demo._core", None),
        ("demo-1.0.data/purelib/_demo.so", "_demo", None),
    ],
)
def test_a_modules_name_and_abi_come_from_its_path(name: str, dotted: str, abi: str | None) -> None:
    module = module_member(member(name))
    assert module is not None
    assert (module.name, module.abi) == (dotted, abi)


@pytest.mark.parametrize("data", [b"", b"MZ", b"\x7fELF", elf()[:63], b"\x7fELF\x01" + elf()[5:], elf()[:100]])
def test_what_does_not_tell_its_segments_is_taken_whole(data: bytes) -> None:
    assert mapped_size(data) is None
    assert mapped_part(data) == data


def test_what_follows_the_last_segment_is_cut_off_with_the_section_table() -> None:
    whole = elf(mapped=b"code", unmapped=b"symbols")
    part = mapped_part(whole)
    assert image_format(part) == "elf"
    assert part.endswith(b"code")
    assert part[40:48] == bytes(8)
    assert part[58:64] == bytes(6)
    assert mapped_part(part) == part


def described(tmp_path: Path, data: bytes, *, record: bool = True, name: str = NAME) -> WheelMetadata:
    path = tmp_path / name
    path.write_bytes(data)
    with open_wheel(path, cache_dir=tmp_path) as found:
        return read_metadata(found, name, record=record)


def test_an_honest_wheel_has_no_problems(tmp_path: Path) -> None:
    found = described(tmp_path, wheel(classifiers=(f"{FREE} :: 2 - Beta", "Programming Language :: C")))
    assert found == WheelMetadata(tags=frozenset({TAG}), requires=(), classifiers=(f"{FREE} :: 2 - Beta",))


@pytest.mark.parametrize(
    ("info", "problem"),
    [
        ({"METADATA": b""}, "METADATA is missing"),
        ({"WHEEL": b""}, "WHEEL is missing"),
        ({"RECORD": b""}, "RECORD is missing"),
        ({"WHEEL": b"Tag: cp314-cp314-win_amd64\n"}, "WHEEL has the tags cp314-cp314-win_amd64, but the file name"),
        ({"RECORD": b"demo/__init__.py,,\n"}, "RECORD does not list"),
        ({"RECORD": b"demo/gone.py,,\n"}, "RECORD lists demo/gone.py, which is missing"),
        ({"RECORD": b'"' + incompressible(100_000).hex().encode() * 2}, "RECORD cannot be read"),
    ],
)
def test_what_the_metadata_lacks_or_contradicts_is_recorded(
    tmp_path: Path, info: dict[str, bytes], problem: str
) -> None:
    found = described(tmp_path, wheel(info=info))
    assert any(problem in each for each in found.problems), found.problems


def test_a_wheel_without_dist_info_or_with_two_is_recorded(tmp_path: Path) -> None:
    from support.wheels import archive

    assert described(tmp_path, archive([(CORE, elf())])).problems == ("it has no .dist-info folder",)
    two = archive([("a-1.dist-info/METADATA", metadata()), ("b-1.dist-info/METADATA", metadata())])
    assert described(tmp_path, two).problems == ("it has 2 .dist-info folders",)


def test_metadata_that_is_no_text_costs_the_classifiers_alone(tmp_path: Path) -> None:
    found = described(tmp_path, wheel(info={"METADATA": bytes(range(256)) * 20}))
    assert found.classifiers == ()
    assert found.tags == {TAG}
