"""Modules for machines that ftaudit does not emulate: reported, and accepted only at the user's request."""

from __future__ import annotations

import struct
from pathlib import Path

from support.command import ftaudit
from support.wheels import wheel

FIXTURES = Path(__file__).parents[2] / "fixtures" / "binaries" / "linux-x86_64"
ALLOW = "--allow-machines"
PPC = 21


def write(folder: Path, platform: str, cases: tuple[str, ...], machine: int | None = None) -> str:
    """Write a wheel of fixtures whose headers name another machine."""
    members = {}
    for case in cases:
        (path,) = FIXTURES.glob(f"{case}.*")
        image = bytearray(path.read_bytes())
        if machine is not None:
            struct.pack_into("<H", image, 18, machine)
        members[f"demo/{case}.so"] = bytes(image)
    tag = f"cp314-cp314t-manylinux_2_17_{platform}"
    (folder / f"demo-1.0-{tag}.whl").write_bytes(wheel(members, tags=(tag,)))
    return f"demo-1.0-{tag}.whl"


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    ran = ftaudit("wheel", "--offline", "--quiet", *arguments, cwd=folder)
    return ran.returncode, ran.stdout + ran.stderr


def test_a_machine_that_is_not_emulated_fails_unless_it_is_allowed(tmp_path: Path) -> None:
    name = write(tmp_path, "ppc64le", ("multi_not_used",), PPC)
    assert run(tmp_path, name)[0] == 3
    code, said = run(tmp_path, ALLOW, name)
    assert code == 0
    assert "NOT SURE" in said and "manylinux_2_17_ppc64le (ignored: --allow-machines)" in said


def test_what_else_could_not_be_checked_is_not_allowed_with_it(tmp_path: Path) -> None:
    write(tmp_path, "ppc64le", ("multi_not_used",), PPC)
    undetermined = write(tmp_path, "x86_64", ("endless",))
    assert run(tmp_path, ALLOW, undetermined)[0] == 3
    assert run(tmp_path, ALLOW, ".")[0] == 3


def test_what_blocks_blocks_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, "ppc64le", ("multi_not_used",), PPC)
    write(tmp_path, "x86_64", ("multi_used",))
    assert run(tmp_path, ALLOW, ".")[0] == 1
    damaged = tmp_path / "demo-1.0-cp314-cp314t-manylinux_2_17_ppc64le.whl"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    assert run(tmp_path, ALLOW, damaged.name)[0] == 1


def test_the_reason_is_said_once_for_all_modules_and_such_a_wheel_is_not_counted_as_read(tmp_path: Path) -> None:
    name = write(tmp_path, "ppc64le", ("multi_not_used", "multi_used", "multi_none"), PPC)
    _, said = run(tmp_path, name)
    assert said.count("ftaudit does not emulate ppc64le") == 1
    assert "0/1 binaries" in said
    assert "imports" not in said.partition("checked:")[2]


def test_the_answer_counts_the_platforms_that_block_and_those_that_are_not_known(tmp_path: Path) -> None:
    for platform in ("x86_64", "i686", "armv7l"):
        write(tmp_path, platform, ("multi_used",))
    write(tmp_path, "ppc64le", ("multi_used",), PPC)
    _, said = run(tmp_path, ".")
    assert "on 3 of 4 platforms." in said
    assert "On 1 platform not everything could be checked." in said
