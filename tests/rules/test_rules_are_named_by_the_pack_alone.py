"""All facts about a rule are in its `RuleInfo`: no code outside the pack names a rule by its code or name."""

from __future__ import annotations

import re
from pathlib import Path

from ftaudit.registry import load_rules

ENGINE = Path(__file__).parents[2] / "auditor"
NAMES = "|".join(re.escape(rule.info.name) for rule in load_rules().rules)
OF_THE_LIBRARY = "sys.setswitchinterval"
"""A function of the standard library after which a rule is named."""
OF_A_RULE = re.compile(rf"\bFT\d{{3}}\b|(?<![\w-])(?:{NAMES})(?![\w-])")


def test_no_file_of_the_engine_names_a_rule() -> None:
    files = [path for path in sorted(ENGINE.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    assert len(files) > 100
    named = [
        f"{path.relative_to(ENGINE)}:{number}: {found[0]}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if (found := OF_A_RULE.search(line.replace(OF_THE_LIBRARY, "")))
    ]
    assert named == []
