"""What the README shows is what the commands print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.command import ftaudit, network

ROOT = Path(__file__).parents[1]


@pytest.mark.network
@pytest.mark.interpreter
def test_the_example_of_the_readme_is_the_real_output(tmp_path: Path) -> None:
    shown = re.search(r"```text\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert shown is not None
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    ran = ftaudit("check", "fixtures/example/requirements.txt", cwd=tmp_path, env=network() | {"COLUMNS": "100"})
    assert ran.returncode == 1
    # Later releases of lxml change the next step, and nothing else of what is pinned.
    assert without_next_steps(ran.stdout) == without_next_steps(shown[1])


def without_next_steps(text: str) -> str:
    return re.sub(r"^ +next: .*(\n {6}\S.*)*\n", "", text, flags=re.MULTILINE)
