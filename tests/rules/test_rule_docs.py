"""The pages in docs/rules match the rules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_rule_pages_are_current() -> None:
    script = ROOT / "scripts" / "make_rule_docs.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout + done.stderr == "", "run scripts/make_rule_docs.py"
    assert done.returncode == 0


def test_an_example_for_another_target_names_it() -> None:
    text = (ROOT / "docs" / "rules" / "pyo3-gil-used.md").read_text("utf-8")
    before = text.partition('pyo3 = "0.29"')[0].rpartition("line 1")[2]
    assert before.startswith(", with `--target 3.13t`:"), "PyO3 0.29 is flagged for 3.13t only"
