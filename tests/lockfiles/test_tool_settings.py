"""The settings that uv and Poetry keep outside of `pyproject.toml`: indexes, and which packages are built."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.selection import by_name, select, write

from ftaudit.errors import InputError
from ftaudit.lockfiles import read

PROJECT = '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.12"\ndependencies = ["six"]\n'
UV_LOCK = """
version = 1
requires-python = ">=3.12"
[[package]]
name = "app"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "six" }]
[[package]]
name = "six"
version = "1.17.0"
source = { registry = "https://index.example/simple" }
wheels = [{ url = "https://files.example/six-1.17.0-py2.py3-none-any.whl" }]
"""
POETRY_LOCK = """
[[package]]
name = "six"
version = "1.17.0"
optional = false
python-versions = "*"
groups = ["main"]
files = [{file = "six-1.17.0-py2.py3-none-any.whl", hash = "sha256:00"}]
[metadata]
lock-version = "2.1"
python-versions = ">=3.12"
content-hash = "0"
"""


@pytest.mark.parametrize(
    ("settings", "in_project", "expected"),
    [
        ("no-binary = true\n", "", (True, False)),
        ('no-binary-package = ["SIX"]\n', "", (True, False)),
        ('no-build-package = ["six"]\n', "", (False, True)),
        ("no-build = true\n", "", (False, True)),
        ('no-binary-package = ["idna"]\n', "", (False, False)),
        ("", "no-binary = true\n", (False, False)),
        (None, "no-binary = true\n", (True, False)),
    ],
)
def test_a_uv_toml_replaces_the_settings_in_the_project(
    tmp_path: Path, settings: str | None, in_project: str, expected: tuple[bool, bool]
) -> None:
    write(tmp_path, "pyproject.toml", PROJECT + (f"[tool.uv]\n{in_project}" if in_project else ""))
    if settings is not None:
        write(tmp_path, "uv.toml", settings)
    pin = by_name(select(write(tmp_path, "uv.lock", UV_LOCK)))["six"]
    assert (pin.no_binary, pin.only_binary) == expected


def test_the_settings_of_the_nearest_folder_count(tmp_path: Path) -> None:
    write(tmp_path, "uv.toml", "no-binary = true\n")
    member = tmp_path / "packages" / "member"
    write(member, "pyproject.toml", PROJECT)
    path = write(member, "uv.lock", UV_LOCK)
    assert by_name(select(path))["six"].no_binary
    write(tmp_path, "packages/pyproject.toml", "[tool.uv]\nno-build = true\n")
    pin = by_name(select(path))["six"]
    assert (pin.no_binary, pin.only_binary) == (False, True)


def test_indexes_come_from_uv_toml_too(tmp_path: Path) -> None:
    path = write(tmp_path, "pyproject.toml", PROJECT + '[tool.uv]\nindex-url = "https://ignored.example/simple"\n')
    write(
        tmp_path,
        "uv.toml",
        'extra-index-url = ["https://more.example/simple"]\nfind-links = ["wheels"]\n'
        '[[index]]\nurl = "https://index.example/simple"\ndefault = true\n',
    )
    index = read(path).index
    assert (index.index_url, index.extra_index_urls) == (
        "https://index.example/simple",
        ("https://more.example/simple",),
    )
    assert index.find_links == (str(tmp_path / "wheels"),)


@pytest.mark.parametrize(
    ("installer", "expected"),
    [
        ("no-binary = true", (True, False)),
        ('no-binary = ["Six"]', (True, False)),
        ('no-binary = "idna,six"', (True, False)),
        ('no-binary = ":all:"', (True, False)),
        ('no-binary = ":none:"', (False, False)),
        ("no-binary = false", (False, False)),
        ('only-binary = ":all:"', (False, True)),
        ("only-binary = ['six']", (False, True)),
        ("max-workers = 4", (False, False)),
    ],
)
def test_poetry_toml_says_what_is_built(tmp_path: Path, installer: str, expected: tuple[bool, bool]) -> None:
    write(tmp_path, "poetry.toml", f"[installer]\n{installer}\n")
    pin = by_name(select(write(tmp_path, "poetry.lock", POETRY_LOCK)))["six"]
    assert (pin.no_binary, pin.only_binary) == expected


@pytest.mark.parametrize(("name", "lock"), [("uv.toml", UV_LOCK), ("poetry.toml", POETRY_LOCK)])
def test_settings_that_cannot_be_read_are_an_error(tmp_path: Path, name: str, lock: str) -> None:
    path = write(tmp_path, f"{name.partition('.')[0]}.lock", lock)
    for text in ("[installer\n", "no-binary-package = 3\n[installer]\nno-binary = [3]\n"):
        write(tmp_path, name, text)
        with pytest.raises(InputError, match=name):
            read(path)
