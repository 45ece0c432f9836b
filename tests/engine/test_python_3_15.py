"""Wheels for CPython 3.15's stable ABI (PEP 803): what installers accept, what CPython loads, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.wheels import wheel

from ftaudit.engine.wheels import audit_wheels
from ftaudit.model import Package, Verdict
from ftaudit.settings import Settings

FIXTURES = Path(__file__).parents[2] / "fixtures"
LINUX = "cp315-abi3.abi3t-manylinux_2_17_x86_64"
WINDOWS = "cp315-abi3.abi3t-win_amd64"


def image(case: str, platform: str = "linux-x86_64") -> bytes:
    """Return a module of fixtures/abi3t."""
    return next((FIXTURES / "abi3t" / platform).glob(f"{case}.*")).read_bytes()


def old_image(case: str, platform: str = "linux-x86_64") -> bytes:
    """Return a module for 3.14t."""
    return next((FIXTURES / "binaries" / platform).glob(f"{case}.*")).read_bytes()


def judge(folder: Path, tags: str, members: dict[str, bytes], *, target: str = "3.15t") -> Package:
    """Judge one wheel of these tags, statically."""
    path = folder / f"demo-1.0-{tags}.whl"
    path.write_bytes(wheel({f"demo/{name}": data for name, data in members.items()}, tags=(tags,)))
    report = audit_wheels([str(path)], Settings(cache_dir=folder / "cache", jobs=1, offline=True, target=target))
    (found,) = report.packages
    return found


@pytest.mark.parametrize(
    ("tags", "suffix", "platform"),
    [
        (LINUX, ".abi3t-x86_64-linux-gnu.so", "linux-x86_64"),
        (LINUX, ".abi3t.so", "linux-x86_64"),
        (LINUX, ".so", "linux-x86_64"),
        ("cp315-abi3t-manylinux_2_17_aarch64", ".abi3t-aarch64-linux-gnu.so", "linux-aarch64"),
        ("cp315-abi3.abi3t-macosx_11_0_arm64", ".abi3t-darwin.so", "macos-arm64"),
        (WINDOWS, ".pyd", "windows-amd64"),
    ],
)
def test_every_suffix_that_3_15_loads_is_that_of_the_module(
    tmp_path: Path, tags: str, suffix: str, platform: str
) -> None:
    found = judge(tmp_path, tags, {f"good{suffix}": image("good", platform)})
    assert [module.name for module in found.facts.modules] == ["demo.good"]
    assert found.verdict is Verdict.READY


@pytest.mark.parametrize("suffix", [".abi3-x86_64-linux-gnu.so", ".abi3.so", ".cpython-314t-x86_64-linux-gnu.so"])
def test_a_suffix_that_3_15t_does_not_load_breaks_the_package(tmp_path: Path, suffix: str) -> None:
    found = judge(tmp_path, LINUX, {f"good{suffix}": image("good")})
    assert found.verdict is Verdict.BROKEN
    assert f"does not look for {suffix} files" in found.reasons[0]


def test_the_half_for_the_ordinary_build_does_not_count_where_the_other_half_is_there(tmp_path: Path) -> None:
    other = old_image("gil_build").replace(b"PyInit_gil_build\0", b"PyInit_good\0\0\0\0\0\0")
    found = judge(tmp_path, LINUX, {"good.abi3.so": other, "good.abi3t.so": image("good")})
    assert found.verdict is Verdict.READY


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("no_abi", "no Py_mod_abi"),
        ("gil_only", "only GIL-enabled builds"),
        ("newer_stable", "the stable ABI of CPython 3.16"),
        ("other_version", "CPython 3.16's own ABI"),
        ("both_hooks", "no Py_mod_abi"),
        ("definition_gil_only", "only GIL-enabled builds"),
        ("null_abi", "the value of the slot Py_mod_abi is null"),
        ("repeated_slot", "the slot Py_mod_gil more than once"),
        ("unknown_slot", "a slot with the number 96"),
    ],
)
def test_what_3_15_refuses_is_broken_and_says_why(tmp_path: Path, case: str, said: str) -> None:
    found = judge(tmp_path, LINUX, {f"{case}.abi3t.so": image(case)})
    assert found.verdict is Verdict.BROKEN
    assert said in found.reasons[0]


def test_a_module_with_both_hooks_is_judged_by_the_one_that_the_target_takes(tmp_path: Path) -> None:
    module = image("both_hooks", "windows-amd64")
    found = judge(tmp_path, "cp314-cp314t-win_amd64", {"both_hooks.cp314t-win_amd64.pyd": module}, target="3.14t")
    assert found.verdict is Verdict.READY
    module = image("both_differ", "windows-amd64")
    assert judge(tmp_path, WINDOWS, {"both_differ.pyd": module}).verdict is Verdict.REENABLES_GIL


@pytest.mark.parametrize("tags", ["cp312-abi3.abi3t-manylinux_2_17_x86_64", "cp314-abi3t-manylinux_2_17_x86_64"])
@pytest.mark.parametrize("suffix", [".abi3t.so", ".abi3t-x86_64-linux-gnu.so"])
def test_an_abi3t_wheel_that_installers_take_for_3_14t_is_broken_there(tmp_path: Path, tags: str, suffix: str) -> None:
    found = judge(tmp_path, tags, {f"good{suffix}": image("good")}, target="3.14t")
    assert found.verdict is Verdict.BROKEN
    assert f"python3.14t does not look for {suffix} files" in found.reasons[0]


def test_an_abi3t_module_that_3_14t_finds_is_broken_for_its_hook(tmp_path: Path) -> None:
    # On Windows the suffix is the same for every version; the hook is not.
    found = judge(tmp_path, "cp314-abi3.abi3t-win_amd64", {"good.pyd": image("good", "windows-amd64")}, target="3.14t")
    assert found.verdict is Verdict.BROKEN
    assert "only a PyModExport hook" in found.reasons[0]
