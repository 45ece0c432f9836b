from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from support.distributions import wheel
from support.selection import write
from uv import find_uv_bin

from ftaudit.errors import InputError
from ftaudit.lockfiles import ResolveOptions, Selection, find_environment, pins, read
from ftaudit.model import Pin
from ftaudit.target import parse_platform, parse_target


def select(folder: Path, platform: str = "linux-x86_64") -> Selection:
    found = read(find_environment(folder))
    return pins(found, parse_target("3.14t"), parse_platform(platform), ResolveOptions())


def by_name(selection: Selection) -> dict[str, Pin]:
    return {pin.name: pin for pin in selection.pins}


def install(folder: Path, name: str, version: str = "1", *, requires: tuple[str, ...] = (), **files: str) -> Path:
    """Write the metadata of an installed distribution; `files` are further ones of its dist-info."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {r}" for r in requires),
    ]
    write(info, "METADATA", "\n".join([*lines, "", "The description.", "Requires-Dist: not-this", ""]))
    for file, text in files.items():
        write(info, file.replace("__", "."), text)
    return info


@pytest.mark.parametrize("what", ["missing", "file", "empty", "project"])
def test_what_is_no_environment_is_an_error(tmp_path: Path, what: str) -> None:
    path = tmp_path / what
    if what == "file":
        path.write_text("")
    elif what != "missing":
        path.mkdir()
    if what == "project":
        write(path, "requirements.txt", "a==1\n")
    with pytest.raises(InputError, match=r"does not exist|is not a folder|has no installed package") as caught:
        find_environment(path)
    assert "virtual environment" in (caught.value.hint or "")


def test_packages_of_two_pythons_are_an_error_that_names_one(tmp_path: Path) -> None:
    for version in ("python3.12", "python3.13"):
        install(tmp_path / "lib" / version / "site-packages", "a")
    with pytest.raises(InputError, match=r"python3\.12, python3\.13") as caught:
        find_environment(tmp_path)
    assert "site-packages" in (caught.value.hint or "")


HOSTILE = {
    "nothing": "",
    "no name": "Metadata-Version: 2.1\nVersion: 1\n",
    "no version": "Metadata-Version: 2.1\nName: x\n",
    "bad name": "Name: ../../etc\nVersion: 1\n",
    "bad version": "Name: x\nVersion: one\n",
    "digits": "Name: x\nVersion: " + "9" * 5000 + "\n",
    "bytes": "Name: \udcff\nVersion: \udcfe\n",
    "long": "X: " + "y" * 40_000_000,
    "many": "Name: x\nVersion: 1\n" + "Requires-Dist: y\n" * 6000,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_metadata_is_a_row_and_loses_nothing_else(tmp_path: Path, what: str) -> None:
    install(tmp_path, "good")
    info = tmp_path / "x-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_bytes(HOSTILE[what].encode("utf-8", "surrogateescape"))
    found = by_name(select(tmp_path))
    assert set(found) == {"good", "x"}
    assert found["x"].problem
    assert found["good"].problem is None


@pytest.mark.parametrize("line", ["y ==", "y; python_version ~= 'x'", "y; x ==", "((((", "y>=" + "9" * 5000, "y[", "@"])
def test_a_hostile_requirement_is_said_and_loses_nothing_else(tmp_path: Path, line: str) -> None:
    install(tmp_path, "x", requires=(line, "y"))
    install(tmp_path, "y")
    found = select(tmp_path)
    assert by_name(found)["y"].required_by == (("x", "y"),)
    assert any("skipped an invalid requirement" in said for said in found.incomplete)


@pytest.mark.parametrize("text", ["", "3", "{}", "{", "[" * 100_000, '{"url": 3}', '{"url": "https://x.example/"}'])
def test_a_hostile_direct_url_is_a_row(tmp_path: Path, text: str) -> None:
    install(tmp_path, "x", direct_url__json=text)
    assert len(select(tmp_path).pins) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_devices_and_loops_do_not_make_it_wait(tmp_path: Path) -> None:
    for name in ("piped", "endless", "looped"):
        (tmp_path / f"{name}-1.dist-info").mkdir()
    os.mkfifo(tmp_path / "piped-1.dist-info" / "METADATA")
    (tmp_path / "endless-1.dist-info" / "METADATA").symlink_to("/dev/zero")
    (tmp_path / "looped-1.dist-info" / "METADATA").symlink_to("METADATA")
    assert {name: bool(pin.problem) for name, pin in by_name(select(tmp_path)).items()} == {
        "piped": True,
        "endless": True,
        "looped": True,
    }


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    install(tmp_path, "x", requires=("gone>=1", "not-here; sys_platform == 'win32'"))
    found = select(tmp_path)
    assert found.incomplete == (f"x 1 needs gone, which is not in {tmp_path}",)
    assert len(select(tmp_path, "windows-amd64").incomplete) == 2


def test_an_installation_from_elsewhere_is_said(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    local = tmp_path / "here-1-py3-none-any.whl"
    local.write_bytes(b"")
    origins: dict[str, Any] = {
        "cloned": {"url": "https://user:secret@code.example/x.git", "vcs_info": {"vcs": "git", "commit_id": "0"}},
        "edited": {"url": (tmp_path / "lib").as_uri(), "dir_info": {"editable": True}},
        "moved": {"url": (tmp_path / "gone").as_uri(), "dir_info": {"editable": True}},
        "fetched": {
            "url": "https://files.example/fetched-1-py3-none-any.whl",
            "archive_info": {"hashes": {"sha256": "00"}},
        },
        "here": {"url": local.as_uri(), "archive_info": {}},
        "away": {"url": (tmp_path / "away-1-py3-none-any.whl").as_uri(), "archive_info": {}},
    }
    for name, origin in origins.items():
        install(tmp_path, name, direct_url__json=json.dumps(origin))
    found = by_name(select(tmp_path))
    assert "repository (https://code.example/x.git)" in (found["cloned"].problem or "")
    assert found["edited"].source_tree == str(tmp_path / "lib")
    assert "does not exist" in (found["moved"].problem or "")
    assert "no longer exists" in (found["away"].problem or "")
    files = {name: pin.files[0] for name, pin in found.items() if pin.files}
    assert files["fetched"].url == "https://files.example/fetched-1-py3-none-any.whl"
    assert files["fetched"].sha256 == "00"
    assert files["here"].url == local.as_uri()


def test_what_was_not_asked_for_comes_through_an_extra(tmp_path: Path) -> None:
    install(tmp_path, "root", requires=("part; extra == 'more'", "base"), REQUESTED="")
    for name in ("part", "base"):
        install(tmp_path, name)
    found = by_name(select(tmp_path))
    assert found["root"].required_by == (("root",),)
    assert found["part"].required_by == (("root", "part"),)
    assert found["base"].required_by == (("root", "base"),)


def test_where_nobody_says_what_was_asked_for_an_extra_explains_nothing(tmp_path: Path) -> None:
    install(tmp_path, "root", requires=("part; extra == 'more'",))
    install(tmp_path, "part")
    assert by_name(select(tmp_path))["part"].required_by == (("part",),)


def test_what_was_asked_for_and_is_needed_too_says_both(tmp_path: Path) -> None:
    install(tmp_path, "root", requires=("base",), REQUESTED="")
    install(tmp_path, "base", REQUESTED="")
    install(tmp_path, "other")
    assert by_name(select(tmp_path))["base"].required_by == (("base",), ("root", "base"))


def test_old_installations_are_rows(tmp_path: Path) -> None:
    egg = tmp_path / "old_one-2-py3.12.egg-info"
    write(egg, "PKG-INFO", "Metadata-Version: 1.1\nName: old-one\nVersion: 2\n")
    write(egg, "requires.txt", "needed>=1\n\n[:sys_platform == 'win32']\nonly-there\n\n[fast]\nspeedup\n")
    write(tmp_path, "flat-3.egg-info", "Metadata-Version: 1.1\nName: flat\nVersion: 3\n")
    (tmp_path / "lib").mkdir()
    write(tmp_path, "linked.egg-link", f"{tmp_path / 'lib'}\n.\n")
    install(tmp_path, "needed")
    found = select(tmp_path)
    rows = by_name(found)
    assert {name: str(pin.version) for name, pin in rows.items()} == {
        "old-one": "2", "flat": "3", "linked": "None", "needed": "1",
    }  # fmt: skip
    assert rows["linked"].source_tree == str(tmp_path / "lib")
    assert rows["needed"].required_by == (("old-one", "needed"),)
    assert not found.incomplete
    assert any("an obsolete way (egg-info): flat, linked, old-one" in note for note in found.notes)


def test_what_is_not_the_indexs_is_noted(tmp_path: Path) -> None:
    tag = "Wheel-Version: 1.0\nTag: cp312-cp312-linux_x86_64\n"
    install(tmp_path, "built", RECORD="built.so,,\n", WHEEL=tag)
    install(tmp_path, "pure", RECORD="pure.py,,\n", WHEEL=tag)
    install(tmp_path, "from-conda", RECORD="", INSTALLER="conda\n")
    install(tmp_path, "bare")
    install(tmp_path, "twice", RECORD="")
    install(tmp_path, "twice", "2", RECORD="")
    notes = "\n".join(select(tmp_path).notes)
    assert "built on this machine; the index's files of the same version are checked instead: built\n" in notes
    assert "installed by conda; the index's files of the same version are checked instead: from-conda" in notes
    assert "installed without a RECORD of its files: bare" in notes
    assert "installed more than once: twice" in notes


def test_a_virtual_environment_says_which_python_it_has(tmp_path: Path) -> None:
    write(tmp_path, "pyvenv.cfg", "home = /usr\ninclude-system-site-packages = true\nversion = 3.12.4\n")
    install(tmp_path / "lib" / "python3.12" / "site-packages", "a")
    found = select(tmp_path)
    assert "is an environment of Python 3.12.4" in found.notes[0]
    assert "also uses the system's packages" in found.notes[1]
    assert [str(pin.version) for pin in found.pins] == ["1"]


def test_what_an_installer_puts_there_is_read_without_running_any_of_it(tmp_path: Path) -> None:
    links, target, canary = tmp_path / "links", tmp_path / "target", tmp_path / "canary"
    links.mkdir()
    for file in (
        wheel("app", "1.0", requires=["lib[fast]>=1", "win; sys_platform == 'win32'"]),
        wheel("lib", "1.5", requires=["speedup; extra == 'fast'"], extras=["fast"]),
        wheel("speedup", "3.0"),
    ):
        (links / file.filename).write_bytes(file.data)
    with zipfile.ZipFile(links / "app-1.0-py3-none-any.whl", "a") as archive:
        trap = f"import os; os.mkdir({str(canary)!r})\n"
        archive.writestr("app/__init__.py", trap)
        archive.writestr("app.pth", trap)
        archive.writestr("sitecustomize.py", trap)
    command = [find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--no-index", "--find-links", str(links)]
    subprocess.run([*command, "--target", str(target), "app"], check=True, cwd=tmp_path, capture_output=True)
    found = by_name(select(target))
    assert {name: str(pin.version) for name, pin in found.items()} == {"app": "1.0", "lib": "1.5", "speedup": "3.0"}
    assert found["speedup"].required_by[-1] == ("app", "lib", "speedup")
    assert found["lib"].extras == ("fast",)
    assert not canary.exists()
