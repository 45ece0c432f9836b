"""The static content of `setup.cfg` and `setup.py`: only literals, no code is run."""

from __future__ import annotations

import ast
import configparser
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

MOST: Final = 1_000_000
"""Characters of a file that are read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SetuptoolsProject:
    """The metadata of a setuptools project that has no `[project]`."""

    name: str | None = None
    dependencies: tuple[str, ...] | None = None
    """`None` if they are computed."""
    extras: Mapping[str, tuple[str, ...]] | None = field(default_factory=dict)
    """`None` if they are computed."""
    files: tuple[str, ...] = ()
    """Requirements files with the dependencies (`install_requires = file: …`)."""
    extra_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    requires_python: str | None = None

    @property
    def requires_dist(self) -> tuple[str, ...] | None:
        """The dependencies and those of the extras as `Requires-Dist` lines, or `None` if something is unknown."""
        if self.dependencies is None or self.extras is None or self.files or self.extra_files:
            return None
        of_extras = (under_extra(line, extra) for extra, lines in self.extras.items() for line in lines)
        return (*self.dependencies, *of_extras)


def under_extra(line: str, extra: str) -> str:
    """Return a requirement in the form of `Requires-Dist` for an extra."""
    requirement, _, marker = line.partition(";")
    condition = f"({marker.strip()}) and extra == '{extra}'" if marker.strip() else f"extra == '{extra}'"
    return f"{requirement.strip()} ; {condition}"


def read_setuptools(config: str, script: str) -> SetuptoolsProject:
    """Return what the texts of `setup.cfg` and `setup.py` state; `setup.cfg` takes precedence, as in setuptools."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(config[:MOST])
    except configparser.Error:
        return SetuptoolsProject(extras=None)
    called = _setup_call(script[:MOST])
    arguments = called if called is not None else {}
    dependencies, files = _of_config(parser, "options", "install_requires")
    if dependencies is None and not files:
        dependencies = _of_script(called, arguments, "install_requires")
    extras: dict[str, tuple[str, ...]] | None
    extra_files: dict[str, tuple[str, ...]] = {}
    if parser.has_section("options.extras_require"):
        in_config: dict[str, tuple[str, ...]] = {}
        for extra in parser.options("options.extras_require"):
            lines, more = _of_config(parser, "options.extras_require", extra)
            in_config[extra] = lines or ()
            if more:
                extra_files[extra] = more
        extras = in_config
    else:
        extras = _extras_of_script(called, arguments)
    name = parser.get("metadata", "name", fallback=None) or _text(arguments.get("name"))
    python = parser.get("options", "python_requires", fallback=None) or _text(arguments.get("python_requires"))
    return SetuptoolsProject(
        name=name,
        dependencies=dependencies,
        extras=extras,
        files=files,
        extra_files=extra_files,
        requires_python=python,
    )


def _of_config(
    parser: configparser.RawConfigParser, section: str, key: str
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Return the lines of a key, or the files with them."""
    value = parser.get(section, key, fallback=None)
    if value is None:
        return None, ()
    if value.strip().startswith("file:"):
        named = value.strip().removeprefix("file:")
        return (), tuple(filter(None, (part.strip() for line in named.splitlines() for part in line.split(","))))
    lines = value.splitlines() if "\n" in value else value.split(";")
    return tuple(line for line in (line.partition(" #")[0].strip() for line in lines) if line and line[0] != "#"), ()


def _setup_call(script: str) -> dict[str, ast.expr] | None:
    """Return the keyword arguments of the script's `setup()`; `None` if there is no such call or it is not static."""
    if not script.strip():
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(script)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (getattr(node.func, "id", None) == "setup" or getattr(node.func, "attr", None) == "setup")
    ]
    if len(calls) != 1 or any(keyword.arg is None for keyword in calls[0].keywords):
        return None
    found: dict[str, ast.expr] = {}
    for keyword in calls[0].keywords:
        value = keyword.value
        found[str(keyword.arg)] = names.get(value.id, value) if isinstance(value, ast.Name) else value
    return found


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _of_script(
    called: Mapping[str, ast.expr] | None, arguments: Mapping[str, ast.expr], key: str
) -> tuple[str, ...] | None:
    if called is None:
        return None
    return _lines(_literal(arguments[key])) if key in arguments else ()


def _extras_of_script(
    called: Mapping[str, ast.expr] | None, arguments: Mapping[str, ast.expr]
) -> dict[str, tuple[str, ...]] | None:
    if called is None:
        return None
    if "extras_require" not in arguments:
        return {}
    value = _literal(arguments["extras_require"])
    if not isinstance(value, dict):
        return None
    found = {str(extra): _lines(lines) for extra, lines in value.items()}
    return None if None in found.values() else {extra: lines or () for extra, lines in found.items()}


def _lines(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, str):
        value = [line.strip() for line in value.splitlines() if line.strip()]
    if not isinstance(value, Iterable):
        return None
    lines = tuple(value)
    return lines if all(isinstance(line, str) for line in lines) else None


def _text(node: ast.expr | None) -> str | None:
    value = None if node is None else _literal(node)
    return value if isinstance(value, str) else None
