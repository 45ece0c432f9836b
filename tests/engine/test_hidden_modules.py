"""Modules that no list of modules has: every file that CPython could load is read, in a wheel of any tag."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.command import check, ftaudit
from support.distributions import wheel
from support.index_server import IndexServer, ServedFile
from support.wheels import elf, incompressible

IMAGES = Path(__file__).parents[2] / "fixtures" / "binaries" / "linux-x86_64"
LIBRARIES = IMAGES.parent / "libraries" / "linux-x86_64"
PLATFORM = "manylinux_2_17_x86_64"
SUFFIX = ".cpython-314t-x86_64-linux-gnu.so"
NATIVE, PURE = f"cp314-cp314t-{PLATFORM}", "py3-none-any"


def image(case: str) -> bytes:
    return (IMAGES / f"{case}{SUFFIX}").read_bytes()


GUILTY, GOOD = image("multi_used"), image("multi_not_used")
NO_HOOK = (LIBRARIES / "libdecides.so").read_bytes()
UNICODE = GUILTY.replace(b"PyInit_multi_used", b"PyInitU_modul_fsa")
LINKED = elf("spam", hook="", mapped=b"libhook-0a1b2c3d.so\0" + bytes(256))
LARGE = GUILTY + incompressible(300_000)
PADDED = GUILTY + bytes(20 << 20)

PLACES: Mapping[str, tuple[str, Mapping[str, bytes]]] = {
    "hyphen": (NATIVE, {f"pkg/multi-used{SUFFIX}": GUILTY}),
    "hyphen-plain": (NATIVE, {"pkg/multi-used.so": GUILTY}),
    "unicode": (NATIVE, {f"pkg/modulé{SUFFIX}": UNICODE}),
    "pure-tagged": (PURE, {f"pkg/multi_used{SUFFIX}": GUILTY}),
    "pure-plain": (PURE, {"multi_used.so": GUILTY}),
    "pure-dylib": (PURE, {"pkg/multi_used.dylib": GUILTY}),
    "pure-large": (PURE, {"pkg/multi_used.so": LARGE}),
    "data-data": (NATIVE, {f"NAME-1.0.data/data/share/multi_used{SUFFIX}": GUILTY}),
    "data-purelib": (PURE, {"NAME-1.0.data/purelib/pkg/multi_used.so": GUILTY}),
    "data-platlib": (PURE, {"NAME-1.0.data/platlib/pkg/multi_used.so": GUILTY}),
    "data-scripts": (PURE, {"NAME-1.0.data/scripts/multi_used": GUILTY}),
    "data-headers": (PURE, {"NAME-1.0.data/headers/multi_used.so": GUILTY}),
    "libs": (NATIVE, {"NAME.libs/multi_used.so": GUILTY, f"pkg/multi_not_used{SUFFIX}": GOOD}),
    "libs-hash": (NATIVE, {"NAME.libs/libmulti_used-0a1b2c3d.so.1": GUILTY, f"pkg/multi_not_used{SUFFIX}": GOOD}),
    "dylibs": (NATIVE, {"pkg/.dylibs/multi_used.so": GUILTY}),
    "symbols": (NATIVE, {f"pkg/a{SUFFIX}.dSYM/Contents/Resources/DWARF/multi_used{SUFFIX}": GUILTY}),
    "soversion": (NATIVE, {"pkg/multi_used.so.1.2": GUILTY, "pkg/multi_used.so.1": GUILTY}),
    "linker-name": (NATIVE, {"pkg/multi_used.so": GUILTY, "pkg/multi_used.so.1": GOOD}),
    "dll": (PURE, {"pkg/multi_used.dll": GUILTY}),
    "bundle": (PURE, {"pkg/multi_used.bundle": GUILTY}),
    "no-extension": (PURE, {"pkg/multi_used": GUILTY}),
    "odd-extension": (PURE, {"pkg/multi_used.plugin": GUILTY}),
    "another-hook": (NATIVE, {f"pkg/other{SUFFIX}": GUILTY}),
    "hook-in-library": (NATIVE, {f"pkg/multi_used{SUFFIX}": NO_HOOK, "pkg/libhook.so.1": GUILTY}),
    "hook-in-large-library": (
        NATIVE,
        {f"pkg/multi_used{SUFFIX}": LINKED, "NAME.libs/libhook-0a1b2c3d.so": LARGE},
    ),
    "large-library-of-nobody": (NATIVE, {f"pkg/multi_not_used{SUFFIX}": GOOD, "pkg/multi_used.so.3": LARGE}),
    "large-library-of-a-module": (
        NATIVE,
        {f"pkg/multi_not_used{SUFFIX}": GOOD + b"libmulti_used.so.3\0", "pkg/libmulti_used.so.3": LARGE},
    ),
    "large-libs-hash": (
        NATIVE,
        {"NAME.libs/libmulti_used-0a1b2c3d.so.1": LARGE, f"pkg/multi_not_used{SUFFIX}": GOOD},
    ),
    "large-dylibs": (NATIVE, {"pkg/.dylibs/multi_used.dylib": LARGE, f"pkg/multi_not_used{SUFFIX}": GOOD}),
    "large-odd-extension": (PURE, {"pkg/multi_used.plugin": LARGE}),
    "shadowed": (NATIVE, {f"pkg/multi_used{SUFFIX}": image("single_set"), "pkg/multi_used.so.1": GUILTY}),
}
INNOCENT: Mapping[str, tuple[str, Mapping[str, bytes], str]] = {
    "good-hyphen": (NATIVE, {f"pkg/multi-not-used{SUFFIX}": GOOD}, "ready"),
    "good-in-pure": (PURE, {"pkg/multi_not_used.so": GOOD}, "ready"),
    "library-in-pure": (PURE, {"pkg/libdecides.so": NO_HOOK, "pkg/libother.so.2": NO_HOOK}, "pure"),
    "other-system-in-pure": (
        PURE,
        {
            "pkg/multi_used.cp314t-win_amd64.pyd": next(
                (IMAGES.parent / "windows-amd64").glob("multi_used.*")
            ).read_bytes()
        },
        "pure",
    ),
    "text": (PURE, {"pkg/data": b"no image at all" * 100, "pkg/notes.so.txt": b"MZ is how it begins" * 50}, "pure"),
    "padded": (
        NATIVE,
        {f"pkg/multi_not_used{SUFFIX}": GOOD, "NAME.libs/libpad-0a1b2c3d.so.6": NO_HOOK + bytes(4 << 20)},
        "ready",
    ),
    "large-linked": (
        NATIVE,
        {
            f"pkg/multi_not_used{SUFFIX}": GOOD + b"libz.so.1\0",
            "pkg/libz.so.1": NO_HOOK + incompressible(300_000),
            "pkg/model.weights": incompressible(300_000),
        },
        "ready",
    ),
    "padded-data": (PURE, {"pkg/model.weights": bytes(20 << 20)}, "pure"),
    "padded-module": (PURE, {"pkg/multi_used.plugin": PADDED}, "unknown"),
    "linked": (NATIVE, {f"pkg/multi_not_used{SUFFIX}": GOOD + b"libz.so.1\0", "pkg/libz.so.1": NO_HOOK}, "ready"),
}


def served(case: str, tag: str, members: Mapping[str, bytes]) -> ServedFile:
    """Return a wheel of these members, in which `NAME` is the distribution's name."""
    empty = wheel(case, "1.0", tag=tag)
    buffer = io.BytesIO(empty.data)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(member.replace("NAME", case.replace("-", "_")), data)
    return ServedFile(filename=empty.filename, data=buffer.getvalue())


