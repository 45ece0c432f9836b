"""A pin that several files list is one row, and every such file reports it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import check, ftaudit
from support.distributions import wheel
from support.index_server import IndexServer

TAG = "cp311-cp311-manylinux_2_17_x86_64"


@pytest.fixture
def arguments(tmp_path: Path) -> Iterator[list[str]]:
    (tmp_path / "sub").mkdir()
    (tmp_path / "r.txt").write_text("# first\nblocked==1.0\n")
    (tmp_path / "sub" / "r.txt").write_text("blocked==1.0\n")
    with IndexServer() as server:
        server.add_project("blocked", [wheel("blocked", "1.0", tag=TAG)])
        server.add_project("top", [wheel("top", "1.0", requires=["blocked"])])
        yield ["--static", "--index-url", server.simple_url, "r.txt", "sub/r.txt"]


def test_another_version_is_another_row(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "sub" / "r.txt").write_text("blocked==2.0\n")
    rows = check(*arguments, cwd=tmp_path).document["packages"]
    assert [(row["version"], row["source"]["path"], row["also"]) for row in rows] == [
        ("1.0", "r.txt", []),
        ("2.0", "sub/r.txt", []),
    ]


def test_the_table_and_json_name_every_place_once(arguments: list[str], tmp_path: Path) -> None:
    [row] = check(*arguments, "r.txt", cwd=tmp_path).document["packages"]
    assert row["source"] == {"path": "r.txt", "line": 2}
    assert row["also"] == [{"path": "sub/r.txt", "line": 1}]
    assert "listed in r.txt:2, sub/r.txt:1" in ftaudit("check", *arguments, cwd=tmp_path).stdout


def test_the_file_that_lists_it_itself_comes_before_one_that_pulls_it_in(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("top==1.0\n")
    row = check(*arguments, cwd=tmp_path).rows["blocked"]
    assert row["required_by"] == [["blocked"], ["top", "blocked"]]
    assert [row["source"]["path"], *(place["path"] for place in row["also"])] == ["sub/r.txt", "r.txt"]


def test_a_file_that_another_includes_is_named_too(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("blocked==1.0\n-r sub/r.txt\n")
    row = check(*arguments[:-1], cwd=tmp_path).rows["blocked"]
    assert row["source"]["path"] == "r.txt" and [place["path"] for place in row["also"]] == ["sub/r.txt"]


@pytest.mark.parametrize("form", ["concise", "github", "gitlab", "sarif"])
def test_each_file_has_its_own_line_or_annotation(form: str, arguments: list[str], tmp_path: Path) -> None:
    said = ftaudit("check", *arguments, "--format", form, cwd=tmp_path).stdout
    match form:
        case "concise":
            places = [line.partition(": ")[0] for line in said.splitlines()[:-1]]
        case "github":
            places = [line.partition("file=")[2].partition(",title")[0] for line in said.splitlines()[:-1]]
            places = [place.replace(",line=", ":") for place in places]
        case "gitlab":
            found = json.loads(said)
            assert len({each["fingerprint"] for each in found}) == 2
            places = [f"{each['location']['path']}:{each['location']['lines']['begin']}" for each in found]
        case _:
            found = json.loads(said)["runs"][0]["results"]
            physical = [each["locations"][0]["physicalLocation"] for each in found]
            places = [f"{each['artifactLocation']['uri']}:{each['region']['startLine']}" for each in physical]
    assert places == ["r.txt:2", "sub/r.txt:1"]
