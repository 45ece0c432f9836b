"""Every command in README.md and docs/ runs, and prints the output shown there.

A `console` block is a session: `$ ` lines (and `> ` behind them) are commands, the lines that follow are the output, in
which `…` stands for anything (on a line of its own: for any lines). A page is one session, in a folder that starts as
`fixtures/example/`; its own commands create anything else that it needs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.command import environment, network
from support.freethreaded import interpreter

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "commands").glob("*.md")),
]
NOT_RUN = {
    "scripts/test": "this test is run by it",
    "pip install ftaudit": "it is not on an index yet, and the tests run an installed one",
    "ftaudit stress ujson==6.1.0": "it takes a minute of processor time",
    "ftaudit stress ujson==6.1.0 --budget 15 --report failures/": "the same",
    "python3.14t failures/ujson-6.1.0-1.py": "what it runs is written by the command before",
    "ftaudit stress --replay failures/ujson-6.1.0-1.py": "the same",
    "ftaudit scan --declare | git apply": "it edits the reader's own repository",
    "python3.14t -m build --wheel": "it builds the reader's own wheel",
    "git stash": "the same repository",
    "ftaudit scan --declare --stress dist/demo-1.0-cp314-cp314t-linux_x86_64.whl | git apply": "the same wheel",
}
"""Commands that are shown and not run, and why."""
ALIASES = {
    "scripts/check": str(ROOT / "scripts" / "check"),
    ".venv/bin/pip install --quiet ftaudit-guard": f".venv/bin/pip install --quiet {ROOT}/auditor/guard",
}
"""Replacements for the start of a command that a reader has and a test does not."""
END = "ftaudit-docs-end-of-output"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A command of a page."""

    line: int
    command: str
    output: tuple[str, ...]


def blocks(page: Path) -> list[tuple[int, str, list[str]]]:
    """Return the fenced blocks of a page: line, language, lines."""
    found = []
    lines = page.read_text("utf-8").splitlines()
    start = language = None
    for number, line in enumerate(lines):
        if match := re.fullmatch(r"\s*```([\w{}-]*)", line):
            if start is None:
                start, language = number, match[1]
            else:
                body = textwrap.dedent("\n".join(lines[start + 1 : number])).split("\n")
                found.append((start + 2, language or "", body))
                start = None
    assert start is None, f"{page.name}:{start} is not closed"
    return found


def commands(page: Path) -> list[Shown]:
    """Return the commands of a page, in order."""
    found = []
    for first, language, lines in blocks(page):
        if language != "console":
            continue
        assert lines[0].startswith("$ "), f"{page.name}:{first}: a console block begins with a command"
        number = 0
        while number < len(lines):
            start, command = number, lines[number].removeprefix("$ ")
            while command.endswith("\\"):
                number += 1
                command = command[:-1] + lines[number].strip()
            number += 1
            while number < len(lines) and lines[number].startswith("> "):
                command += "\n" + lines[number][2:]
                number += 1
            output = []
            while number < len(lines) and not lines[number].startswith("$ "):
                output.append(lines[number])
                number += 1
            bare = re.sub(r"\s+#.*$", "", command)
            found.append(Shown(line=first + start, command=bare, output=tuple(output)))
    return found


def pattern(output: tuple[str, ...]) -> str:
    """Return the regular expression that a command's output must match."""
    parts = []
    for line in output:
        text = line.rstrip()
        if text.strip() == "…":
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            parts.append("[^\n]*?".join(map(re.escape, text.split("…"))) + "\n")
    return "".join(parts)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_shows_commands_in_no_other_kind_of_block(page: Path) -> None:
    assert not [first for first, language, _ in blocks(page) if language in ("sh", "bash", "shell")]
    prose = [line for _, language, lines in blocks(page) if language in ("text", "") for line in lines]
    assert not [line for line in prose if re.match(r"(\$ )?(ftaudit|pip|uvx) ", line)]


@pytest.mark.network
@pytest.mark.interpreter
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_print_what_it_shows(
    page: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "fixtures" / "example", folder)
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "python3.14t").symlink_to(interpreter().path)
    path = os.pathsep.join([str(bin_folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    # One home, and so one cache, for all pages and workers: the next page reuses the downloads.
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "home-of-the-docs"
    home.mkdir(exist_ok=True)
    settings = {"PATH": path, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONPATH": "", "GIT_CONFIG_NOSYSTEM": "1"}
    env = environment(home, network() | settings)
    shown = [item for item in commands(page) if item.command not in NOT_RUN]
    script = "\n".join(f"{_real(item.command)}\necho; echo {END} $?" for item in shown)
    ran = subprocess.run(
        ["bash", "-c", f"exec 2>&1\n{script}"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    said = re.split(rf"\n{END} (\d+)\n", ran.stdout)
    assert len(said) == 2 * len(shown) + 1, ran.stdout[-3000:]
    for item, printed, code in zip(shown, said[::2], said[1::2], strict=False):
        where = f"{page.name}:{item.line}: $ {item.command}"
        allowed = {"0", "1", "3"} if "ftaudit" in item.command or item.output else {"0"}
        assert code in allowed or "ftaudit: error" in "\n".join(item.output), f"{where}\n{code}\n{printed}"
        if item.output:
            tidy = "".join(f"{line.rstrip()}\n" for line in printed.rstrip("\n").split("\n"))
            assert re.fullmatch(pattern(item.output), tidy), f"{where}\n{printed}"


def _real(command: str) -> str:
    for shown, meant in ALIASES.items():
        if f"{command} ".startswith(f"{shown} "):
            return meant + command.removeprefix(shown)
    return command


def test_every_path_that_the_guide_for_contributors_names_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"`((?:auditor|rules|tests|scripts|fixtures|docs)/[\w./-]+)`", text)
    assert len(named) > 20
    assert [
        path for path in named if "NAME" not in path and "LANGUAGE" not in path and not (ROOT / path).exists()
    ] == []


def test_each_command_that_is_not_run_is_shown_on_a_page() -> None:
    shown = {item.command for page in PAGES for item in commands(page)}
    assert NOT_RUN.keys() - shown == set()
    assert [start for start in ALIASES if not any(f"{each} ".startswith(f"{start} ") for each in shown)] == []
