"""Edits the text of a requirements file: specifiers and hashes change, everything else stays."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from ftaudit.errors import InputError

_CLAUSE: Final = r"(?:===|==|!=|~=|<=|>=|<|>)[ \t]*[^\s,;()#\\'\"]+"
_LIST: Final = rf"{_CLAUSE}(?:[ \t]*,[ \t]*{_CLAUSE})*"
_REQUIREMENT: Final = re.compile(
    rf"(?P<head>[\ufeff\s]*(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:[ \t]*\[[^\]\r\n]*\])?)"
    rf"(?P<gap>[ \t]*)(?P<specifier>\([ \t]*(?:{_LIST})?[ \t]*\)|{_LIST}|)"
)
_HASH: Final = re.compile(r"--hash[=\s]\s*[\w-]+:[0-9A-Fa-f]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class LineEdit:
    """The edit of the requirement that begins on a line."""

    line: int
    """From 1."""
    name: NormalizedName
    specifier: SpecifierSet
    hashes: tuple[str, ...] = ()
    """`algorithm:digest` of the files of the new version, if the line has hashes."""


def respecify(text: str, name: NormalizedName, specifier: SpecifierSet) -> str:
    """Return a requirement's text with another specifier; extras, marker, spacing and comments stay.

    Raise `ValueError` if the text is not a requirement of that name that can be changed this way.
    """
    match = _REQUIREMENT.match(text)
    if match is None or canonicalize_name(match["name"]) != name:
        raise ValueError(f"no requirement of {name}")
    new = _written(match["specifier"], specifier)
    if match["specifier"].startswith("("):
        new = f"({new})"
    gap, rest = (match["gap"], text[match.end() :]) if match["specifier"] else ("", text[match.end("head") :])
    changed = f"{match['head']}{gap}{new}{rest}"
    if _parsed(changed) != _parsed(text, specifier):
        raise ValueError(f"the requirement of {name} is written in a way that cannot be edited")
    return changed


def _written(old: str, specifier: SpecifierSet) -> str:
    """Return the specifier as text: unchanged parts keep their order and spacing."""
    clauses = [str(clause) for clause in specifier]
    stood = [re.sub(r"\s", "", clause) for clause in re.findall(_CLAUSE, old)]
    order = {clause: place for place, clause in enumerate(stood)}
    first = [clause for clause in clauses if clause not in order]
    first.sort(key=lambda clause: (not clause.startswith((">=", "==")), clause))
    kept = sorted((clause for clause in clauses if clause in order), key=order.__getitem__)
    separator = ", " if re.search(r",\s", old) else ","
    text = separator.join((*first, *kept))
    spaced = re.match(r"\(?\s*[=<>!~]+(\s+)", old)
    return re.sub(r"([=<>!~]=?=?)(?=[^=<>!~\s])", rf"\1{spaced[1]}", text) if spaced else text


def _parsed(text: str, specifier: SpecifierSet | None = None) -> tuple[object, ...]:
    """Return a requirement's data, with another specifier if one is given."""
    before_options = re.split(r"\s(?:--|#)|\\\r?\n", text.strip().lstrip("\ufeff"), maxsplit=1)[0]
    try:
        found = Requirement(before_options.strip().rstrip("\\"))
    except InvalidRequirement as error:
        raise ValueError(str(error).splitlines()[0]) from error
    return canonicalize_name(found.name), frozenset(found.extras), str(found.marker), specifier or found.specifier


def edit_lines(text: str, edits: Sequence[LineEdit], new_lines: Sequence[str], *, path: str) -> str:
    """Return the text of a requirements file with requirements changed, and further ones at its end.

    Raise `InputError`, naming the line, if a requirement is no longer where it was read.
    """
    lines = text.splitlines(keepends=True)
    by_line: Mapping[int, LineEdit] = {edit.line: edit for edit in edits}
    result: list[str] = []
    at = 0
    while at < len(lines):
        end = _end(lines, at)
        logical = "".join(lines[at:end])
        edit = by_line.get(at + 1)
        if edit is not None:
            try:
                logical = _with_hashes(respecify(logical, edit.name, edit.specifier), edit)
            except ValueError as error:
                problem = f"{path}:{at + 1}: {error}"
                raise InputError(problem, hint=f"write {edit.name}{edit.specifier} there yourself") from error
        result.append(logical)
        at = end
    ending = _ending(text)
    if new_lines and result and not result[-1].endswith(("\n", "\r")):
        result[-1] += ending
    return "".join((*result, *(f"{line}{ending}" for line in new_lines)))


def _end(lines: Sequence[str], start: int) -> int:
    """Return the number of the line after the logical line: a backslash at the end of a line continues it."""
    end = start + 1
    while (
        end < len(lines)
        and lines[end - 1].rstrip("\r\n").endswith("\\")
        and not lines[end - 1].lstrip().startswith("#")
    ):
        end += 1
    return end


def _with_hashes(logical: str, edit: LineEdit) -> str:
    """Return the logical line with the new version's hashes in place of the old ones, in the same layout."""
    found = list(_HASH.finditer(logical))
    if not found:
        return logical
    if not edit.hashes:
        raise ValueError(f"the index has no hashes for {edit.name}{edit.specifier}, and this line needs them")
    first, last = found[0], found[-1]
    between = logical[found[0].end() : found[1].start()] if len(found) > 1 else None
    if between is None:
        before = re.search(r"\s*\\\r?\n[ \t]*$", logical[: first.start()])
        between = before[0] if before else " "
    written = between.join(f"--hash={one}" for one in edit.hashes)
    return f"{logical[: first.start()]}{written}{logical[last.end() :]}"


def _ending(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
