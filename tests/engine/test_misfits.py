"""Modules that cannot be imported where their wheel's tag installs them, because of the file's name or its image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from support.command import check, ftaudit
from support.wheels import wheel

from ftaudit.engine.wheels import audit_wheels
from ftaudit.model import Package, Verdict
from ftaudit.settings import Settings

BINARIES = Path(__file__).parents[2] / "fixtures" / "binaries"
LINUX = "cp314-cp314t-manylinux_2_17_x86_64"
ARM = "cp314-cp314t-manylinux_2_17_aarch64"
WINDOWS = "cp314-cp314t-win_amd64"
MAC = "cp314-cp314t-macosx_11_0_arm64"
FOR_LINUX = ".cpython-314t-x86_64-linux-gnu.so"
FOR_WINDOWS = ".cp314t-win_amd64.pyd"
FOR_MAC = ".cpython-314t-darwin.so"
OTHER_BUILD = ".cpython-314-x86_64-linux-gnu.so"


def image(platform: str, case: str = "multi_not_used") -> bytes:
    (path,) = (BINARIES / platform).glob(f"{case}.*")
    return path.read_bytes()


def row(folder: Path, tags: str, modules: Mapping[str, str], *, target: str = "3.14t") -> Package:
    """Judge a wheel of these tags, whose modules are fixtures of the platforms."""
    path = write(folder, tags, modules)
    report = audit_wheels([str(path)], Settings(cache_dir=folder / "cache", jobs=1, offline=True, target=target))
    (found,) = report.packages
    return found


def write(folder: Path, tags: str, modules: Mapping[str, str]) -> Path:
    members = {
        f"demo/{name}": image(platform, name.partition(".")[0].rpartition("/")[2]) for name, platform in modules.items()
    }
    path = folder / f"demo-1.0-{tags}.whl"
    path.write_bytes(wheel(members, tags=(tags,)))
    return path


@pytest.mark.parametrize(
    ("tags", "suffix", "platform"),
    [
        (LINUX, FOR_LINUX, "linux-x86_64"),
        (LINUX, ".so", "linux-x86_64"),
        (LINUX, ".abi3.so", "linux-x86_64"),
        ("cp314-cp314t-musllinux_1_2_x86_64", ".cpython-314t-x86_64-linux-musl.so", "linux-x86_64"),
        (ARM, ".cpython-314t-aarch64-linux-gnu.so", "linux-aarch64"),
        (WINDOWS, FOR_WINDOWS, "windows-amd64"),
        (WINDOWS, ".pyd", "windows-amd64"),
        (MAC, FOR_MAC, "macos-arm64"),
        ("cp314-cp314t-linux_x86_64", FOR_LINUX, "linux-x86_64"),
    ],
)
def test_a_module_that_the_target_loads_is_ready(tmp_path: Path, tags: str, suffix: str, platform: str) -> None:
    found = row(tmp_path, tags, {f"multi_not_used{suffix}": platform})
    assert found.verdict is Verdict.READY
    assert "FT205" not in [finding.code for finding in found.findings]


@pytest.mark.parametrize(
    ("tags", "suffix", "platform", "said"),
    [
        (WINDOWS, FOR_WINDOWS, "linux-x86_64", "compiled for Linux x86_64, but the wheel is for Windows x86_64"),
        (ARM, ".so", "linux-x86_64", "compiled for Linux x86_64, but the wheel is for Linux aarch64"),
        (LINUX, FOR_LINUX, "linux-aarch64", "compiled for Linux aarch64, but the wheel is for Linux x86_64"),
        (MAC, FOR_MAC, "linux-aarch64", "compiled for Linux aarch64, but the wheel is for macOS aarch64"),
        (
            "cp314-cp314t-win32",
            ".cp314t-win32.pyd",
            "windows-amd64",
            "Windows x86_64, but the wheel is for Windows i686",
        ),
        (
            "cp314-cp314t-macosx_11_0_universal2",
            FOR_MAC,
            "macos-arm64",
            "macOS aarch64, but the wheel is for macOS x86_64",
        ),
        (MAC.replace("arm64", "arm64.macosx_10_13_x86_64"), FOR_MAC, "macos-arm64", "the wheel is for macOS x86_64"),
    ],
)
def test_an_image_of_another_system_or_machine_than_the_tag_breaks_the_package(
    tmp_path: Path, tags: str, suffix: str, platform: str, said: str
) -> None:
    found = row(tmp_path, tags, {f"multi_not_used{suffix}": platform})
    assert found.verdict is Verdict.BROKEN
    assert said in found.reasons[0]
    assert "FT205" in [finding.code for finding in found.findings]
    assert found.next_step is not None


@pytest.mark.parametrize(
    ("tags", "suffix", "platform", "target"),
    [
        (LINUX, OTHER_BUILD, "linux-x86_64", "3.14t"),
        (LINUX, ".cpython-313t-x86_64-linux-gnu.so", "linux-x86_64", "3.14t"),
        (LINUX, ".abi3t.so", "linux-x86_64", "3.14t"),
        (LINUX, ".cpython-314t-aarch64-linux-gnu.so", "linux-x86_64", "3.14t"),
        (LINUX, FOR_MAC, "linux-x86_64", "3.14t"),
        (LINUX, ".pyd", "linux-x86_64", "3.14t"),
        (WINDOWS, ".cp314-win_amd64.pyd", "windows-amd64", "3.14t"),
        (WINDOWS, ".so", "windows-amd64", "3.14t"),
        ("cp315-cp315t-win_amd64", ".cp314t-win_amd64.pyd", "windows-amd64", "3.15t"),
    ],
)
def test_a_module_whose_name_the_target_does_not_look_for_breaks_the_package(
    tmp_path: Path, tags: str, suffix: str, platform: str, target: str
) -> None:
    found = row(tmp_path, tags, {f"multi_not_used{suffix}": platform}, target=target)
    assert found.verdict is Verdict.BROKEN
    assert "does not look for" in found.reasons[0]
    assert suffix in found.reasons[0]


@pytest.mark.parametrize("suffixes", [(OTHER_BUILD, FOR_LINUX), (FOR_LINUX, ".cpython-312-x86_64-linux-gnu.so")])
def test_a_module_that_is_there_for_another_build_too_is_judged_by_the_file_that_is_loaded(
    tmp_path: Path, suffixes: tuple[str, str]
) -> None:
    found = row(tmp_path, LINUX, {f"multi_not_used{suffix}": "linux-x86_64" for suffix in suffixes})
    assert found.verdict is Verdict.READY
    assert [module.path for module in found.facts.modules] == [f"demo/multi_not_used{FOR_LINUX}"]


@pytest.mark.parametrize("other", ["windows/multi_used.pyd", "multi_used.cpython-312-x86_64-linux-gnu.so"])
def test_a_file_for_another_system_or_version_beside_loadable_ones_is_not_said_to_be_good_or_bad(
    tmp_path: Path, other: str
) -> None:
    platform = "windows-amd64" if other.endswith(".pyd") else "linux-x86_64"
    found = row(tmp_path, LINUX, {f"multi_not_used{FOR_LINUX}": "linux-x86_64", other: platform})
    assert found.verdict is Verdict.UNKNOWN
    assert "left over from another build" in found.reasons[1]


def test_a_module_of_the_other_build_beside_loadable_ones_is_missed(tmp_path: Path) -> None:
    modules = {f"multi_not_used{FOR_LINUX}": "linux-x86_64", f"multi_used{OTHER_BUILD}": "linux-x86_64"}
    found = row(tmp_path, LINUX, modules)
    assert found.verdict is Verdict.BROKEN
    assert "multi_used" in found.reasons[0]


@pytest.mark.parametrize(("platform", "expected"), [("macos-arm64", "ready"), ("macos-x86_64", "broken")])
def test_half_of_an_universal_wheel_is_broken_where_that_half_is_missing(
    tmp_path: Path, platform: str, expected: str
) -> None:
    write(tmp_path, "cp314-cp314t-macosx_11_0_universal2", {f"multi_not_used{FOR_MAC}": "macos-arm64"})
    answer = check("--static", "--offline", "--no-deps", "--platform", platform, ".", cwd=tmp_path)
    assert answer.verdicts == {"demo": expected}


def test_the_table_shows_what_stands_against_a_package_that_is_ready(tmp_path: Path) -> None:
    path = write(tmp_path, LINUX, {"cffi_like.abi3.so": "linux-x86_64"})
    said = ftaudit("wheel", "--offline", "--quiet", path.name, cwd=tmp_path).stdout
    assert "ready (1)" in said
    assert "FT203 abi3-so-in-ft-env" in said
