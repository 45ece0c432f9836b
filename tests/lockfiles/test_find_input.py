from __future__ import annotations

import os
from pathlib import Path

import pytest

from ftaudit.errors import InputError
from ftaudit.lockfiles import find_input, read


def make(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_an_empty_folder_is_an_error_that_names_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        find_input(tmp_path)
    assert str(tmp_path) in caught.value.problem
    assert "uv.lock" in (caught.value.hint or "")


def test_a_pyproject_that_only_configures_tools_is_no_input(tmp_path: Path) -> None:
    make(tmp_path, pyproject__toml="[tool.ruff]\nline-length = 100\n")
    with pytest.raises(InputError):
        find_input(tmp_path)


def test_something_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        find_input(tmp_path / "missing")


def test_the_most_precise_input_wins(tmp_path: Path) -> None:
    files = {
        "environment.yaml": "dependencies: [{pip: [a]}]\n",
        "environment.yml": "dependencies: [{pip: [a]}]\n",
        "requirements.in": "a",
        "pyproject.toml": "[project]\nname='x'\nversion='1'\ndependencies=['a']\n",
        "requirements-prod.txt": "a==1\n",
        "requirements.txt": "a\n",
        "pylock.prod.toml": "",
        "Pipfile.lock": "",
        "pdm.lock": "",
        "poetry.lock": "",
        "uv.lock": "",
        "pylock.toml": "",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        assert find_input(tmp_path).name == name


def test_a_requirements_file_for_development_does_not_come_before_the_project(tmp_path: Path) -> None:
    make(tmp_path, pyproject__toml="[project]\nname='x'\n")
    (tmp_path / "requirements-dev.txt").write_text("pytest==9\n")
    assert find_input(tmp_path).name == "pyproject.toml"


def test_loose_requirements_of_another_name_come_after_the_project(tmp_path: Path) -> None:
    make(tmp_path, pyproject__toml="[project]\nname='x'\n")
    (tmp_path / "requirements-prod.txt").write_text("a>=1\n")
    assert find_input(tmp_path).name == "pyproject.toml"


@pytest.mark.parametrize("name", ["requirements.txt", "uv.lock", "pylock.toml", "pyproject.toml", "x.yaml"])
def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / name)


ALL = [
    "requirements.txt", "uv.lock", "pylock.toml", "pyproject.toml", "poetry.lock", "pdm.lock", "Pipfile.lock",
    "environment.yml",
]  # fmt: skip


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", b"\x7fELF\x02\x01\x01\0\0\0", b"\xff\xfe\xfd", b"\0" * 64, b"a = [" * 20_000, b"[" * 100_000],
    ids=["empty", "blank", "elf", "bytes", "nul", "nested", "brackets"],
)
def test_junk_is_an_error_that_names_the_file(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(path) in caught.value.problem


@pytest.mark.parametrize("name", ALL)
def test_a_file_of_a_hundred_megabytes_is_not_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with path.open("wb") as stream:
        stream.truncate(100_000_000)
    with pytest.raises(InputError, match="100,000,000 bytes"):
        read(path)


@pytest.mark.parametrize("name", ["requirements.txt", "uv.lock"])
def test_a_folder_without_an_input_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="no supported input file found in "):
        read(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_make_it_wait(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    os.mkfifo(path)
    with pytest.raises(InputError, match="not a regular file"):
        read(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("a==1\n")
    path.chmod(0)
    with pytest.raises(InputError, match="Permission denied"):
        read(path)


@pytest.mark.parametrize("name", ["Pipfile", "environment.yml", "x.toml", "package.json"])
def test_an_unknown_format_is_an_error_that_names_the_known_ones(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("a = 1\n")
    with pytest.raises(InputError) as caught:
        read(path)
    assert "pylock.toml" in (caught.value.hint or "")


def test_the_format_of_a_toml_file_of_another_name_is_told_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "project.toml"
    path.write_text("[project]\nname='x'\ndependencies=['a==1']\n")
    assert [root.name for root in read(path).roots] == ["a"]


POETRY = '[[package]]\nname = "a"\nversion = "1"\nfiles = []\ngroups = ["main"]\n[metadata]\nlock-version = "2.1"\n'
PDM = '[metadata]\nlock_version = "4.5.1"\n[[package]]\nname = "a"\nversion = "1"\ngroups = ["default"]\n'
PIPENV = '{"_meta": {"pipfile-spec": 6}, "default": {"a": {"version": "==1"}}}'


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("prod.lock", POETRY, "poetry.lock"),
        ("prod.lock", PDM, "pdm.lock"),
        ("prod.lock", f"# a comment\n{PDM}", "pdm.lock"),
        ("prod.lock", PIPENV, "Pipfile.lock"),
        ("Pipfile.prod.json", PIPENV, "Pipfile.lock"),
        ("requirements.lock", "# by a tool\na==1\n", "requirements.txt"),
        ("requirements.lock", "--index-url https://index.example/simple\na==1\n", "requirements.txt"),
        ("requirements.lock", "-e file:.\na==1\n", "requirements.txt"),
        ("constraints.pip", "a[b]>=1 ; python_version > '3'\n", "requirements.txt"),
        ("prod", "a @ https://files.example/a-1-py3-none-any.whl\n", "requirements.txt"),
        ("env.yml", "dependencies:\n- pip: [a==1]\n", "environment.yml"),
    ],
)
def test_where_the_name_leaves_the_format_open_the_content_tells_it(
    tmp_path: Path, name: str, text: str, kind: str
) -> None:
    (tmp_path / name).write_text(text)
    assert read(tmp_path / name).format.value == kind


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Pipfile", "`pipenv lock`"),
        ("setup.py", "--env"),
        ("setup.cfg", "--env"),
        ("conda-lock.yml", "environment.yml"),
        ("package-lock.json", "JavaScript"),
        ("Cargo.lock", "Rust"),
    ],
)
def test_what_is_often_at_hand_instead_names_the_nearest_input(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / name).write_text("x = 1\n")
    with pytest.raises(InputError) as caught:
        read(tmp_path / name)
    assert hint in (caught.value.hint or "")
    assert "poetry.lock" in (caught.value.hint or "")


@pytest.mark.parametrize(("name", "hint"), [("Pipfile", "`pipenv lock`"), ("setup.py", "--env")])
def test_a_folder_without_an_input_names_what_makes_one_of_what_is_there(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(InputError) as caught:
        find_input(tmp_path)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["GEM\n  specs:\n", "<html>", "#!/bin/sh\n", '{"lockfileVersion": 3}', "import os\n"])
def test_the_lock_file_of_something_else_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.lock").write_text(text)
    with pytest.raises(InputError, match="not in a format that ftaudit supports"):
        read(tmp_path / "other.lock")


def test_a_folder_is_its_most_precise_input(tmp_path: Path) -> None:
    make(tmp_path, requirements__txt="a==1\n")
    assert read(tmp_path).path == tmp_path / "requirements.txt"
