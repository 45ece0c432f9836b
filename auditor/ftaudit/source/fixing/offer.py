"""Ask the rules for fixes of their findings, file by file, and choose those that can be made together."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Final

import tomli

from ftaudit.model import Applicability, Finding, Fix, NoFix, Obstacle, SourceEdit
from ftaudit.rule import Language, SourceRule
from ftaudit.source.base import ROOM_OF, BuildRule, ParseError, Role, SourceFile, TreeContext, Unit
from ftaudit.source.fixing.original import Original, apply_edits
from ftaudit.source.languages import languages_of, reader_of
from ftaudit.source.limit import TooSlow, processor_time
from ftaudit.source.look import finding_of, finding_row, read_bytes
from ftaudit.source.source_files import FoundFile
from ftaudit.target import Target
from ftaudit.workers import Died, run_tasks

SECONDS: Final = 20.0
"""Processor time for the fixes of one file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FixRequest:
    """The request for fixes."""

    rules: tuple[SourceRule, ...]
    target: Target
    context: TreeContext
    declare: bool
    """Whether only the edits that declare are wanted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EditedFile:
    """A file that fixes would change, with its current and its new content."""

    file: FoundFile
    before: bytes
    encoding: str
    """Of the edits' texts, without a byte order mark."""

    def after(self, findings: Iterable[Finding], *, safe: bool = False) -> bytes:
        """Return the file's content after the fixes of the findings, or only after the safe ones."""
        wanted = (Applicability.SAFE,) if safe else tuple(Applicability)
        edits = (
            edit
            for finding in findings
            if isinstance(finding.fix, Fix) and finding.fix.applicability in wanted
            for edit in finding.fix.edits
            if edit.path == self.file.shown
        )
        return apply_edits(self.before, tuple(edits), self.encoding)


Task = tuple[FoundFile, str, list[list[Any]]]


def offer_fixes(
    findings: Sequence[Finding],
    files: Mapping[str, FoundFile],
    roles: Mapping[str, Role],
    asked: FixRequest,
    *,
    jobs: int | None = None,
) -> tuple[tuple[Finding, ...], tuple[EditedFile, ...]]:
    """Return the findings with their fixes, in the same order, and the files that these change, by path."""
    fixers = {code for rule in asked.rules if can_fix(rule) for code in (rule.info.code, *rule.info.speaks_as)}
    places: dict[str, list[int]] = {}
    for index, finding in enumerate(findings):
        if finding.code in fixers and finding.location is not None and finding.location.path in files:
            places.setdefault(finding.location.path, []).append(index)
    tasks: list[Task] = [
        (files[path], roles.get(path, Role.OWN).value, [finding_row(findings[index]) for index in indexes])
        for path, indexes in places.items()
    ]
    found = list(findings)
    edited: list[EditedFile] = []
    sizes = [_size(task[0]) for task in tasks]
    for number, answer in run_tasks(
        partial(fix_file, asked=asked), tasks, sizes=sizes, jobs=jobs, patience=SECONDS * 2
    ):
        file, _, _ = tasks[number]
        indexes = places[file.shown]
        rows = [["no", Obstacle.FAILED.value]] * len(indexes) if isinstance(answer, Died) else answer
        fixes = select([_fix_of(row, file.shown) for row in rows])
        for index, fix in zip(indexes, fixes, strict=True):
            found[index] = replace(found[index], fix=fix)
        if not any(isinstance(fix, Fix) for fix in fixes):
            continue
        changed = edit_file(file, fixes)
        if changed is not None:
            edited.append(changed)
            continue
        # The file changed after the scan read it, so the fixes are for another text.
        for index in indexes:
            found[index] = replace(found[index], fix=NoFix(obstacle=Obstacle.FAILED))
    return tuple(found), tuple(sorted(edited, key=lambda each: each.file.shown))


def can_fix(rule: SourceRule) -> bool:
    """Return whether a rule has fixes at all."""
    return type(rule).fix is not SourceRule.fix


def _size(file: FoundFile) -> int:
    try:
        return file.path.stat().st_size
    except OSError:
        return 0


def fix_file(task: Task, *, asked: FixRequest) -> list[list[Any]]:
    """Return a row for each finding of a file: its fix in bytes of the file, or why it has no fix."""
    file, role, rows = task
    findings = [finding_of(row) for row in rows]
    failed = [["no", Obstacle.FAILED.value]] * len(rows)
    if Role(role) is Role.GENERATED:
        return [["no", Obstacle.GENERATED.value]] * len(rows)
    try:
        data = read_bytes(file.path)
        with processor_time(SECONDS):
            return [_fix_row(each) for each in fix_findings(file.shown, data, findings, asked)]
    except (ParseError, TooSlow):
        return failed


def fix_findings(path: str, data: bytes, findings: Sequence[Finding], asked: FixRequest) -> list[Fix | NoFix | None]:
    """Return the fixes that the rules offer for findings in one file, as edits of its bytes. Raise `ParseError`."""
    units: dict[Language | None, Unit] = {}
    languages = languages_of(PurePosixPath(path), data)
    if not languages:
        raise ParseError("not a language that ftaudit reads")
    return [_offer(path, data, finding, languages, units, asked) for finding in findings]


