"""What docs/usage.md says of exit codes and verdicts is what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.command import ftaudit
from support.distributions import wheel
from support.index_server import IndexServer

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
