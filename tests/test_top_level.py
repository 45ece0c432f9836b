"""The top level of the repository holds what was agreed: no file that a run left there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
AGREED = {
    *("auditor", "rules", "fixtures", "tests", "scripts", "docs", ".ci", ".github"),
    *("pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "action.yml"),
    *(".gitignore", ".pre-commit-hooks.yaml"),
}


def test_the_top_level_holds_what_was_agreed() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    ran = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {path.partition("/")[0] for path in ran.stdout.split("\0") if path} == AGREED
