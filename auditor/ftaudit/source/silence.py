"""Comments that silence findings: their scope, and which of them silence nothing."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ftaudit.model import Finding, Location
from ftaudit.rule import Language, RuleInfo
from ftaudit.source.base import IdleComment

_DIRECTIVE: Final = re.compile(
    r"ftaudit:\s*ignore(?P<form>-next-line|-start|-end|-file)?\s*(?:\[(?P<names>[^\]\n]*)\])?[ \t]*(?P<reason>[^\n]*)"
)
_MARKER: Final = re.compile(r"noqa:\s*(?P<marker>[a-z][a-z0-9-]*)\s+OK\b")
"""Another tool's comment that says why a line is acceptable; `RuleInfo.silenced_by` lists the markers a rule heeds."""
_HASH: Final = frozenset({Language.PYTHON, Language.CYTHON, Language.BUILD})


@dataclass(kw_only=True, slots=True)
class Ignore:
    """One silencing comment."""

    line: int
    """The place of the comment."""
    first: int
    last: int
    """The lines that it covers."""
    names: tuple[str, ...]
    """Names, codes or code prefixes of rules; empty silences every rule. Of another tool's comment, its marker."""
    reason: str
    foreign: bool = False
    """It is another tool's comment: whether it silences anything is not reported."""
    used: set[str] = field(default_factory=set)

    def covers(self, finding: Finding, markers: Mapping[str, frozenset[str]]) -> str | None:
        """Return the name by which it silences the finding, or `None`; `markers` maps other tools' to rules' codes."""
        if not self._covers_place(finding.location) and not self._covers_place(finding.declared):
            return None
        if self.foreign:
            return next((name for name in self.names if finding.code in markers.get(name, ())), None)
        if not self.names:
            return ""
        return next((name for name in self.names if matches(name, finding.code, finding.rule)), None)

    def _covers_place(self, place: Location | None) -> bool:
        return place is not None and place.line is not None and self.first <= place.line <= self.last

    def as_row(self) -> list[Any]:
        """Return the ignore in JSON's types; `from_row` is the inverse."""
        return [self.line, self.first, self.last, list(self.names), self.reason, self.foreign]


def from_row(row: Sequence[Any]) -> Ignore:
    """Return the ignore that `as_row` wrote."""
    line, first, last, names, reason, foreign = row
    return Ignore(line=line, first=first, last=last, names=tuple(names), reason=reason, foreign=foreign)


def matches(name: str, code: str, rule: str) -> bool:
    """Return whether a name that a user wrote means the rule: its name, its code, or a prefix of the code (`FT5`)."""
    wanted = name.strip()
    return wanted.lower() == rule or (wanted.upper().startswith("FT") and code.startswith(wanted.upper()))


def find_ignores(
    text: str, language: Language, statement_lines: Callable[[int], tuple[int, int]] = lambda line: (line, line)
) -> list[Ignore]:
    """Return the silencing comments of a text.

    A comment covers the statement on its line and, if that declares a variable, the writes of it; one on its own
    line, and `ignore-next-line`, cover the next line that holds code; `ignore-start` covers all up to its
    `ignore-end` or the end of the file; `ignore-file` all.
    """
    if "ftaudit:" not in text and not _MARKER.search(text):
        return []
    lines = text.split("\n")
    found: list[Ignore] = []
    open_regions: list[Ignore] = []
    for number, alone, comment in _comments(text, lines, language):
        marked = _MARKER.search(comment)
        if marked is not None:
            found.append(
                Ignore(
                    line=number, first=number, last=number, names=(marked["marker"],), reason=marked[0], foreign=True
                )
            )
        match = _DIRECTIVE.search(comment)
        if match is None:
            continue
        names = tuple(name.strip() for name in (match["names"] or "").split(",") if name.strip())
        reason = match["reason"].strip().removesuffix("*/").strip()
        ignore = Ignore(line=number, first=number, last=number, names=names, reason=reason)
        match match["form"]:
            case "-file":
                ignore.first, ignore.last = 1, len(lines)
            case "-start":
                ignore.last = len(lines)
                open_regions.append(ignore)
            case "-end":
                for region in [r for r in open_regions if not names or set(names) & set(r.names)]:
                    region.last = number
                    open_regions.remove(region)
                continue
            case form:
                covered = _next_code_line(lines, number) if form == "-next-line" or alone else number
                ignore.first, ignore.last = statement_lines(covered)
        found.append(ignore)
    return found


