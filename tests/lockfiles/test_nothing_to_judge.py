"""Inputs that install nothing: an answer, and not an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command import ftaudit
from support.selection import select, write

UV_HEAD = 'version = 1\nrequires-python = ">=3.12"\n'
UV = f"""{UV_HEAD}
[[package]]
name = "lib-x"
version = "1.0"
source = {{ virtual = "." }}

[package.optional-dependencies]
fast = [{{ name = "orjson" }}]

[[package]]
name = "orjson"
version = "3.11.4"
source = {{ registry = "https://index.example/simple" }}
"""
PROJECT = """
[project]
name = "lib-x"
version = "1.0"
dependencies = []
[project.optional-dependencies]
fast = ["orjson==3.11.4"]
[dependency-groups]
dev = ["pytest"]
"""
EMPTY = {
    "requirements.txt": "# nothing yet\n",
    "nested.txt": "-r empty.txt\n-c empty.txt\n",
    "win.txt": "pywin32==312 ; sys_platform == 'win32'\n",
    "pyproject.toml": PROJECT,
    "uv.lock": UV,
    "script.py.lock": UV_HEAD,
    "poetry.lock": 'package = []\n[extras]\n[metadata]\nlock-version = "2.1"\npython-versions = "*"\n',
    "pdm.lock": '[metadata]\ngroups = ["default"]\nlock_version = "4.5.0"\n',
    "Pipfile.lock": '{"_meta": {"pipfile-spec": 6, "sources": []}, "default": {}, "develop": {}}',
    "pylock.toml": 'lock-version = "1.0"\ncreated-by = "t"\npackages = []\n',
    "environment.yml": "dependencies: [python=3.14, pip]\n",
}


@pytest.mark.parametrize("name", sorted(EMPTY))
def test_an_input_that_installs_nothing_selects_nothing(tmp_path: Path, name: str) -> None:
    write(tmp_path, "empty.txt", "")
    found = select(write(tmp_path, name, EMPTY[name]))
    assert found.pins == ()
    assert found.incomplete == ()


def test_the_command_says_that_there_is_nothing_to_check_and_what_was_left_out(tmp_path: Path) -> None:
    write(tmp_path, "uv.lock", UV)
    write(tmp_path, "pyproject.toml", PROJECT)
    for name, left_out in (("uv.lock", "extra fast"), ("pyproject.toml", "extra fast, group dev")):
        ran = ftaudit("check", "--static", "--platform", "linux-x86_64", name, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.startswith("NOTHING TO CHECK")
        assert left_out in " ".join(ran.stdout.split())
    ran = ftaudit("check", "--static", "--format", "json", "pyproject.toml", cwd=tmp_path)
    assert json.loads(ran.stdout)["packages"] == []


def test_a_plan_for_nothing_has_nothing_to_do(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", PROJECT)
    ran = ftaudit("plan", "--static", "pyproject.toml", cwd=tmp_path)
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr
