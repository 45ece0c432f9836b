"""Strings that are written next to each other, in a file whose syntax is newer than the interpreter's."""

from __future__ import annotations

import ast

import pytest

from ftaudit.source.python.parse import parse_module


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('"a" f"{x}"', ["x"]),
        ('f"{x}" "a"', ["x"]),
        ('f"{x}" f"{y}" "c" "d"', ["x", "y"]),
        ('("a"\n    f"{x}"\n    "b" "c")', ["x"]),
        ('"a" "b" "c"', []),
    ],
)
def test_strings_next_to_each_other_keep_their_names_and_lines(text: str, names: list[str]) -> None:
    tree = parse_module(f"type Alias = int\nvalue = {text}\nlast = 1\n")
    used = {node.id for node in ast.walk(tree.body[1]) if isinstance(node, ast.Name)}
    assert set(names) <= used
    assert tree.body[2].lineno == 3 + text.count("\n")
