"""Unpacking of hostile source distributions."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from ftaudit.errors import ArchiveError
from ftaudit.registry import load_rules
from ftaudit.rule import SourceRule
from ftaudit.source.declaring_files import declaring_files
from ftaudit.source.sdist import found_in, unpack, unpacked


def tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, data in members:
            info.size = len(data) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(data))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


@pytest.mark.parametrize(
    "bad",
    [
        member("../outside.py"),
        member("pkg/../../outside.py"),
        member("/outside.py"),
        member("C:\\outside.py"),
        member("pkg\\..\\..\\outside.py"),
        member("pkg/link.py", tarfile.SYMTYPE, "/etc/passwd"),
        member("pkg/hard.py", tarfile.LNKTYPE, "pkg/good.py"),
        member("pkg/device.py", tarfile.CHRTYPE),
        member("pkg/pipe.py", tarfile.FIFOTYPE),
        member("pkg/good.py/below.py"),
    ],
    ids=lambda info: info.name,
)
def test_what_leads_out_or_is_no_plain_file_is_left_out(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    archive = tar(tmp_path / "x-1.tar.gz", [(member("pkg/good.py"), b"x = 1\n"), (bad, b"bad")])
    folder = tmp_path / "out" / "in"
    folder.mkdir(parents=True)
    left_out = unpack(archive, folder)
    assert len(left_out) == 1
    assert [path.name for path in (tmp_path / "out").rglob("*.py")] == ["good.py"]
    assert (folder / "pkg" / "good.py").read_bytes() == b"x = 1\n"


def test_a_link_to_a_folder_outside_does_not_redirect_later_members(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    archive = tar(
        tmp_path / "x-1.tar.gz",
        [(member("pkg", tarfile.SYMTYPE, str(away)), b""), (member("pkg/a.py"), b"x = 1\n")],
    )
    with unpacked(archive, tmp_path / "scratch") as (folder, left_out):
        assert (folder / "pkg" / "a.py").is_file()
        assert len(left_out) == 1
    assert list(away.iterdir()) == []
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x1f\x8b\x08" + b"\0" * 40])
@pytest.mark.parametrize("name", ["x-1.tar.gz", "x-1.zip"])
def test_a_damaged_archive_is_an_archive_error(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ArchiveError, match=name):
        unpack(tmp_path / name, tmp_path)


def test_a_truncated_archive_is_an_archive_error(tmp_path: Path) -> None:
    whole = tar(tmp_path / "x-1.tar.gz", [(member("a.py"), bytes(range(256)) * 400)]).read_bytes()
    (tmp_path / "y-1.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArchiveError):
        unpack(tmp_path / "y-1.tar.gz", tmp_path)


def test_a_zip_is_unpacked_without_its_links(tmp_path: Path) -> None:
    path = tmp_path / "x-1.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x-1/a.py", "x = 1\n")
        link = zipfile.ZipInfo("x-1/link.py")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    folder = tmp_path / "out"
    folder.mkdir()
    assert unpack(path, folder) == ("x-1/link.py: a link",)
    assert [file.name for file in folder.rglob("*.py")] == ["a.py"]


def test_only_files_that_can_hold_a_declaration_are_unpacked_for_a_forecast(tmp_path: Path) -> None:
    files = {
        "README.md": b"PyInit_m",
        "pyproject.toml": b"",
        "m.pyx": b"",
        "lib.rs": b"",
        "a.py": b"",
        "hook.c": b"PyMODINIT_FUNC PyInit_m(void) {}\n",
        "macro.h": b"#define INIT_MODULE(name) x\n",
        "plain.c": b"int x;\n",
        "plain.h": b"int x;\n",
        "odd.c": b"\0",
        "third_party/hook.c": b"PyMODINIT_FUNC PyInit_n(void) {}\n",
        "third_party/LICENSE": b"",
    }
    archive = tar(tmp_path / "x-1.tar.gz", [(member(f"x-1/{name}"), data) for name, data in files.items()])
    rules = [r for r in load_rules().rules if isinstance(r, SourceRule) and r.info.declares is not None]
    with found_in(archive, tmp_path / "unpacked", only=declaring_files(rules)) as found:
        names = [file.shown.removeprefix("x-1/") for file in found.files]
    assert names == ["a.py", "hook.c", "lib.rs", "m.pyx", "macro.h", "odd.c", "pyproject.toml"]
