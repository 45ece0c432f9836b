"""Modules for machines that ftaudit does not emulate: reported, and accepted only at the user's request."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from support.command import ftaudit
from support.wheels import wheel

ROOT = Path(__file__).parents[2] / "fixtures"
FIXTURES = ROOT / "binaries" / "linux-x86_64"
ALLOW = "--allow-machines"
PPC = 21
RISC_V = 243
I386 = 0x14C


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


@pytest.mark.parametrize("platform", ["manylinux_2_39_riscv64", "win32"])
@pytest.mark.parametrize(
    ("case", "fault"),
    [
        ("good", None),
        ("definition_abi", "has only a `PyInit_` function"),
        ("outside", "`PyUnicode_New`"),
    ],
)
def test_the_names_in_an_image_break_the_stable_abi_on_every_machine(
    platform: str, case: str, fault: str | None, tmp_path: Path
) -> None:
    windows = platform == "win32"
    (path,) = (ROOT / "abi3t" / ("windows-amd64" if windows else "linux-x86_64")).glob(f"{case}.*")
    image = bytearray(path.read_bytes())
    where = struct.unpack_from("<I", image, 0x3C)[0] + 4 if windows else 18
    struct.pack_into("<H", image, where, I386 if windows else RISC_V)
    name = f"demo/{case}.pyd" if windows else f"demo/{case}.abi3t.so"
    tag = f"cp315-abi3t-{platform}"
    (tmp_path / f"demo-1.0-{tag}.whl").write_bytes(wheel({name: bytes(image)}, tags=(tag,)))
    code, said = run(tmp_path, "--target", "3.15t", f"demo-1.0-{tag}.whl")
    said = " ".join(said.split())
    assert "ftaudit does not emulate" in said
    if fault is None:
        assert (code, "FT212" in said) == (3, False)
    else:
        assert code == 1 and "FT212" in said and fault in said


def test_a_machine_that_is_not_emulated_cannot_load_symbols_that_its_cpython_lacks(tmp_path: Path) -> None:
    (path,) = (ROOT / "abi3t" / "linux-x86_64").glob("good.*")
    image = bytearray(path.read_bytes())
    struct.pack_into("<H", image, 18, RISC_V)
    tag = "cp314-cp314t-manylinux_2_39_riscv64"
    members = {"demo/good.cpython-314t-riscv64-linux-gnu.so": bytes(image)}
    (tmp_path / f"demo-1.0-{tag}.whl").write_bytes(wheel(members, tags=(tag,)))
    code, said = run(tmp_path, f"demo-1.0-{tag}.whl")
    assert code == 1 and "broken" in said
