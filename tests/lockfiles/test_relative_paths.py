"""Relative paths of a requirements file count from the working folder, as with pip and uv, then from the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.distributions import wheel
from support.selection import by_name, select, write

PROJECT = '[project]\nname = "{}"\nversion = "1"\ndependencies = {}\n'


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, "demo-api/pyproject.toml", PROJECT.format("demo-api", '["idna==3.10"]'))
    write(tmp_path, "api/near/pyproject.toml", PROJECT.format("near", "[]"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", ["-e demo-api", "-e ./demo-api", "./demo-api", "demo-api @ file:demo-api"])
def test_a_project_is_found_from_the_working_folder(tree: Path, line: str) -> None:
    found = by_name(select(write(tree, "api/r.txt", f"{line}\n"), no_deps=True))
    assert found["demo-api"].source_tree == str(tree / "demo-api")
    assert found["demo-api"].problem is None


def test_a_project_is_found_from_the_file_where_there_is_none_in_the_working_folder(tree: Path) -> None:
    (tree / "near").mkdir()  # A folder without a project does not count.
    found = by_name(select(write(tree, "api/r.txt", "-e ./near\n"), no_deps=True))
    assert found["near"].source_tree == str(tree / "api" / "near")


def test_what_is_nowhere_is_a_row_that_says_so(tree: Path) -> None:
    (pin,) = select(write(tree, "api/r.txt", "-e ./gone\n"), no_deps=True).pins
    assert "does not exist" in (pin.problem or "")


def test_a_wheel_is_found_from_either_folder(tree: Path) -> None:
    for folder in ("wheels", "api/other"):
        made = wheel("demo", "1.0")
        path = tree / folder / made.filename
        path.parent.mkdir(parents=True)
        path.write_bytes(made.data)
    for line in ("./wheels/demo-1.0-py3-none-any.whl", "./other/demo-1.0-py3-none-any.whl"):
        (pin,) = select(write(tree, "api/r.txt", f"{line}\n"), no_deps=True).pins
        assert pin.problem is None


def test_a_project_of_setuptools_has_the_name_that_it_states(tmp_path: Path) -> None:
    write(tmp_path, "tree/setup.cfg", "[metadata]\nname = Stated_Name\n")
    write(tmp_path, "other/setup.py", "from setuptools import setup\nsetup(name='by-script')\n")
    write(tmp_path, "other/pyproject.toml", "[build-system]\nrequires = ['setuptools']\n")
    path = write(tmp_path, "r.txt", "-e ./tree\n./other\n")
    assert {pin.name for pin in select(path).pins} == {"stated-name", "by-script"}
