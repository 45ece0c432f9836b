"""One name means one thing: no two modules, and no two classes, of ftaudit and its rule pack have the same name."""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = tuple(sorted(path for root in ("auditor", "rules") for path in (ROOT / root).rglob("*.py")))


@functools.cache
def nodes(source: str) -> tuple[ast.AST, ...]:
    """Return the nodes of a module: its classes and imports."""
    kinds = ast.ClassDef | ast.Import | ast.ImportFrom
    return tuple(node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds))


def names_of_classes(source: str) -> list[str]:
    """Return the names of all classes of a module, nested ones included."""
    return [node.name for node in nodes(source) if isinstance(node, ast.ClassDef)]


def renaming_imports(source: str) -> Iterator[str]:
    """Yield each import that renames what it imports."""
    for node in nodes(source):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (f"{name.name} as {name.asname}" for name in node.names if name.asname not in (None, name.name))


def used_twice(named: Iterable[tuple[str, Path]]) -> dict[str, list[str]]:
    """Return the names that more than one file has, with the files."""
    places = defaultdict(list)
    for name, path in named:
        places[name].append(str(path.relative_to(ROOT)))
    return {name: found for name, found in places.items() if len(found) > 1}


def test_each_module_has_a_name_of_its_own() -> None:
    assert used_twice((path.stem, path) for path in FILES if path.stem != "__init__") == {}


def test_each_class_has_a_name_of_its_own() -> None:
    assert used_twice((name, path) for path in FILES for name in names_of_classes(path.read_text("utf-8"))) == {}


def test_no_import_renames_what_it_imports() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {renamed}"
        for path in FILES
        for renamed in renaming_imports(path.read_text("utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "renamed"),
    [
        ("import libcst as cst", ["libcst as cst"]),
        ("def late():\n    from ftaudit.report.plan import plan_json as renderer", ["plan_json as renderer"]),
        ("from typing import Any as Any\nimport ast", []),
    ],
)
def test_the_check_itself_finds_imports_that_rename(source: str, renamed: list[str]) -> None:
    assert list(renaming_imports(source)) == renamed


def test_the_check_itself_finds_nested_classes_and_names_of_two_files() -> None:
    assert names_of_classes("class Row:\n    class Cell: ...\ndef make():\n    class Hidden: ...") == [
        "Row",
        "Cell",
        "Hidden",
    ]
    assert used_twice([("Row", ROOT / "a.py"), ("Row", ROOT / "b.py"), ("Cell", ROOT / "a.py")]) == {
        "Row": ["a.py", "b.py"]
    }
