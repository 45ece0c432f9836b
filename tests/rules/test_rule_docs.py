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
