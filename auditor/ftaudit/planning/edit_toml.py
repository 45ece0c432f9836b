"""Edits a pyproject.toml's text: dependency strings change in place, and the document is compared before and after."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from ftaudit.errors import InputError
from ftaudit.planning.edit_lines import respecify

Path_: TypeAlias = "tuple[str | int, ...]"
Choose: TypeAlias = "Callable[[Requirement], SpecifierSet | None]"
"""Returns a requirement's new specifier, or `None` for one that stays."""
_SENTINEL: Final = "ftaudit-looks-for-this-string"
_UV: Final = re.compile(r"^[ \t]*\[[ \t]*tool[ \t]*\.[ \t]*uv[ \t]*\][ \t]*(?:#[^\r\n]*)?\r?\n", re.MULTILINE)
_CONSTRAINTS: Final = re.compile(r"^[ \t]*constraint-dependencies[ \t]*=[ \t]*\[", re.MULTILINE)


def edit_toml(text: str, choose: Choose, constraints: Mapping[NormalizedName, SpecifierSet], *, path: str) -> str:
    """Return the text with other specifiers, and new constraints for uv.

    Raise `InputError` where a string cannot be found in the text, or the result would say anything else, too.
    """
    import tomli

    expected = tomli.loads(text)
    for place, value in list(_dependencies(expected)):
        new = _changed(value, choose)
        if new is not None and new != value:
            text = _replace(text, place, value, new, path)
            _set(expected, place, new)
    if constraints:
        lines = [f"{name}{specifier}" for name, specifier in constraints.items()]
        text = _constrain(text, lines)
        table = expected.setdefault("tool", {}).setdefault("uv", {})
        table["constraint-dependencies"] = [*lines, *table.get("constraint-dependencies", [])]
    try:
        same = tomli.loads(text) == expected
    except tomli.TOMLDecodeError:
        same = False
    if not same:
        raise InputError(f"{path} is written in a way that cannot be edited", hint="make the changes by hand")
    return text


def _changed(value: str, choose: Choose) -> str | None:
    try:
        found = Requirement(value)
        specifier = None if found.url else choose(found)
        return None if specifier is None else respecify(value, canonicalize_name(found.name), specifier)
    except (InvalidRequirement, ValueError):
        return None


def _dependencies(document: Mapping[str, Any]) -> Iterator[tuple[Path_, str]]:
    """Yield each requirement of the project, its extras, groups and uv's constraints, with its place."""
    project, uv = document.get("project", {}), document.get("tool", {}).get("uv", {})
    yield from _strings(project.get("dependencies"), ("project", "dependencies"))
    for base, tables in (
        (("project", "optional-dependencies"), project.get("optional-dependencies")),
        (("dependency-groups",), document.get("dependency-groups")),
    ):
        for name, values in (tables or {}).items():
            yield from _strings(values, (*base, name))
    for key in ("constraint-dependencies", "override-dependencies"):
        yield from _strings(uv.get(key), ("tool", "uv", key))


def _strings(values: object, base: Path_) -> Iterator[tuple[Path_, str]]:
    if isinstance(values, list):
        for at, value in enumerate(values):
            if isinstance(value, str):
                yield (*base, at), value


def _replace(text: str, place: Path_, value: str, new: str, path: str) -> str:
    """Replace the one string that stands at the place of the document: each like it is tried, and the document read."""
    for start, end, quote in _literals(text, value):
        tried = f"{text[:start]}{quote}{_SENTINEL}{quote}{text[end:]}"
        if _at(tried, place) == _SENTINEL:
            return f"{text[:start]}{_literal(new, quote)}{text[end:]}"
    raise InputError(f"{path}: {'.'.join(map(str, place))}: {value!r} was not found", hint=f"write {new!r} yourself")


def _literals(text: str, value: str) -> Iterator[tuple[int, int, str]]:
    for quote in ('"', "'"):
        literal = _literal(value, quote)
        start = text.find(literal)
        while start >= 0:
            yield start, start + len(literal), quote
            start = text.find(literal, start + 1)


def _literal(value: str, quote: str) -> str:
    return json.dumps(value, ensure_ascii=False) if quote == '"' else f"'{value}'"


def _at(text: str, place: Path_) -> object:
    import tomli

    try:
        found: Any = tomli.loads(text)
        for key in place:
            found = found[key]
    except (tomli.TOMLDecodeError, KeyError, IndexError, TypeError):
        return None
    return found


def _set(document: Any, place: Path_, value: str) -> None:
    for key in place[:-1]:
        document = document[key]
    document[place[-1]] = value


def _constrain(text: str, lines: list[str]) -> str:
    """Add constraints for uv: to its list, to its table, or in a table of their own at the end."""
    ending = "\r\n" if "\r\n" in text else "\n"
    written = ", ".join(f'"{line}"' for line in lines)
    header = _UV.search(text)
    if header is not None:
        section_end = re.compile(r"^[ \t]*\[", re.MULTILINE).search(text, header.end())
        known = _CONSTRAINTS.search(text, header.end(), section_end.start() if section_end else len(text))
        if known is not None:
            rest = text[known.end() :]
            separator = "" if rest.lstrip().startswith("]") else ", "
            return f"{text[: known.end()]}{written}{separator}{rest}"
        return f"{text[: header.end()]}constraint-dependencies = [{written}]{ending}{text[header.end() :]}"
    gap = "" if text.endswith(("\n", "\r")) or not text else ending
    return f"{text}{gap}{ending}[tool.uv]{ending}constraint-dependencies = [{written}]{ending}"
