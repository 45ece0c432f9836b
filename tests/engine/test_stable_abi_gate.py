"""`ftaudit wheel` is a gate for wheels that claim a stable ABI: each fault is found, whatever the platform."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command import ftaudit
from support.wheels import wheel

from ftaudit.engine.releases import target_of_wheels
from ftaudit.engine.wheels import audit_wheels
from ftaudit.settings import Settings

FIXTURES = Path(__file__).parents[2] / "fixtures"
LINUX, WINDOWS = "cp315-abi3.abi3t-manylinux_2_17_x86_64", "cp315-abi3.abi3t-win_amd64"
FOR_LINUX = ".abi3t-x86_64-linux-gnu.so"


def image(case: str, platform: str = "linux-x86_64", room: str = "abi3t") -> bytes:
    """Return a fixture's bytes."""
    (path,) = (FIXTURES / room / platform).glob(f"{case}.*")
    return path.read_bytes()


def gate(folder: Path, tags: str, members: dict[str, bytes]) -> tuple[int, str]:
    """Return the exit code and the findings for one wheel of these tags and its target."""
    path = folder / f"demo-1.0-{tags}.whl"
    path.write_bytes(wheel({f"demo/{name}": data for name, data in members.items()}, tags=(tags,)))
    target = target_of_wheels([str(path)])
    report = audit_wheels([str(path)], Settings(cache_dir=folder / "cache", jobs=1, offline=True, target=target))
    told = [finding.message for row in report.packages for finding in row.findings]
    return report.exit_code, " ".join((*told, *report.notes))


def test_the_command_names_the_fault_and_its_wheel_and_fails(tmp_path: Path) -> None:
    path = tmp_path / f"demo-1.0-{LINUX}.whl"
    path.write_bytes(wheel({"demo/outside.abi3t.so": image("outside")}, tags=(LINUX,)))
    ran = ftaudit("wheel", str(path), "--offline", "--cache-dir", str(tmp_path / "cache"), cwd=tmp_path)
    said = " ".join(ran.stdout.split())
    assert ran.returncode == 1
    assert "1 wheel breaks the stable ABI that the tags claim" in said
    assert "PyUnicode_New" in said


@pytest.mark.parametrize(
    ("tags", "name", "platform"),
    [
        (LINUX, f"good{FOR_LINUX}", "linux-x86_64"),
        (LINUX, "good.abi3t.so", "linux-x86_64"),
        (WINDOWS, "good.pyd", "windows-amd64"),
        ("cp315-abi3.abi3t-macosx_11_0_arm64", "good.abi3t-darwin.so", "macos-arm64"),
        ("cp315-abi3t-manylinux_2_17_aarch64", "good.abi3t.so", "linux-aarch64"),
    ],
)
def test_a_wheel_that_keeps_to_the_stable_abi_passes(tmp_path: Path, tags: str, name: str, platform: str) -> None:
    code, said = gate(tmp_path, tags, {name: image("good", platform)})
    assert code == 0, said


@pytest.mark.parametrize(
    ("tags", "name", "data", "said"),
    [
        (
            LINUX,
            f"outside{FOR_LINUX}",
            image("outside"),
            "not in the stable ABI: `PyUnicode_New`",
        ),
        (WINDOWS, "outside.pyd", image("outside", "windows-amd64"), "PyUnicode_New"),
        (LINUX, f"both_differ{FOR_LINUX}", image("both_differ"), "declares the ABI of CPython 3.15 only"),
        (LINUX, f"version_specific{FOR_LINUX}", image("version_specific"), "does not declare all builds"),
        (WINDOWS, "good_315t.pyd", image("good_315t", "windows-amd64"), "is linked with `python315t.dll`"),
        (WINDOWS, "good_abi3.pyd", image("good_abi3", "windows-amd64"), "is linked with `python3.dll`"),
        (LINUX, "multi_not_used.so", image("multi_not_used", room="binaries"), "has only a `PyInit_` function"),
        ("cp314-abi3.abi3t-win_amd64", "good.pyd", image("good", "windows-amd64"), "abi3t exists only from 3.15 on"),
    ],
)
def test_each_fault_fails_the_gate_and_is_named(tmp_path: Path, tags: str, name: str, data: bytes, said: str) -> None:
    code, told = gate(tmp_path, tags, {name: data})
    assert code == 1, told
    assert said in told


@pytest.mark.parametrize("name", ["good.cpython-315t-x86_64-linux-gnu.so", "good.abi3.so"])
def test_a_file_name_that_a_promised_build_does_not_look_for_fails_the_gate(tmp_path: Path, name: str) -> None:
    code, told = gate(tmp_path, LINUX, {name: image("good")})
    assert code == 1, told
    assert "do not load: `.c" in told or "do not load: `.abi3.so`" in told


def test_an_abi3_wheel_is_held_against_its_own_stable_abi(tmp_path: Path) -> None:
    tags = "cp310-abi3-manylinux_2_17_x86_64"
    code, told = gate(tmp_path, tags, {"single_set.abi3.so": image("single_set", room="binaries")})
    assert code == 1, told
    assert "PyUnstable_Module_SetGIL" in told


@pytest.mark.parametrize(
    ("names", "target"),
    [
        (["demo-1.0-cp315-cp315t-win_amd64.whl"], "3.15t"),
        (["demo-1.0-cp315-abi3.abi3t-win_amd64.whl"], "3.15t"),
        (["demo-1.0-cp312-abi3.abi3t-win_amd64.whl"], "3.15t"),
        (["demo-1.0-cp314-cp314t-win_amd64.whl", "demo-1.0-cp315-cp315t-win_amd64.whl"], "3.14t"),
        (["demo-1.0-cp313-cp313t-win_amd64.whl"], "3.13t"),
        (["demo-1.0-py3-none-any.whl"], "3.14t"),
        (["https://index.example/a/demo-1.0-cp315-abi3t-win_amd64.whl#sha256=0"], "3.15t"),
        (["demo==1.0"], "3.14t"),
    ],
)
def test_the_target_is_the_one_that_the_wheels_named_are_for(names: list[str], target: str) -> None:
    assert target_of_wheels(names) == target
