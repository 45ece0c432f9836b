"""Constraints on platforms and Pythons as Poetry writes them, compared with `poetry export`."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.markers import Marker
from support.selection import select, write

from ftaudit.lockfiles.manifest import poetry_edge, poetry_ranges
from ftaudit.target import marker_environment, parse_platform, parse_target

PROJECT = """
[tool.poetry]
name = "po-two"
version = "0.1.0"
package-mode = false

[tool.poetry.dependencies]
python = ">=3.10,<4.0"
sortedcontainers = {version = "*", python = "~3.10 || ~3.11"}
orjson = {version = "3.11.4", platform = "win32 || darwin"}
six = {version = "*", platform = "!=linux"}
markupsafe = {version = "*", platform = "linux,!=darwin"}
attrs = "^23 || ^24"
"""
LOCKED = {"sortedcontainers": "2.4.0", "orjson": "3.11.4", "six": "1.17.0", "markupsafe": "3.0.3", "attrs": "24.3.0"}
LOCK = "\n".join(
    f'[[package]]\nname = "{name}"\nversion = "{version}"\noptional = false\npython-versions = "*"\nfiles = []\n'
    for name, version in LOCKED.items()
)
METADATA = '\n[metadata]\nlock-version = "2.0"\npython-versions = ">=3.10,<4.0"\n'


@pytest.mark.parametrize(
    ("platform", "names"),
    [
        ("linux-x86_64", {"attrs", "markupsafe"}),
        ("windows-amd64", {"attrs", "orjson", "six"}),
        ("macos-arm64", {"attrs", "orjson", "six"}),
    ],
)
def test_a_lock_installs_what_its_markers_say(tmp_path: Path, platform: str, names: set[str]) -> None:
    write(tmp_path, "pyproject.toml", PROJECT)
    found = select(write(tmp_path, "poetry.lock", LOCK + METADATA), platform)
    assert {pin.name for pin in found.pins} == names


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        ({"platform": "win32"}, False),
        ({"platform": "linux || win32"}, True),
        ({"platform": "linux | win32"}, True),
        ({"platform": "==darwin"}, False),
        ({"platform": "!=win32,!=darwin"}, True),
        ({"platform": "*"}, True),
        ({"python": "^3.9"}, True),
        ({"python": ">=3.6 <3.11"}, False),
        ({"python": ">= 3.6, < 3.11 || >= 3.14"}, True),
        ({"python": "~3.12 | ~3.13"}, False),
        ({"python": "3.14.*"}, True),
        ({"python": "<3.11", "platform": "linux"}, False),
        ({"python": "^3.10", "markers": "sys_platform == 'win32'"}, False),
    ],
)
def test_a_constraint_holds_where_poetry_says_it_does(value: dict[str, str], holds: bool) -> None:
    marker = poetry_edge("a", {"version": "*", **value}).marker
    environment = marker_environment(parse_target("3.14t"), parse_platform("linux-x86_64"))
    assert (marker is None or Marker(marker).evaluate(environment)) is holds


def test_a_lock_for_several_ranges_of_pythons_is_for_each_of_them(tmp_path: Path) -> None:
    text = LOCK + METADATA.replace(">=3.10,<4.0", "~3.10 || ~3.12")
    found = select(write(tmp_path, "poetry.lock", text))
    assert any("locked for Python" in told for told in found.incomplete)
    assert not select(write(tmp_path, "poetry.lock", text.replace("~3.12", "^3.12"))).incomplete
    assert [str(each) for each in poetry_ranges("^3.8 || *")] == []
