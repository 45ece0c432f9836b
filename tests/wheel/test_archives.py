"""Hostile and broken archives: one clear error, or a recorded problem if the rest can be read."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from support.wheels import CORE, NAME, archive, elf, wheel

from ftaudit.errors import ArchiveError
from ftaudit.wheel import Limits, WheelArchive, open_wheel

EVIL = b"import os\n"


def opened(tmp_path: Path, data: bytes, limits: Limits | None = None) -> WheelArchive:
    path = tmp_path / NAME
    path.write_bytes(data)
    return open_wheel(path, cache_dir=tmp_path / "cache", limits=limits)


def refused(tmp_path: Path, data: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(ArchiveError) as caught:
        opened(tmp_path, data, limits).close()
    assert NAME in caught.value.problem
    assert "\n" not in caught.value.problem
    return caught.value.problem


def core_error(tmp_path: Path, data: bytes, name: str = CORE) -> str:
    """Return why the member cannot be read, by any way of reading."""
    with opened(tmp_path, data) as found:
        member = found.member(name)
        assert member is not None
        with pytest.raises(ArchiveError) as caught:
            found.read(member)
        (image,) = found.read_images([member])
        assert image.error is not None
        assert image.data == b""
        assert image.error.problem == caught.value.problem
        return caught.value.problem


def patched(data: bytes, signature: bytes, offset: int, value: bytes, *, name: bytes | None = None) -> bytes:
    """Return the archive with bytes of the first such record (for that member) replaced."""
    at = data.index(signature)
    if name is not None:
        width = 30 if signature == b"PK\3\4" else 46
        while data[at + width : at + width + len(name)] != name:
            at = data.index(signature, at + 4)
    return data[: at + offset] + value + data[at + offset + len(value) :]


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all" * 100, b"<html>404</html>"])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    assert "not a zip archive" in refused(tmp_path, data)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_truncated_wheel_is_refused(tmp_path: Path, share: float) -> None:
    data = wheel()
    assert "truncated" in refused(tmp_path, data[: int(len(data) * share)])


def test_a_wheel_whose_beginning_is_missing_is_refused(tmp_path: Path) -> None:
    assert "truncated" in refused(tmp_path, wheel()[-200:])


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / NAME, tmp_path):
        with pytest.raises(ArchiveError):
            open_wheel(path, cache_dir=tmp_path)


def test_a_split_archive_is_refused(tmp_path: Path) -> None:
    assert "split archive" in refused(tmp_path, patched(wheel(), b"PK\5\6", 4, b"\1\0"))


def test_more_members_than_the_limit_are_refused(tmp_path: Path) -> None:
    assert "more than 3" in refused(tmp_path, wheel(), Limits(members=3))


def test_a_directory_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    assert "central directory of" in refused(tmp_path, wheel(), Limits(directory=100))


def test_a_member_count_that_lies_is_recorded(tmp_path: Path) -> None:
    data = patched(patched(wheel(), b"PK\5\6", 8, b"\4\0"), b"PK\5\6", 10, b"\4\0")
    with opened(tmp_path, data) as found:
        assert "announces 4 members but lists 5" in found.problems


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    """The bomb of David Fifield's kind: many directory entries for one member's data."""
    data = archive([("a.so", elf()), ("b.so", elf("b"))])
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4)
    overlapping = data[: second + 42] + struct.pack("<I", 1) + data[second + 46 :]
    assert "overlap" in refused(tmp_path, overlapping)


def test_a_directory_that_points_into_itself_is_refused(tmp_path: Path) -> None:
    data = wheel()
    inside = struct.pack("<I", data.index(b"PK\1\2"))
    assert "overlap" in refused(tmp_path, patched(data, b"PK\1\2", 42, inside))


@pytest.mark.parametrize("garbage", [b"\xff" * 46, b"PK\1\2" + b"\xff" * 42])
def test_a_directory_of_garbage_is_refused(tmp_path: Path, garbage: bytes) -> None:
    data = wheel()
    at = data.index(b"PK\1\2")
    refused(tmp_path, data[:at] + garbage + data[at + 46 :])


def test_a_name_that_claims_utf8_and_is_none_is_refused(tmp_path: Path) -> None:
    data = archive([("d\u00e9mo.so", elf())])
    assert "cannot be read" in refused(tmp_path, data.replace("d\u00e9mo".encode(), b"d\xff\xffmo"))


def test_data_before_the_archive_is_recorded_and_the_rest_is_read(tmp_path: Path) -> None:
    with opened(tmp_path, b"#!/bin/sh\n" + wheel()) as found:
        assert found.problems == ("10 bytes precede the archive",)
        member = found.member(CORE)
        assert member is not None
        assert found.read(member) == elf()


@pytest.mark.parametrize(
    "name",
    [
        "../../evil.so",
        "/etc/evil.so",
        "demo/../../evil.so",
        "C:/evil.so",
        "..\\evil.so",
        "..",
        "../\u202eevil\x1b[2J.so",
    ],
)
def test_a_wheel_with_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    problem = refused(tmp_path, archive([(CORE, elf()), (name, EVIL)]))
    assert "leads out of the archive" in problem
    assert problem.isascii()
    assert problem.isprintable()
    assert list(tmp_path.iterdir()) == [tmp_path / NAME]


def test_a_name_with_a_zero_byte_is_refused(tmp_path: Path) -> None:
    data = archive([("demo/aXb.so", EVIL)]).replace(b"demo/aXb.so", b"demo/a\0b.so")
    assert "leads out" in refused(tmp_path, data)


def test_a_name_with_control_characters_is_recorded_escaped_and_never_read(tmp_path: Path) -> None:
    name = "demo/\u202eevil\x1b[2J.so"
    data = archive([(name, EVIL), (CORE, elf())])
    assert "control characters" in core_error(tmp_path, data, name)
    with opened(tmp_path, data) as found:
        assert all(each.isascii() and each.isprintable() for each in found.problems)
        core = found.member(CORE)
        assert core is not None
        assert found.read(core) == elf()


def test_a_name_of_no_declared_encoding_is_recorded(tmp_path: Path) -> None:
    data = archive([("demo/xx.so", EVIL)]).replace(b"demo/xx.so", b"demo/\xff\xfe.so")
    with opened(tmp_path, data) as found:
        assert any("not UTF-8" in each for each in found.problems)


def test_a_very_long_name_is_recorded_and_cut_in_messages(tmp_path: Path) -> None:
    with opened(tmp_path, archive([("x" * 5000 + ".so", EVIL)])) as found:
        (problem,) = (each for each in found.problems if "longer than" in each)
        assert len(problem) < 300


def test_two_members_of_one_name_are_recorded_and_neither_is_read(tmp_path: Path) -> None:
    data = archive([(CORE, elf()), (CORE, elf("other"))])
    assert "2 members have this name" in core_error(tmp_path, data)


def test_an_encrypted_member_is_not_read(tmp_path: Path) -> None:
    flagged = patched(patched(wheel(), b"PK\3\4", 6, b"\1\0"), b"PK\1\2", 8, b"\1\0")
    assert "encrypted" in core_error(tmp_path, flagged)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_wheels_do_not_use_is_not_read(tmp_path: Path, method: int) -> None:
    assert "compression method" in core_error(tmp_path, wheel(compression=method))


def test_a_crc_that_does_not_match_is_an_error(tmp_path: Path) -> None:
    lying = patched(patched(wheel(), b"PK\3\4", 14, b"\0\0\0\0"), b"PK\1\2", 16, b"\0\0\0\0")
    assert "CRC does not match" in core_error(tmp_path, lying)


def test_changed_data_is_an_error(tmp_path: Path) -> None:
    data = wheel(compression=zipfile.ZIP_STORED)
    assert "CRC does not match" in core_error(tmp_path, data.replace(b"PyInit__core", b"PyInit__cord"))


def test_data_that_is_no_deflate_stream_is_an_error(tmp_path: Path) -> None:
    data = wheel()
    at = 30 + len(CORE)
    assert "cannot be inflated" in core_error(tmp_path, data[:at] + b"\xff" * 8 + data[at + 8 :])


@pytest.mark.parametrize(
    ("offset", "value"), [(0, b"PK\7\7"), (8, b"\0\0"), (14, b"abcd"), (18, b"\1\0\0\0"), (22, b"\1\0\0\0"), (31, b"!")]
)
def test_a_local_header_that_tells_another_tale_is_an_error(tmp_path: Path, offset: int, value: bytes) -> None:
    data = wheel()
    lying = data[:offset] + value + data[offset + len(value) :]
    assert "local header disagrees" in core_error(tmp_path, lying)


def test_a_local_header_that_pushes_the_data_into_the_next_member_is_an_error(tmp_path: Path) -> None:
    data = wheel()
    assert "overlaps the next member" in core_error(tmp_path, data[:28] + b"\xff\x7f" + data[30:])


@pytest.mark.parametrize("change", [-5, 5, 4000])
def test_a_member_that_inflates_to_another_size_than_announced_is_an_error(tmp_path: Path, change: int) -> None:
    data = wheel()
    size = struct.pack("<I", len(elf()) + change)
    lying = patched(patched(data, b"PK\3\4", 22, size), b"PK\1\2", 24, size)
    assert "inflates to" in core_error(tmp_path, lying)


def test_a_bomb_is_not_inflated(tmp_path: Path) -> None:
    data = wheel({CORE: elf(mapped=bytes(64 << 20))})
    assert "more than 200 times its size" in core_error(tmp_path, data)


def test_a_bomb_that_hides_its_size_inflates_no_further_than_announced(tmp_path: Path) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = compressor.compress(bytes(64 << 20)) + compressor.flush()
    data = archive([(CORE, bomb)], compression=zipfile.ZIP_STORED)
    size, method = struct.pack("<I", 1 << 20), b"\x08\0"
    for signature, at_size, at_method in ((b"PK\3\4", 22, 8), (b"PK\1\2", 24, 10)):
        data = patched(patched(data, signature, at_size, size), signature, at_method, method)
    assert "inflates to more than was announced" in core_error(tmp_path, data)


def test_a_member_larger_than_the_limit_is_not_read(tmp_path: Path) -> None:
    with opened(tmp_path, wheel(), Limits(member=64)) as found:
        member = found.member(CORE)
        assert member is not None
        with pytest.raises(ArchiveError, match="more than 64"):
            found.read(member)


def test_the_other_members_are_read_when_one_is_broken(tmp_path: Path) -> None:
    other = "demo/other.cpython-314t-x86_64-linux-gnu.so"
    data = wheel({CORE: elf(), other: elf("other")})
    lying = patched(data, b"PK\3\4", 14, b"abcd", name=CORE.encode())
    with opened(tmp_path, lying) as found:
        images = {image.member.name: image for image in found.read_images(found.members)}
    assert images[CORE].error is not None
    assert images[other].data == elf("other")


def test_an_archive_comment_and_zip64_records_are_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file, file.open(zipfile.ZipInfo(CORE), "w", force_zip64=True) as member:
        member.write(elf())
    for data in (buffer.getvalue(), wheel(comment=b"PK\5\6 " + b"x" * 3000)):
        with opened(tmp_path, data) as found:
            core = found.member(CORE)
            assert core is not None
            assert found.problems == ()
            assert found.read(core) == elf()


def test_sizes_that_follow_the_data_are_read(tmp_path: Path) -> None:
    class Unseekable(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object, /) -> int:
            self.data += bytes(data)  # type: ignore[call-overload]
            return len(bytes(data))  # type: ignore[call-overload]

    stream = Unseekable()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(CORE, elf())
        file.writestr("last.py", b"")
    with opened(tmp_path, stream.data) as found:
        core = found.member(CORE)
        assert core is not None
        assert core.flags & 8
        assert found.read(core) == elf()
