"""Lock files for other environments than the requested one: their omissions prove nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command import check, ftaudit
from support.selection import by_name, select, write

UV = """
version = 1
requires-python = "{python}"
{more}
[[package]]
name = "app"
version = "1"
source = {{ virtual = "." }}
dependencies = [{{ name = "fast" }}, {{ name = "plain" }}]

[[package]]
name = "fast"
version = "1.0"
source = {{ registry = "https://index.example/simple" }}
wheels = [{{ url = "https://files.example/fast-1.0-cp312-cp312-manylinux_2_17_x86_64.whl" }}]

[[package]]
name = "plain"
version = "1.0"
source = {{ registry = "https://index.example/simple" }}
wheels = [{{ url = "https://files.example/plain-1.0-py3-none-any.whl" }}]
"""
OTHER = "supported-markers = [\"sys_platform == 'win32'\"]"


@pytest.mark.parametrize(("python", "more"), [("==3.12.*", ""), (">=3.10,<3.14", ""), (">=3.12", OTHER)])
def test_the_index_is_asked_for_what_a_lock_of_another_environment_leaves_out(
    tmp_path: Path, python: str, more: str
) -> None:
    found = select(write(tmp_path, "uv.lock", UV.format(python=python, more=more)))
    assert by_name(found)["fast"].files is None
    assert by_name(found)["plain"].files is not None
    assert "and lock again" in found.incomplete[0]


def test_a_lock_for_the_asked_environment_is_the_whole_truth(tmp_path: Path) -> None:
    found = select(write(tmp_path, "uv.lock", UV.format(python=">=3.12", more="")))
    assert by_name(found)["fast"].files is not None
    assert not found.incomplete


def test_without_an_index_such_a_package_is_unknown_and_not_blocked(tmp_path: Path) -> None:
    write(tmp_path, "uv.lock", UV.format(python="==3.12.*", more=""))
    answer = check("--static", "--offline", "--platform", "linux-x86_64", "uv.lock", cwd=tmp_path)
    assert answer.verdicts == {"fast": "unknown", "plain": "pure"}
    assert answer.code == 3
    plan = ftaudit("plan", "--static", "--offline", "--platform", "linux-x86_64", "uv.lock", cwd=tmp_path)
    assert "requires-python" in plan.stdout
    assert plan.returncode == 3


PDM = """
[metadata]
groups = ["default"]
strategy = ["inherit_metadata"]
lock_version = "4.5.0"

[[metadata.targets]]
requires_python = ">=3.9"
{target}

[[package]]
name = "fast"
version = "1.0"
groups = ["default"]
files = [
    {{file = "fast-1.0-cp314-cp314-{tag}.whl", hash = "sha256:00"}},
    {{file = "fast-1.0.tar.gz", hash = "sha256:00"}},
]
"""


@pytest.mark.parametrize(
    ("target", "platform", "fits"),
    [
        ("manylinux_2_17_x86_64", "linux-x86_64", True),
        ("manylinux_2_17_aarch64", "linux-x86_64", False),
        ("manylinux_2_17_aarch64", "linux-aarch64", True),
        ("musllinux_1_1_x86_64", "linux-x86_64", False),
        ("musllinux_1_1_x86_64", "musllinux-x86_64", True),
        ("linux", "linux-x86_64", True),
        ("macos", "macos-arm64", True),
        ("macos_12_0_x86_64", "macos-arm64", False),
        ("windows_amd64", "windows-amd64", True),
        ("windows_arm64", "windows-amd64", False),
        ("something_new", "linux-x86_64", False),
    ],
)
def test_a_target_of_pdm_is_held_against_system_machine_and_libc(
    tmp_path: Path, target: str, platform: str, fits: bool
) -> None:
    text = PDM.format(target=f'platform = "{target}"\nimplementation = "cpython"', tag="manylinux_2_17_x86_64")
    found = select(write(tmp_path, "pdm.lock", text), platform)
    assert (not found.incomplete) is fits
    assert by_name(found)["fast"].files is None


def test_a_lock_for_pyodide_lists_no_wheels_of_other_systems(tmp_path: Path) -> None:
    text = (
        'lock-version = "1.0"\ncreated-by = "t"\n[[packages]]\nname = "fast"\nversion = "1.0"\n'
        'wheels = [{ url = "https://files.example/fast-1.0-cp313-cp313-pyodide_2025_0_wasm32.whl",'
        ' hashes = { sha256 = "00" } }]\n'
    )
    found = select(write(tmp_path, "pylock.toml", text))
    assert by_name(found)["fast"].files is None
