"""docs/configuration.md matches the program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ftaudit.accepting.accept_entries import KEYS
from ftaudit.cli import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text("utf-8")


def test_the_table_of_keys_is_made_from_the_options() -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / "scripts" / "make_config_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout + ran.stderr == "", "an option was added: run scripts/make_config_docs.py"


def test_the_example_is_taken_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    (tmp_path / "pyproject.toml").write_text(example[1])
    (tmp_path / "ft_rules").mkdir()
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FTAUDIT_CACHE_DIR", str(tmp_path / "cache"))
    assert main(["scan"]) == 0, capsys.readouterr().err


def test_the_keys_of_an_entry_are_all_described() -> None:
    section = PAGE.partition("## Accepting a known problem")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(KEYS)
