"""Nothing decides by reading text that ftaudit wrote for people: facts, reasons and steps are values."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RENDERED = frozenset(
    {"reasons", "reason", "next_step", "notes", "note", "how", "problem", "problems", "message", "sentence", "told"}
    | {"detail", "incomplete", "warnings", "phrase", "shared"}
)
"""Attributes that hold text for people."""
RENDERERS = frozenset({"sentence", "sentences", "step_sentence", "gap_phrase", "gap_of_many", "candidate_phrase"})
"""Functions that make such text."""
READS = frozenset(
    {"startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "split", "find"}
    | {"replace", "index", "count"}
)
MATCHES = frozenset({"search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"})
ROOMS = ("judge", "engine", "report", "planning", "accepting", "compare", "index", "cli", "model", "fleet")
"""Where facts become answers. Rooms below read what other programs say: uv, servers, interpreters."""


def parsed_sentences(source: str, name: str) -> Iterator[str]:
    """Yield the place of each string operation on an attribute that holds text for people."""

    def holds_text(node: ast.expr) -> bool:
        match node:
            case ast.Attribute(attr=attr):
                return attr in RENDERED
            case ast.Subscript(value=value):
                return holds_text(value)
            case ast.BoolOp(values=values):
                return any(map(holds_text, values))
            case ast.Call(func=ast.Name(id=called)) if called in RENDERERS:
                return True
            case ast.Call(func=ast.Name(id="str"), args=[inner]):
                return holds_text(inner)
            case _:
                return False

    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr=method)) if method in READS:
                found = holds_text(value)
            case ast.Call(func=ast.Attribute(attr=method), args=arguments) if method in MATCHES:
                found = any(map(holds_text, arguments))
            case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[right]):
                found = holds_text(right) and isinstance(left, ast.Constant | ast.Name | ast.JoinedStr)
            case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq()], comparators=[right]):
                texts = isinstance(left, ast.Constant) or isinstance(right, ast.Constant)
                found = texts and (holds_text(left) or holds_text(right))
            case _:
                continue
        if found:
            yield f"{name}:{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_reads_sentences_back(room: str) -> None:
    found = [
        place
        for path in sorted((ROOT / "auditor" / "ftaudit" / room).rglob("*.py"))
        for place in parsed_sentences(path.read_text("utf-8"), str(path.relative_to(ROOT)))
    ]
    assert found == []


@pytest.mark.parametrize(
    "bad",
    [
        'if facts.index.reason.startswith("offline"): pass',
        "good = release.reason.endswith(TURNS_ON)",
        'found = "cannot connect to" in facts.binary.reason',
        'found = any("requires Python" in row.reasons[0] for row in rows)',
        'name = (project.reason or "").startswith(NO_PROJECT)',
        'kind = re.search("GIL", package.next_step)',
        'shown = pattern.sub("…", module.binary.how)',
        'shown = candidate.reason.replace(platform, "x")',
        'same = gap_phrase(gap).partition(": ")[2]',
        'never = facts.runtime.reason == "imports nothing"',
    ],
)
def test_the_check_itself_finds_each_kind(bad: str) -> None:
    assert list(parsed_sentences(bad, "bad.py"))


@pytest.mark.parametrize(
    "fine",
    [
        "told = '; '.join(package.reasons)",
        "rows.append(gap.detail)",
        "if facts.index.reason is None: pass",
        "a in rows",
    ],
)
def test_rendering_is_no_reading(fine: str) -> None:
    assert not list(parsed_sentences(fine, "fine.py"))
