"""Conda packages in a folder are treated like wheels; a faulty one is a row."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

import pytest
from support.command import check, ftaudit
from support.conda_packages import SITE, compress, link, write_conda

from ftaudit.errors import ArchiveError
from ftaudit.wheel.conda_package import is_conda, read_conda_package

IMAGES = Path(__file__).parents[2] / "fixtures" / "binaries" / "linux-x86_64"
EXT = ".cpython-314t-x86_64-linux-gnu.so"
OFF, ON = (IMAGES / f"multi_{name}{EXT}" for name in ("not_used", "used"))
METADATA = "demo-1.0.dist-info/METADATA"
NOTHING = {f"{SITE}/demo/__init__.py": b""}


def modules(image: Path, site: str = SITE) -> dict[str, bytes]:
    return {f"{site}/demo/{image.name}": image.read_bytes()}


def stated(*requires: str) -> bytes:
    return "\n".join(("Metadata-Version: 2.1", *(f"Requires-Dist: {line}" for line in requires), "", "")).encode()


def test_conda_packages_are_judged_like_wheels(tmp_path: Path) -> None:
    gil = {"depends": ["python_abi 3.14.* *_cp314"]}
    noarch = {"noarch": "python", "subdir": "noarch", "build": "pyhd8ed1ab_0", "depends": ["python >=3.10"]}
    write_conda(tmp_path, "good", {**modules(OFF), f"{SITE}/{METADATA}": stated("bad", "absent; extra == 'x'")})
    write_conda(tmp_path, "bad", modules(ON), suffix=".tar.bz2")
    write_conda(tmp_path, "gil-build", modules(OFF, "lib/python3.14/site-packages"), **gil)
    write_conda(tmp_path, "of-windows", modules(OFF, "Lib/site-packages"), subdir="win-64")
    write_conda(tmp_path, "pure", {"site-packages/pure/__init__.py": b"", "info/files": b""}, **noarch)
    write_conda(tmp_path, "newer", modules(OFF), depends=["__glibc >=2.99", "python_abi 3.14.* *_cp314t"])
    write_conda(tmp_path, "linked", modules(OFF), more=[link(f"{SITE}/demo/other{EXT}", OFF.name)])
    write_conda(tmp_path, "libthing", {"lib/libthing.so.1": b"\x7fELF"}, depends=[], build="h0_0")
    write_conda(tmp_path, "python", {f"{SITE}/README.txt": b""})
    # Of two builds of one release, conda and installers of wheels take the one with the higher number.
    write_conda(tmp_path, "twice", modules(ON), build="h1_1", build_number=1)
    write_conda(tmp_path, "twice", modules(OFF), build="h1_2", build_number=2)
    answer = check("--offline", "--platform", "linux-x86_64", "--static", str(tmp_path), cwd=tmp_path)
    assert answer.verdicts == {
        "bad": "reenables-gil",
        "gil-build": "unavailable",
        "good": "ready",
        "linked": "ready",
        "newer": "unavailable",
        "of-windows": "unavailable",
        "pure": "pure",
        "twice": "ready",
    }
    notes = " ".join(answer.document["notes"])
    assert "conda packages are treated like wheels" in notes
    assert "libthing-1.0-h0_0.conda, python-1.0-py314_0.conda" in notes
    assert answer.rows["bad"]["required_by"] == [["good", "bad"]]


@pytest.mark.parametrize(
    ("name", "files", "more", "index", "told"),
    [
        ("up", {"../../evil.so": b""}, [], {}, "leads out"),
        ("root", {"/etc/evil.so": b""}, [], {}, "leads out"),
        ("drive", {"C:/evil.pyd": b""}, [], {}, "leads out"),
        ("device", NOTHING, ["device"], {}, "not a regular file"),
        (
            "astray",
            modules(OFF),
            [link(f"{SITE}/demo/x{EXT}", "../../../../etc/passwd")],
            {},
            "a link to a file that was not read",
        ),
        ("bomb", {f"{SITE}/demo/zeros{EXT}": bytes(40 << 20)}, [], {}, "too large when unpacked"),
        ("noarch-module", modules(OFF, "site-packages"), [], {"noarch": "python", "subdir": "noarch"}, "noarch"),
        (
            "nameless",
            {"Lib/site-packages/x.pyd": b""},
            [],
            {"depends": [], "build": "0"},
            "which Python version it is for",
        ),
        ("mars", modules(OFF), [], {"subdir": "mars-64"}, "mars-64"),
        ("epochal", modules(OFF), [], {"version": "9e"}, "not a valid version of a Python package"),
        ("number", modules(OFF), [], {"build_number": "many"}, "malformed"),
    ],
)
def test_a_hostile_conda_package_is_refused(
    tmp_path: Path, name: str, files: dict[str, bytes], more: list[object], index: dict[str, object], told: str
) -> None:
    device = tarfile.TarInfo(f"{SITE}/demo/device")
    device.type = tarfile.CHRTYPE
    members = [member if isinstance(member, tarfile.TarInfo) else device for member in more]
    for suffix in (".conda", ".tar.bz2"):
        path = write_conda(tmp_path, name, files, suffix=suffix, more=members, **index)
        with pytest.raises(ArchiveError, match=told):
            read_conda_package(path)


def test_a_damaged_conda_package_is_refused(tmp_path: Path) -> None:
    good = write_conda(tmp_path, "good", modules(OFF))
    data = good.read_bytes()
    (tmp_path / "other-2.0-0.conda").write_bytes(data)
    huge = tarfile.TarInfo("pax")
    huge.type, huge.size = tarfile.XHDTYPE, 3 << 30
    at = data.index(b"\x28\xb5\x2f\xfd")
    for number, odd in enumerate((b"", b"PK", data[:900], data[:at] + bytes(64) + data[at + 64 :], huge.tobuf())):
        (tmp_path / f"bad-{number}-0.conda").write_bytes(odd)
    assert not is_conda(tmp_path / "bad-1.0.tar.bz2")
    for path in (tmp_path / "other-2.0-0.conda", *tmp_path.glob("bad-*.conda")):
        with pytest.raises(ArchiveError):
            read_conda_package(path)
    answer = check("--offline", "--platform", "linux-x86_64", "--static", str(tmp_path), cwd=tmp_path)
    assert answer.verdicts == {"bad": "unknown", "good": "ready", "other": "unknown"}
    assert "its info/index.json is for good-1.0-py314_0" in answer.reasons("other")


def test_an_oversized_header_is_refused_before_it_is_read(tmp_path: Path) -> None:
    huge = tarfile.TarInfo("pax")
    huge.type, huge.size = tarfile.XHDTYPE, 1 << 30
    path = write_conda(tmp_path, "huge", {})
    whole = path.read_bytes()
    assert compress(b"")[:4] in whole
    import bz2

    path = tmp_path / "huge-1.0-0.tar.bz2"
    path.write_bytes(bz2.compress(huge.tobuf() + bytes(4096)))
    with pytest.raises(ArchiveError, match="a header of"):
        read_conda_package(path)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="the standard library reads Zstandard")
def test_without_zstandard_the_row_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_conda(tmp_path, "good", modules(OFF))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ArchiveError, match=r"pip install 'ftaudit\[conda\]'"):
        read_conda_package(path)


def test_the_wheel_command_reads_conda_packages(tmp_path: Path) -> None:
    bad = write_conda(tmp_path, "bad", modules(ON))
    library = write_conda(tmp_path, "libthing", {"lib/libthing.so.1": b"\x7fELF"}, depends=[], build="h0_0")
    answer = ftaudit("wheel", str(bad), str(library), cwd=tmp_path)
    assert "bad 1.0  reenables-gil" in answer.stdout
    assert "libthing-1.0-h0_0.conda has no Python package" in answer.stdout + answer.stderr