WHEELS = {case: served(case, *found) for case, found in PLACES.items()} | {
    case: served(case, tag, members) for case, (tag, members, _) in INNOCENT.items()
}


def assert_all_found(verdicts: Mapping[str, str]) -> None:
    """Assert that each hidden module blocks, and that an innocent one does not."""
    assert {case: verdicts[case] for case in PLACES if verdicts[case] != "reenables-gil"} == {}
    assert {case: verdicts[case] for case in INNOCENT} == {case: want for case, (*_, want) in INNOCENT.items()}


@pytest.mark.parametrize("ranges", [True, False])
def test_hidden_modules_of_remote_wheels_block(tmp_path: Path, ranges: bool) -> None:
    with IndexServer() as server:
        for case, file in WHEELS.items():
            server.add_project(case, [ServedFile(filename=file.filename, data=file.data, ranges=ranges)])
        pins = tmp_path / "requirements.txt"
        pins.write_text("".join(f"{case}==1.0\n" for case in WHEELS))
        done = check(pins, "--static", "--index-url", server.simple_url, "--platform", "linux-x86_64", cwd=tmp_path)
    assert_all_found(done.verdicts)
    assert done.code == 1


def test_hidden_modules_of_local_wheels_block(tmp_path: Path) -> None:
    for file in WHEELS.values():
        (tmp_path / file.filename).write_bytes(file.data)
    files = sorted(tmp_path.glob("*.whl"))
    done = ftaudit("wheel", *files, "--platform", "linux-x86_64", "--format", "json", cwd=tmp_path)
    assert_all_found({row["name"]: row["verdict"] for row in json.loads(done.stdout)["packages"]})
    assert done.returncode == 1


def test_hidden_modules_of_environments_block(tmp_path: Path) -> None:
    """An installer leaves no `.data` folder, and files that it puts outside site-packages are invisible."""
    folder = tmp_path / "lib" / "python3.14t" / "site-packages"
    for file in WHEELS.values():
        with zipfile.ZipFile(io.BytesIO(file.data)) as archive:
            for member in archive.namelist():
                place = member.replace("pkg/", f"{file.filename.partition('-')[0]}/")
                path = folder / (place.partition(".data/")[2].partition("/")[2] if ".data/" in place else place)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(member))
    done = check("--env", tmp_path, "--static", "--offline", "--platform", "linux-x86_64", cwd=tmp_path)
    listed = {case for case in PLACES if not case.startswith("data-") and case != "pure-plain"}
    assert {case: done.verdicts[case] for case in listed if done.verdicts[case] != "reenables-gil"} == {}
    assert done.code == 1
