"""The tables of docs/verdicts.md and docs/inputs.md, and the options of docs/commands, are those of the program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import ftaudit
from support.distributions import wheel
from support.index_server import IndexServer

from ftaudit.lockfiles import InputFormat, find_input
from ftaudit.model import BLOCKING, Verdict

ROOT = Path(__file__).parents[1]
VERDICTS, INPUTS = ROOT / "docs" / "verdicts.md", ROOT / "docs" / "inputs.md"


def table(page: Path, heading: str) -> list[list[str]]:
    """Return the rows of the first table under a heading."""
    section = page.read_text("utf-8").partition(f"# {heading}\n")[2]
    rows = re.findall(r"^\|(.+)\|$", section.partition("\n## ")[0], re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in rows[2:]]


def test_the_table_of_verdicts_names_all_of_them_and_says_which_block() -> None:
    rows = {name.strip("`"): blocks for name, _, blocks in table(VERDICTS, "Verdicts")}
    assert set(rows) == {verdict.value for verdict in Verdict}
    assert {name for name, blocks in rows.items() if blocks == "yes"} == {verdict.value for verdict in BLOCKING}


RUNS = {
    "0": "good==1.0\n",
    "1": "other==1.0\n",
    "2": "",
    "3": "absent==1.0\n",
}


def test_the_table_of_exit_codes_names_all_of_them() -> None:
    assert [code for code, _ in table(VERDICTS, "Exit codes")] == list(RUNS)


@pytest.mark.parametrize("code", RUNS)
def test_each_exit_code_is_what_the_command_returns(code: str, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text(RUNS[code])
    with IndexServer() as server:
        server.add_project("good", [wheel("good", "1.0")])
        server.add_project("other", [wheel("other", "1.0", tag="cp314-cp314-win_amd64")])
        ran = ftaudit("check", "--static", "--no-deps", "--index-url", server.simple_url, "r.txt", cwd=tmp_path)
    assert ran.returncode == int(code), ran.stdout + ran.stderr


def test_the_table_of_inputs_names_every_format() -> None:
    named = " ".join(row[0] for row in table(INPUTS, "Inputs"))
    said = {InputFormat.ENVIRONMENT: "--env PATH", InputFormat.WHEELS: "a folder of wheels"}
    assert [kind.value for kind in InputFormat if said.get(kind, kind.value) not in named] == []


def test_the_order_of_inputs_is_the_one_in_which_they_are_looked_for(tmp_path: Path) -> None:
    section = INPUTS.read_text("utf-8").partition("The order is:\n")[2].partition("\nIf you specify")[0]
    order = [name for name in re.findall(r"`([^`]+)`", section) if "*" not in name]
    assert len(order) == 10
    contents = {
        "pyproject.toml": "[project]\nname = 'x'\n",
        "setup.cfg": "[metadata]\nname = x\n[options]\ninstall_requires = a\n",
        "setup.py": "from setuptools import setup\nsetup(name='x', install_requires=['a'])\n",
    }
    for name in reversed(order):
        (tmp_path / name).write_text(contents.get(name, "a==1\n"))
        assert find_input(tmp_path).name == name


def test_the_page_of_each_command_has_its_options() -> None:
    script = ROOT / "scripts" / "make_command_docs.py"
    ran = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert ran.stdout + ran.stderr == "", "a command or an option was added: run scripts/make_command_docs.py"