def markers_of(rules: Iterable[RuleInfo]) -> dict[str, frozenset[str]]:
    """Return the codes of the rules that each marker of another tool silences."""
    found: dict[str, set[str]] = {}
    for rule in rules:
        for marker in rule.silenced_by:
            found.setdefault(marker, set()).add(rule.code)
    return {marker: frozenset(codes) for marker, codes in found.items()}


def silence(
    findings: Iterable[Finding], ignores: dict[str, list[Ignore]], markers: Mapping[str, frozenset[str]]
) -> tuple[list[Finding], list[Finding]]:
    """Return the findings that no comment silences, and those that one does; marks the comments as used."""
    kept: list[Finding] = []
    silenced: list[Finding] = []
    for finding in findings:
        hit = False
        for ignore in ignores.get(finding.location.path, ()) if finding.location is not None else ():
            name = ignore.covers(finding, markers)
            if name is not None:
                ignore.used.add(name)
                hit = True
        (silenced if hit else kept).append(finding)
    return kept, silenced


def find_idle(
    ignores: Mapping[str, Sequence[Ignore]], ran: Iterable[RuleInfo], known: Iterable[RuleInfo]
) -> tuple[IdleComment, ...]:
    """Return each name in a comment that silenced nothing although its rule ran, or that no rule has."""
    ran, known = list(ran), list(known)
    found: list[IdleComment] = []
    for path, comments in sorted(ignores.items()):
        for ignore in comments:
            if ignore.foreign:
                continue
            for name in ignore.names or ("",):
                if name in ignore.used:
                    continue
                exists = not name or any(matches(name, info.code, info.name) for info in known)
                if exists and name and not any(matches(name, info.code, info.name) for info in ran):
                    continue
                found.append(
                    IdleComment(
                        location=Location(path=path, line=ignore.line, column=1), name=name or None, exists=exists
                    )
                )
    return tuple(found)


def _comments(text: str, lines: list[str], language: Language) -> list[tuple[int, bool, str]]:
    """Return line, whether nothing else is on it, and text of each comment that may be a directive."""
    if language is Language.PYTHON:
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        except (tokenize.TokenError, SyntaxError, RecursionError):
            tokens = []
        if tokens:
            return [
                (token.start[0], not lines[token.start[0] - 1][: token.start[1]].strip(), token.string)
                for token in tokens
                if token.type == tokenize.COMMENT and ("ftaudit:" in token.string or "noqa:" in token.string)
            ]
    openers = ("#",) if language in _HASH else ("//", "/*", "*")
    found = []
    for number, line in enumerate(lines, 1):
        at = line.find("ftaudit:")
        if at < 0:
            marked = _MARKER.search(line)
            if marked is None:
                continue
            at = marked.start()
        starts = [line.rfind(opener, 0, at) for opener in openers]
        start = max(starts)
        if start >= 0:
            before = line[:start].rstrip("/* \t#")
            found.append((number, not before.strip(), line[start:]))
    return found


def _next_code_line(lines: list[str], number: int) -> int:
    """Return the first line after `number` that is neither empty nor only a comment."""
    for index in range(number, len(lines)):
        stripped = lines[index].strip()
        if stripped and not stripped.startswith(("#", "//", "/*", "*")):
            return index + 1
        if stripped.startswith("#") and stripped[1:].lstrip().startswith(("define", "include", "if", "el", "endif")):
            return index + 1
    return number