def _offer(
    path: str,
    data: bytes,
    finding: Finding,
    languages: Sequence[Language],
    units: dict[Language | None, Unit],
    asked: FixRequest,
) -> Fix | NoFix | None:
    for rule in asked.rules:
        if not can_fix(rule) or finding.code not in (rule.info.code, *rule.info.speaks_as):
            continue
        if rule.info.asks_to_declare is not asked.declare:
            return NoFix(obstacle=Obstacle.NEEDS_DECLARE) if not asked.declare else None
        whole = isinstance(rule, BuildRule)
        language = next((each for each in languages if each in rule.languages), languages[0] if whole else None)
        if language is None:
            continue
        original = Original.of(data, language)
        key = None if whole else language
        if key not in units:
            source = SourceFile(path=path, language=language, text=original.text, target=asked.target)
            context = asked.context
            units[key] = Unit(source, context) if whole else reader_of(ROOM_OF[language]).parse(source, context)
        if units[key].text != original.text:
            return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
        try:
            offered = rule.fix(units[key], finding)
        except Exception:
            # A rule pack's own mistake costs its fix, and nothing else.
            return NoFix(obstacle=Obstacle.FAILED)
        if offered is not None:
            return _mapped(offered, original, path)
    return None


def _mapped(offered: Fix | NoFix, original: Original, path: str) -> Fix | NoFix:
    """Return a fix in bytes of the file, if its result can be parsed or the file itself cannot."""
    if isinstance(offered, NoFix):
        return offered
    try:
        edits = tuple(sorted((original.map(edit) for edit in offered.edits), key=lambda edit: (edit.start, edit.end)))
        after = original.apply(edits)
    except (UnicodeError, ValueError):
        return NoFix(obstacle=Obstacle.FAILED)
    if after == original.data or any(edit.path != path for edit in edits):
        return NoFix(obstacle=Obstacle.FAILED)
    if _parses(path, original.data) and not _parses(path, after):
        return NoFix(obstacle=Obstacle.FAILED)
    return replace(offered, edits=edits)


def _parses(path: str, data: bytes) -> bool:
    parse: Callable[[bytes], object]
    match PurePosixPath(path).suffix:
        case ".py" | ".pyw":
            parse = ast.parse
        case ".toml":
            parse = _parse_toml
        case _:
            return True
    try:
        parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _parse_toml(data: bytes) -> object:
    return tomli.loads(data.decode().replace("\r\n", "\n"))


def select(offered: Sequence[Fix | NoFix | None]) -> list[Fix | NoFix | None]:
    """Return the fixes of one file; a fix that collides with an earlier one becomes an obstacle.

    Safe ones come first, then those further up. An edit that several fixes make is made once.
    """
    chosen: dict[int, Fix] = {}
    taken: list[SourceEdit] = []
    fixes = [(index, fix) for index, fix in enumerate(offered) if isinstance(fix, Fix)]
    for index, fix in sorted(fixes, key=lambda each: _rank(each[1])):
        if not any(_collide(edit, other) for edit in fix.edits for other in taken):
            chosen[index] = fix
            taken += fix.edits
    left = NoFix(obstacle=Obstacle.OVERLAPS)
    return [chosen.get(index, left) if isinstance(fix, Fix) else fix for index, fix in enumerate(offered)]


def _rank(fix: Fix) -> tuple[bool, int]:
    return fix.applicability is not Applicability.SAFE, min(edit.start for edit in fix.edits)


def _collide(one: SourceEdit, other: SourceEdit) -> bool:
    if one == other:
        return False
    if one.start == one.end and other.start == other.end:
        return False
    return one.start < other.end and other.start < one.end


def edit_file(file: FoundFile, fixes: Iterable[Fix | NoFix | None]) -> EditedFile | None:
    """Return the fixed file; `None` if the fixes change nothing or the file changed meanwhile."""
    every = [fix for fix in fixes if isinstance(fix, Fix)]
    if not every:
        return None
    try:
        before = read_bytes(file.path)
        languages = languages_of(PurePosixPath(file.shown), before)
        original = Original.of(before, languages[0])
        original.apply(tuple(edit for fix in every for edit in fix.edits))
    except (ParseError, ValueError, IndexError):
        return None
    return EditedFile(file=file, before=before, encoding=original.plain)


def _fix_row(fix: Fix | NoFix | None) -> list[Any]:
    match fix:
        case None:
            return []
        case NoFix(obstacle=obstacle):
            return ["no", obstacle.value]
        case Fix(applicability=applicability, edits=edits):
            rows = [[edit.start, edit.end, edit.replaced, edit.replacement] for edit in edits]
            return [applicability.value, rows]


def _fix_of(row: Sequence[Any], path: str) -> Fix | NoFix | None:
    match row:
        case []:
            return None
        case ["no", obstacle]:
            return NoFix(obstacle=Obstacle(obstacle))
        case _:
            edits = tuple(
                SourceEdit(path=path, start=start, end=end, replaced=replaced, replacement=replacement)
                for start, end, replaced, replacement in row[1]
            )
            return Fix(applicability=Applicability(row[0]), edits=edits)
