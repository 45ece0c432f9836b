"""Inputs other than lock and requirements files, and reports on unavailable ones, through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command import check, ftaudit
from support.distributions import wheel
from support.index_server import IndexServer
from support.selection import write

METADATA = "Metadata-Version: 2.1\nName: {}\nVersion: {}\n"


def installed(folder: Path, name: str, version: str, *requires: str) -> None:
    text = METADATA.format(name, version) + "".join(f"Requires-Dist: {line}\n" for line in requires)
    write(folder, f"{name}-{version}.dist-info/METADATA", text)


def test_an_environment_that_is_none_is_an_error(tmp_path: Path) -> None:
    ran = ftaudit("check", "--static", "--env", tmp_path / "gone", cwd=tmp_path)
    assert ran.returncode == 2
    assert "gone does not exist" in ran.stderr
    assert "virtual environment" in ran.stderr


def test_an_environment_has_no_extras(tmp_path: Path) -> None:
    installed(tmp_path / "env", "app", "1.0")
    ran = ftaudit("check", "--static", "--env", tmp_path / "env", "--extra", "x", cwd=tmp_path)
    assert ran.returncode == 2
    assert "it has no extras" in ran.stderr


def test_conda_packages_are_rows_and_the_answer_is_not_sure(tmp_path: Path) -> None:
    write(tmp_path, "environment.yml", "dependencies:\n- numpy\n- python=3.14\n- pip:\n  - app==1.0\n")
    with IndexServer() as server:
        server.add_project("app", [wheel("app", "1.0")])
        answer = check("--static", "--index-url", server.simple_url, cwd=tmp_path)
    assert answer.code == 3
    assert answer.verdicts == {"app": "pure", "numpy": "unknown"}
    assert "conda package" in answer.reasons("numpy")
    assert answer.rows["numpy"]["source"] == {"path": "environment.yml", "line": 2}
    assert "reading environment.yml" in answer.errors


def test_a_folder_of_wheels_is_judged_by_its_files_alone(tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    for file in (
        wheel("app", "1.0", requires=["old"]),
        wheel("old", "2.0", tag="cp39-cp39-win_amd64"),
        wheel("old", "1.0"),
    ):
        (links / file.filename).write_bytes(file.data)
    with IndexServer() as server:
        server.add_project("old", [wheel("old", "2.0")])
        answer = check(
            "--static", "--platform", "linux-x86_64", "--index-url", server.simple_url, "links", cwd=tmp_path
        )
        assert not [seen for seen in server.requests if "files" in seen.path]
    rows = {(row["name"], row["version"]): row["verdict"] for row in answer.document["packages"]}
    assert rows == {("app", "1.0"): "pure", ("old", "1.0"): "pure", ("old", "2.0"): "unavailable"}
    assert answer.code == 1


def test_an_environment_is_judged_in_the_versions_that_it_has(tmp_path: Path) -> None:
    installed(tmp_path / "env" / "lib" / "python3.12" / "site-packages", "app", "1.0", "base>=1")
    installed(tmp_path / "env" / "lib" / "python3.12" / "site-packages", "base", "1.0")
    write(tmp_path, "env/pyvenv.cfg", "version = 3.12.1\n")
    with IndexServer() as server:
        server.add_project("app", [wheel("app", "1.0"), wheel("app", "2.0")])
        server.add_project("base", [wheel("base", "1.0", tag="cp312-cp312-win_amd64"), wheel("base", "2.0")])
        options = ["--static", "--platform", "linux-x86_64", "--index-url", server.simple_url]
        answer = check(*options, "--env", "env", cwd=tmp_path)
        same = check(*options, "env", cwd=tmp_path)
    assert answer.verdicts == same.verdicts == {"app": "pure", "base": "unavailable"}
    assert answer.rows["base"]["required_by"] == [["app", "base"]]
    assert any("is an environment of Python 3.12.1" in note for note in answer.document["notes"])


LOCK = """
[[package]]
name = "app"
version = "1.0"
groups = ["main"]
files = [{{file = "{file}", hash = "sha256:{digest}"}}]

[package.source]
type = "legacy"
url = "{index}"
reference = "private"

[metadata]
lock-version = "2.1"
python-versions = ">=3.11"
"""


@pytest.fixture
def app(tmp_path: Path) -> str:
    """The name of a compiled wheel's file that `poetry.lock` names with a private index that refuses to answer."""
    file = wheel("app", "1.0", tag="cp314-cp314t-manylinux_2_17_x86_64")
    text = LOCK.format(file=file.filename, digest=file.digest, index="http://127.0.0.1:9/simple")
    write(tmp_path, "poetry.lock", text)
    return file.filename


def test_a_stranger_on_another_index_does_not_stand_in_for_a_private_wheel(tmp_path: Path, app: str) -> None:
    with IndexServer() as server:
        server.add_project("app", [wheel("app", "1.0", tag="cp314-cp314t-manylinux_2_17_x86_64")])
        answer = check("--static", "--platform", "linux-x86_64", "--index-url", server.simple_url, cwd=tmp_path)
        assert not server.requests
    assert answer.verdicts == {"app": "unknown"}
    assert f"the input does not say where {app} is" in answer.reasons("app")
    assert answer.code == 3
    assert answer.rows["app"]["wheel"]["filename"] == app


def test_a_private_index_that_answers_tells_where_the_wheel_is(tmp_path: Path, app: str) -> None:
    with IndexServer() as private, IndexServer() as other:
        private.add_project("app", [wheel("app", "1.0", tag="cp314-cp314t-manylinux_2_17_x86_64")])
        path = tmp_path / "poetry.lock"
        path.write_text(path.read_text().replace("http://127.0.0.1:9/simple", private.simple_url.rstrip("/")))
        answer = check("--static", "--platform", "linux-x86_64", "--index-url", other.simple_url, cwd=tmp_path)
        assert not other.requests
        assert answer.rows["app"]["wheel"]["url"] == private.file_url(app)
    assert answer.verdicts == {"app": "ready"}
    assert answer.code == 0
