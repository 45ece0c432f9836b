"""Recipes: TOML files that describe how to create and call objects that probes cannot discover.

A file has three tables. `constructors` maps a type or function to expressions that make an object; `calls` maps a type
to operations on an object `o` (and a second one, `p`), or a function to whole calls; each `oracle` names a type, its
operations, and a `state` that must not depend on the order of threads. Expressions run only in the sandbox.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from importlib import resources
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import tomli

from ftaudit.errors import UsageError

GROUP: Final = "ftaudit.recipes"
"""The entry point group: each entry names a package with `.toml` files."""
_TABLES: Final = ("constructors", "calls", "oracle")
_BYTES: Final = 1 << 20


def read_recipes(folders: Iterable[Path] = ()) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the shipped, the installed, and the project's own recipes, and a sentence for each broken pack.

    `folders` are folders or files of the project's own; raise `UsageError` for an error in them.
    """
    merged: dict[str, Any] = {"constructors": {}, "calls": {}, "oracle": {}}
    problems: list[str] = []
    for name, text in _packed(problems):
        try:
            _add(merged, parse_recipe(text, name))
        except UsageError as error:
            problems.append(error.problem)
    for path in folders:
        for file in _files(path):
            try:
                if file.stat().st_size > _BYTES:
                    raise UsageError(f"{file}: a recipe has no more than {_BYTES >> 20} MB")
                text = file.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"{file}: the recipe cannot be read: {error}") from error
            _add(merged, parse_recipe(text, str(file)))
    return merged, tuple(problems)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.glob("*.toml"))
    if path.is_file():
        return [path]
    raise UsageError(f"the recipes {path} do not exist", hint="specify a folder of .toml files, or one such file")


def _packed(problems: list[str]) -> Iterator[tuple[str, str]]:
    """Yield name and text of each recipe that ftaudit or an installed package ships."""
    shipped = ["ftaudit.stress"]
    shipped += [entry.value for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.value)]
    for name in shipped:
        try:
            folder = resources.files(name)
            if name == "ftaudit.stress":
                folder = folder.joinpath("recipes_shipped")
            for file in sorted(folder.iterdir(), key=lambda each: each.name):
                if file.name.endswith(".toml"):
                    yield f"{name}: {file.name}", file.read_text("utf-8")
        except Exception as error:
            problems.append(f"the recipes of {name} cannot be read: {type(error).__name__}: {error}")


def parse_recipe(text: str, name: str) -> dict[str, Any]:
    """Return the content of a recipe; raise `UsageError`, with the file's name, for an error in it."""
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise UsageError(f"{name}: the recipe is not valid TOML: {error}") from error
    for key in data:
        if key not in _TABLES:
            raise UsageError(f"{name}: {key!r} is not known", hint=f"the tables of a recipe are {', '.join(_TABLES)}")
    for table in ("constructors", "calls"):
        rows = data.get(table, {})
        if not isinstance(rows, dict):
            raise UsageError(f"{name}: {table} is not a table")
        for subject, texts in rows.items():
            _check_expressions(texts, f"{name}: {table} of {subject}")
    oracles: dict[str, list[dict[str, Any]]] = {}
    given = data.get("oracle", [])
    if not isinstance(given, list):
        raise UsageError(f"{name}: oracle is not a list of tables", hint="begin each one with [[oracle]]")
    for oracle in given:
        if not isinstance(oracle, dict) or set(oracle) != {"type", "operations", "state"}:
            raise UsageError(f"{name}: an oracle must have exactly the keys type, operations and state")
        _check_expressions(oracle["operations"], f"{name}: the oracle of {oracle['type']}")
        _check_expressions([oracle["state"]], f"{name}: the state of {oracle['type']}")
        row = {"operations": oracle["operations"], "state": oracle["state"]}
        oracles.setdefault(str(oracle["type"]), []).append(row)
    return {"constructors": data.get("constructors", {}), "calls": data.get("calls", {}), "oracle": oracles}


def _check_expressions(texts: object, where: str) -> None:
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{where}: must be a list of Python expressions")
    for text in texts:
        try:
            ast.parse(text, mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise UsageError(f"{where}: {text!r} is not a Python expression") from error


def _add(merged: dict[str, Any], recipe: dict[str, Any]) -> None:
    for table in _TABLES:
        for subject, rows in recipe[table].items():
            merged[table].setdefault(subject, []).extend(rows)


def recipes_for(recipes: dict[str, Any], toplevels: Iterable[str]) -> dict[str, Any]:
    """Return the recipes for the modules of these top-level names."""
    tops = set(toplevels)
    return {
        table: {subject: rows for subject, rows in recipes.get(table, {}).items() if subject.partition(".")[0] in tops}
        for table in _TABLES
    }
