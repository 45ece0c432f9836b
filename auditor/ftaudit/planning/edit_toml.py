"""Edits a pyproject.toml: dependency strings change, constraints are added; comments and everything else stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from ftaudit.errors import InputError
from ftaudit.planning.edit_lines import respecify

if TYPE_CHECKING:
    from tomlkit.items import Item

Choose: TypeAlias = "Callable[[Requirement], SpecifierSet | None]"
"""Returns a requirement's new specifier, or `None` if it does not change."""


def edit_toml(text: str, choose: Choose, constraints: Mapping[NormalizedName, SpecifierSet], *, path: str) -> str:
    """Return the text with other specifiers, and new constraints for uv.

    Raise `InputError` for a text that is not TOML, or if the result, read again, has any other change.
    """
    import tomli
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    lines = [f"{name}{specifier}" for name, specifier in constraints.items()]
    try:
        document = tomlkit.parse(text)
        expected = tomli.loads(text)
        for edited in (document, expected):
            _respecify(edited, choose)
        has_table = "uv" in expected.get("tool", {})
        if lines and has_table:
            _constrain(document, lines)
        new_table = _new_table(lines) if lines and not has_table else ""
        result = _with_endings_of(text, _joined(tomlkit.dumps(document), new_table))
        if lines:
            _constrain(expected, lines)
        same = tomli.loads(result) == expected
    except (TOMLKitError, tomli.TOMLDecodeError, ValueError, TypeError, AttributeError, KeyError, IndexError):
        same = False
    if not same:
        raise InputError(f"{path} is written in a way that cannot be edited", hint="make the changes by hand")
    return result


def _respecify(document: Mapping[str, Any], choose: Choose) -> None:
    """Change requirements in a document, either tomlkit's, which keeps the format, or a plain one."""
    for values in _lists(document):
        for at, value in enumerate(values):
            if isinstance(value, str) and (new := _changed(value, choose)) is not None and new != value:
                values[at] = _quoted_alike(new, value)


def _constrain(document: MutableMapping[str, Any], lines: list[str]) -> None:
    """Add constraints to uv's table."""
    known = document.setdefault("tool", {}).setdefault("uv", {}).setdefault("constraint-dependencies", [])
    for line in lines:
        known.append(line)


def _new_table(lines: list[str]) -> str:
    """Return uv's table as text: at the end of a document it is valid whatever comes before."""
    written = ", ".join(f'"{line}"' for line in lines)
    return f"[tool.uv]\nconstraint-dependencies = [{written}]\n"


def _joined(text: str, table: str) -> str:
    if not table or not text:
        return text + table
    ending = "" if text.endswith("\n") else "\n"
    return f"{text}{ending}\n{table}"


def _lists(document: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Yield the lists of requirements: of the project, its extras, its groups, and uv's constraints."""
    project, uv = document.get("project", {}), document.get("tool", {}).get("uv", {})
    found = [project.get("dependencies")]
    for tables in (project.get("optional-dependencies"), document.get("dependency-groups")):
        found += (tables or {}).values()
    found += (uv.get(key) for key in ("constraint-dependencies", "override-dependencies"))
    return (values for values in found if isinstance(values, list))


def _changed(value: str, choose: Choose) -> str | None:
    try:
        found = Requirement(value)
        specifier = None if found.url else choose(found)
        return None if specifier is None else respecify(value, canonicalize_name(found.name), specifier)
    except (InvalidRequirement, ValueError):
        return None


def _quoted_alike(new: str, old: str) -> str | Item:
    """Return a string in the quotes of the string that it replaces."""
    from tomlkit import string
    from tomlkit.items import String

    if not isinstance(old, String):
        return new
    return string(str(new), literal=old.as_string().startswith("'"))


def _with_endings_of(old: str, new: str) -> str:
    """Return a text with the line endings of the old text."""
    if "\r\n" in old and not re.search(r"(?<!\r)\n", old):
        return re.sub(r"(?<!\r)\n", "\r\n", new)
    return new
