"""The message for an invalid input names the place, and its advice fits the project."""

from __future__ import annotations

import json
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
    assert "as well" in (problems["6.2"] or "")


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
