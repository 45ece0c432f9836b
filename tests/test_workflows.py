"""The workflows of this repository, the action, and the workflows that the docs show are valid and hardened."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_ci_docs import block

ROOT = Path(__file__).parents[1]
SHOWN = (("ci.md", "GitHub"), ("commands/watch.md", "A scheduled workflow"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_obeys_githubs_schema(path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", path]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_zizmor_has_nothing_to_say(tmp_path: Path) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    shown = [folder / "checked.yml", folder / "watched.yml"]
    for path, (page, heading) in zip(shown, SHOWN, strict=True):
        path.write_text(block(ROOT / "docs" / page, heading, "yaml").replace("COMMIT", f"{'0' * 40} # main"))
    command = [Path(sys.executable).parent / "zizmor", "--offline", "--pedantic", "--no-progress"]
    ran = subprocess.run(
        [*command, *WORKFLOWS, ROOT / "action.yml", *shown], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "No findings to report" in ran.stdout + ran.stderr


def test_every_action_is_pinned_by_commit() -> None:
    used = [
        line
        for path in (*WORKFLOWS, ROOT / "action.yml")
        for line in path.read_text("utf-8").splitlines()
        if re.search(r"\buses:", line)
    ]
    assert len(used) > 5
    assert [line for line in used if not re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d", line)] == []
