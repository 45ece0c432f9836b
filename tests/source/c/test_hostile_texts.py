"""No text is slow: four times the text is about four times the work, and a file that still takes too long is a row."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import pytest
from support.hostile_text import C_PIECES, nested, repeated

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
BRACKETS = (("(", ")"), ("{", "}"), ("[", "]"), ("<", ">"), ("f(", ")"))
TIMES = 4
LIMIT = 8
"""Half way between four times the work, of a linear reading, and sixteen times, of a quadratic one."""
NOISE = 0.5
"""Seconds of processor time below which the ratio of two costs says nothing on a busy machine.

The query cursor of tree-sitter is quadratic in the depth of loops without braces, and takes a third of that here."""


def cost(text: str, path: str) -> float:
    # The cost of a garbage collection depends on the rest of the suite, not on this text.
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        check_texts({path: text}, RULES, parse_target("3.14t"))
        return time.process_time() - start
    finally:
        gc.enable()


@pytest.mark.parametrize("path", ["a.c", "a.cpp"])
def test_four_times_the_text_is_about_four_times_the_work(path: str) -> None:
    slow = []
    for (piece, text), (_, longer) in zip(
        (*repeated(C_PIECES, SIZE), *nested(BRACKETS, SIZE)),
        (*repeated(C_PIECES, TIMES * SIZE), *nested(BRACKETS, TIMES * SIZE)),
        strict=True,
    ):
        more = cost(longer, path)
        # A single measure is noisy: a slow one is repeated before it counts.
        if more > NOISE and all(min(cost(longer, path), more) > LIMIT * cost(text, path) for _ in range(3)):
            slow.append((piece, more))
    assert slow == []


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
