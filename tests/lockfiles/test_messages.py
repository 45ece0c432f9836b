"""The message for an invalid input names the place, and its advice fits the project."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import ftaudit
from support.selection import select, write

from ftaudit.errors import InputError
from ftaudit.lockfiles import find_input, read


@pytest.mark.parametrize("line", ["mod-wsgi==${NOT_SET_HERE}", "${NOT_SET_HERE}", "-i ${NOT_SET_HERE}"])
def test_a_variable_that_is_not_set_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"r\.txt:2: the environment variable NOT_SET_HERE is not set"):
        read(write(tmp_path, "r.txt", f"idna==3.10\n{line}\n"))


def pipfile(**packages: object) -> str:
    meta = {"pipfile-spec": 6, "requires": {}, "sources": [{"name": "x", "url": "https://index.example/simple"}]}
    return json.dumps({"_meta": meta, "default": packages, "develop": {}}, indent=1)


def test_a_variable_of_a_pipfile_lock_that_is_not_set_is_named(tmp_path: Path) -> None:
    text = pipfile().replace("https://index.example/simple", "$NOT_SET_HERE")
    with pytest.raises(InputError, match=r"Pipfile\.lock: .*the environment variable NOT_SET_HERE, which is not set"):
        read(write(tmp_path, "Pipfile.lock", text))


def test_two_spellings_of_one_package_are_two_rows(tmp_path: Path) -> None:
    spelt = {"zope.interface": {"version": "==8.5"}, "zope-interface": {"version": "==6.2"}}
    found = select(write(tmp_path, "Pipfile.lock", pipfile(**spelt)))
    problems = {str(pin.version): pin.problem for pin in found.pins}
    assert problems["8.5"] is None
    assert "also locked to" in (problems["6.2"] or "")


def test_names_of_a_pylock_may_be_spelt_otherwise(tmp_path: Path) -> None:
    text = (
        'lock-version = "1.0"\ncreated-by = "pipenv"\n[[packages]]\nname = "jaraco.Classes"\nversion = "3.4.0"\n'
        'wheels = [{ url = "https://files.example/jaraco.classes-3.4.0-py3-none-any.whl", hashes = {sha256 = "0"} }]\n'
    )
    assert [pin.name for pin in select(write(tmp_path, "pylock.toml", text)).pins] == ["jaraco-classes"]


@pytest.mark.parametrize(
    ("text", "said", "not_said"),
    [
        ("[tool.flit.metadata]\nmodule='x'\n", "--env", "poetry"),
        ("[tool.poetry.dependencies]\nrequests='*'\n", "poetry lock", "flit"),
        ("[tool.pdm.dev-dependencies]\na=['b']\n", "pdm lock", "poetry"),
        ("[build-system]\nrequires=['setuptools']\n", "--env", "poetry lock"),
    ],
)
def test_the_advice_is_for_the_tool_of_the_project(tmp_path: Path, text: str, said: str, not_said: str) -> None:
    path = write(tmp_path, "pyproject.toml", text)
    with pytest.raises(InputError) as caught:
        find_input(tmp_path)
    advice = (caught.value.hint or "").partition("looked for")[0]
    assert said in advice and not_said not in advice and ": or" not in advice
    if "[tool" in text:
        with pytest.raises(InputError) as caught:
            read(path)
        assert said in (caught.value.hint or "")


def test_a_text_file_besides_takes_the_table_as_the_output_does(tmp_path: Path) -> None:
    write(tmp_path, "r.txt", "# nothing\n")
    ran = ftaudit("check", "--static", "--also", "report.txt", "r.txt", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "report.txt").read_text().startswith("NOTHING TO CHECK")


def test_the_table_of_pip_list_names_the_command_that_writes_a_list(tmp_path: Path) -> None:
    table = "Package    Version\n---------- -------\nidna       3.10\n"
    with pytest.raises(InputError) as caught:
        read(write(tmp_path, "packages.txt", table))
    assert "pip freeze" in (caught.value.hint or "")


MALFORMED = {
    "uv.lock": "`uv lock`",
    "poetry.lock": "`poetry lock`",
    "pdm.lock": "`pdm lock`",
    "Pipfile.lock": "`pipenv lock`",
    "pixi.lock": "`pixi lock`",
    "conda-lock.yml": "`conda-lock lock`",
    "pylock.toml": "the tool that made it",
    "script.py.lock": "the tool that made it",
    "pyproject.toml": "correct the input",
    "environment.yml": "correct the input",
    "tox.toml": "correct the input",
    "list.json": "correct the input",
    "requirements.txt": "correct the input",
}


@pytest.mark.parametrize("name", sorted(MALFORMED))
def test_the_error_for_a_malformed_file_names_the_next_step(tmp_path: Path, name: str) -> None:
    sign = ":" if name.endswith(".yml") or name == "pixi.lock" else " ="
    conflict = f"a{sign} 1\n<<<<<<< HEAD\nx{sign} 1\n=======\nx{sign} 2\n>>>>>>> topic\n"
    for text, said in (("{[ =\n", MALFORMED[name]), (conflict, "unresolved merge conflicts")):
        if text != conflict or not name.endswith((".json", ".py.lock")):
            with pytest.raises(InputError) as caught:
                read(write(tmp_path, name, text))
            assert said in (caught.value.hint or ""), caught.value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("uv.lock", "version = 1\npackage = 3\n"),
        ("uv.lock", "version = 1\n[[package]]\nname = 3\n"),
        ("poetry.lock", "package = []\n"),
        ("pdm.lock", '[metadata]\nlock_version = "4.5.0"\n[[package]]\nname = "x"\nversion = "?"\n'),
        ("Pipfile.lock", '{"_meta": 3}'),
        ("pixi.lock", "environments: {default: 3}\npackages: []\n"),
        ("conda-lock.yml", "version: 1\npackage: [{}]\n"),
        ("pylock.toml", 'lock-version = "1.0"\npackages = 3\n'),
    ],
)
def test_the_error_for_a_lock_file_of_another_shape_names_the_next_step(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(InputError) as caught:
        read(write(tmp_path, name, text))
    assert "restore the file from version control" in (caught.value.hint or ""), caught.value


def test_an_empty_input_is_an_error_wherever_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"empty\.txt is empty"):
        read(write(tmp_path, "empty.txt", " \n"))
    words = [sys.executable, "-m", "ftaudit", "check", "--static", "-"]
    ran = [subprocess.run(words, input=text, capture_output=True, text=True, cwd=tmp_path) for text in ("", "# none\n")]
    assert [each.returncode for each in ran] == [2, 0], ran
    assert "standard input is empty" in ran[0].stderr
    assert "check the command that writes the file" in ran[0].stderr
