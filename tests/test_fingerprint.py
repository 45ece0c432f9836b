"""The fingerprint of a finding: only the relevant parts matter."""

from __future__ import annotations

import pytest

from ftaudit.fingerprint import fingerprints
from ftaudit.model import Confidence, Finding, Location, Severity


def finding(line: int | None = 1, *, path: str = "a.c", code: str = "FT301", message: str = "m") -> Finding:
    return Finding(
        rule="r",
        code=code,
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        message=message,
        location=Location(path=path, line=line),
    )


def mark(given: Finding, text: str = "static int x;") -> str:
    line = given.location.line if given.location is not None else None
    frames = {} if line is None else {("a.c", line): ((line, text),)}
    return fingerprints([given], frames)[0]


@pytest.mark.parametrize(
    "other",
    [
        mark(finding(code="FT302")),
        mark(finding(path="b.c")),
        mark(finding(), "static int y;"),
        mark(finding(None)),
    ],
    ids=["rule", "file", "text", "no line"],
)
def test_another_rule_file_or_text_is_another_finding(other: str) -> None:
    assert mark(finding()) != other


def test_a_moved_line_other_blanks_and_another_wording_are_the_same_finding() -> None:
    assert mark(finding()) == mark(finding(99)) == mark(finding(), "  static  int\tx;") == mark(finding(message="n"))


def test_windows_separators_are_the_same_path() -> None:
    assert mark(finding(None, path="src\\a.c")) == mark(finding(None, path="src/a.c"))


def test_equal_lines_are_told_apart_by_their_order_in_the_file_whatever_order_they_come_in() -> None:
    frames = {("a.c", line): ((line, "x"),) for line in (1, 5)}
    forwards = fingerprints([finding(1), finding(5)], frames)
    assert len(set(forwards)) == 2
    assert fingerprints([finding(5), finding(1)], frames) == forwards[::-1]


def test_text_that_cannot_be_encoded_is_no_crash() -> None:
    assert len(mark(finding(), "\ud800")) == 32
