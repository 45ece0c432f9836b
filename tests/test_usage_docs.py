"""What docs/usage.md says of exit codes and verdicts is what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.command import ftaudit
from support.distributions import wheel
from support.index_server import IndexServer

from ftaudit.lockfiles import InputFormat, find_input
from ftaudit.model import BLOCKING, Verdict

USAGE = Path(__file__).parents[1] / "docs" / "usage.md"


def table(heading: str) -> list[list[str]]:
    """Return the rows of the first table under a heading."""
    section = USAGE.read_text("utf-8").partition(f"## {heading}\n")[2]
    rows = re.findall(r"^\|(.+)\|$", section.partition("\n## ")[0], re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in rows[2:]]


def test_the_table_of_verdicts_names_all_of_them_and_says_which_block() -> None:
    rows = {name.strip("`"): blocks for name, _, blocks in table("Verdicts")}
    assert set(rows) == {verdict.value for verdict in Verdict}
    assert {name for name, blocks in rows.items() if blocks == "yes"} == {verdict.value for verdict in BLOCKING}


RUNS = {
    "0": "good==1.0\n",
    "1": "other==1.0\n",
    "2": "",
    "3": "absent==1.0\n",
}


def test_the_table_of_exit_codes_names_all_of_them() -> None:
    assert [code for code, _ in table("Exit codes")] == list(RUNS)


@pytest.mark.parametrize("code", RUNS)
def test_each_exit_code_is_what_the_command_returns(code: str, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text(RUNS[code])
    with IndexServer() as server:
        server.add_project("good", [wheel("good", "1.0")])
        server.add_project("other", [wheel("other", "1.0", tag="cp314-cp314-win_amd64")])
        ran = ftaudit("check", "--static", "--no-deps", "--index-url", server.simple_url, "r.txt", cwd=tmp_path)
    assert ran.returncode == int(code), ran.stdout + ran.stderr


def test_the_table_of_inputs_names_every_format() -> None:
    named = " ".join(row[0] for row in table("Inputs"))
    said = {InputFormat.ENVIRONMENT: "--env PATH", InputFormat.WHEELS: "a folder of wheels"}
    assert [kind.value for kind in InputFormat if said.get(kind, kind.value) not in named] == []


def test_the_order_of_inputs_is_the_one_in_which_they_are_looked_for(tmp_path: Path) -> None:
    section = USAGE.read_text("utf-8").partition("in the order ")[2].partition("; the choice")[0]
    order = [name for name in re.findall(r"`([^`]+)`", section) if "*" not in name]
    assert len(order) == 8
    for name in reversed(order):
        (tmp_path / name).write_text("[project]\nname = 'x'\n" if name == "pyproject.toml" else "a==1\n")
        assert find_input(tmp_path).name == name
