"""No text is slow: four times the text takes about four times the calls, and a file that takes too long is a row."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import pytest
from support.hostile_text import C_BRACKETS, C_PIECES, nested, repeated

from ftaudit.model import Severity
from ftaudit.registry import load_rules
from ftaudit.rule import Language, SourceRule
from ftaudit.source import limit
from ftaudit.source.run_rules import check_texts
from ftaudit.source.source_files import find_files
from ftaudit.source.tree_scan import scan
from ftaudit.target import parse_target

RULES = tuple(
    rule for rule in load_rules().rules if isinstance(rule, SourceRule) and rule.languages & {Language.C, Language.CPP}
)
SIZE = 4_000
"""Characters: four times as many show a quadratic step, and are few enough for all pieces to be tried."""
TIMES = 4
LIMIT = 10
"""Half way between four times the calls, of a linear reading, and sixteen times, of a quadratic one."""


def calls(text: str, path: str) -> int:
    """Return how many calls it takes to check a text: unlike seconds, they are the same on a busy machine.

    `scripts/bench_hostile_text.py` measures the time, which includes the work of the parser.
    """
    count = 0

    def profile(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        check_texts({path: text}, RULES, parse_target("3.14t"))
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("path", ["a.c", "a.cpp"])
def test_four_times_the_text_is_about_four_times_the_calls(path: str) -> None:
    growth = {
        piece: calls(longer, path) / calls(text, path)
        for (piece, text), (_, longer) in zip(
            (*repeated(C_PIECES, SIZE), *nested(C_BRACKETS, SIZE)),
            (*repeated(C_PIECES, TIMES * SIZE), *nested(C_BRACKETS, TIMES * SIZE)),
            strict=True,
        )
    }
    assert len(growth) > len(C_PIECES)
    assert {piece: ratio for piece, ratio in growth.items() if ratio > LIMIT} == {}


def test_a_file_that_takes_too_long_is_a_row_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fast.c").write_text("PyMODINIT_FUNC PyInit_m(void) { return PyModule_Create(&def); }\n")
    (tmp_path / "slow.c").write_text("int f(int a) { return a; }\n" * 40_000)
    monkeypatch.setattr(limit.processor_time.__wrapped__, "__defaults__", (0.2,))
    result = scan(find_files([tmp_path]), rules=RULES, target=parse_target("3.14t"), jobs=0)
    assert [Path(row.path).name for row in result.skipped if "too slow" in row.reason] == ["slow.c"]
    assert {Path(finding.location.path).name for finding in result.findings if finding.location} == {"fast.c"}
    assert result.exit_code(Severity.PEDANTIC) == 1
