"""Scan a tree: two passes over its files, the rules that look at it as a whole, and the comments that silence."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from ftaudit.cache.result_file import ResultFile
from ftaudit.cpython.versions import ABI3T_SINCE
from ftaudit.model import Finding, Severity
from ftaudit.rule import Language, RuleInfo, SourceRule
from ftaudit.source.base import ROOM_OF, ParseError, Project, Role, Room, Survey, TreeContext
from ftaudit.source.build.build_facts import BuildContext, FactKind
from ftaudit.source.c.c_tree import CTree
from ftaudit.source.fixing.offer import EditedFile, FixRequest, offer_fixes
from ftaudit.source.languages import reader_of
from ftaudit.source.look import ScanPlan, finding_of, first_look, read_bytes, second_look, skipped_of
from ftaudit.source.rules_identity import identify_rules
from ftaudit.source.run_rules import Skipped, check_comments, check_project, compose, gather, needed_rooms
from ftaudit.source.shared_state import StateRow, state_table
from ftaudit.source.silence import Ignore, find_idle, from_row, markers_of, silence
from ftaudit.source.source_files import FoundFile, FoundFiles
from ftaudit.target import Target
from ftaudit.workers import Died, can_fork, run_tasks


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanResult:
    """The result of a scan."""

    findings: tuple[Finding, ...] = ()
    """Sorted by path, line and code."""
    silenced: tuple[Finding, ...] = ()
    accepted: tuple[Finding, ...] = ()
    """Known by the configuration or a baseline, each with its `accepted`: shown as such, and not counted."""
    notes: tuple[str, ...] = ()
    """Notes for the reader on how the report was made: entries that accept nothing, baseline findings that are gone."""
    skipped: tuple[Skipped, ...] = ()
    files: int = 0
    """Files checked, including skipped ones."""
    lines: int = 0
    lines_by_language: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Files not checked because of their role, by role."""
    rules: tuple[RuleInfo, ...] = ()
    """The rules that ran."""
    target: str = ""
    cached: int = 0
    """Files whose result came from the cache of an earlier scan."""
    frames: Mapping[tuple[str, int], tuple[tuple[int, str], ...]] = field(default_factory=dict)
    """The lines around each finding with their numbers, by path and line."""
    states: tuple[StateRow, ...] = ()
    """The readers and writers of each shared state, sorted by owner and name."""
    edited: tuple[EditedFile, ...] = ()
    """The files that fixes would change, by path, if fixes were requested."""

    def exit_code(self, fail_on: Severity) -> int:
        """`1` if a finding is at least as severe as `fail_on`, `3` if something could not be checked, else `0`."""
        order = list(Severity)
        if any(order.index(finding.severity) <= order.index(fail_on) for finding in self.findings):
            return 1
        return 3 if self.unread else 0

    @property
    def unread(self) -> int:
        """The number of files that could not be checked."""
        return len(_unread(self.skipped))


def _unread(skipped: Iterable[Skipped]) -> set[str]:
    return {skip.path for skip in skipped if not skip.read_anyway}


LOCAL_PREFIX: Final = "ftaudit_local_rules."
"""The prefix that the registry gives to modules that it loads from folders."""
_AROUND: Final = 1
"""Lines of a code frame before and after the finding's own."""
_WIDEST: Final = 300


@dataclass(slots=True)
class _Rows:
    """The results of both passes for each file, by its shown path."""

    first: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    second: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    digests: dict[str, bytes] = field(default_factory=dict)
    cached: set[str] = field(default_factory=set)


def scan(
    found: FoundFiles,
    *,
    rules: Sequence[SourceRule],
    target: Target,
    known: Iterable[RuleInfo] = (),
    pedantic: Collection[str] = (),
    cache: ResultFile | None = None,
    jobs: int | None = None,
    on_done: Callable[[int, int], None] | None = None,
    fixes: bool = False,
    declare: bool = False,
    requested: Collection[str] = (),
) -> ScanResult:
    """Check the files with the rules. No file and no rule ends the scan: a failure becomes a row.

    `known` are the rules that exist, for silencing comments that name none of them. Findings of pedantic severity are
    kept of the rules named in `pedantic`. `on_done(done, total)` is called
    after each file. `jobs=0` uses no worker processes. With `fixes` the rules also return fixes of their findings;
    with `declare` for the edits that declare, and only those. `requested` are the names of rules of the migration to
    the stable ABI that run whatever the project asks for.
    """
    rules = tuple(rule for rule in rules if not rule.info.migration or target.version >= ABI3T_SINCE)
    if not can_fork() and any(type(rule).__module__.startswith(LOCAL_PREFIX) for rule in rules):
        # A new process could not import code that was loaded from the user's folder.
        jobs = 0
    rows = _Rows()
    plan = ScanPlan(
        rules=rules, surveyed=needed_rooms(rules), target=target, context=TreeContext(), thorough=bool(pedantic)
    )
    _first_pass(found.files, plan, rows, cache, jobs, on_done)

    surveys: dict[Room, dict[str, Survey]] = {}
    for path, row in rows.first.items():
        for room, survey in row.get("surveys", {}).items():
            surveys.setdefault(Room(room), {})[path] = survey
    context, gathered = gather(surveys, rows.first)
    if not asks_for_limited_api(context):
        rules = tuple(rule for rule in rules if not rule.info.migration or rule.info.name in requested)
    plan = ScanPlan(rules=rules, surveyed=plan.surveyed, target=target, context=context, thorough=bool(pedantic))
    _second_pass(found.files, plan, rows, _context_digests(surveys, rows.first), cache, jobs, on_done)

    findings = [
        finding_of(row)
        for looks in (rows.first, rows.second)
        for look in looks.values()
        for row in look.get("findings", ())
    ]
    skipped = [*found.skipped, *gathered.skipped]
    skipped += (skip for each in (rows.first, rows.second) for row in each.values() for skip in skipped_of(row))
    ignores: dict[str, list[Ignore]] = {
        path: [from_row(ignore) for ignore in row["ignores"]] for path, row in rows.first.items() if "ignores" in row
    }
    markers = markers_of(rule.info for rule in rules)
    kept, silenced = silence(findings, ignores, markers)
    roles = {path: Role(row["role"]) for path, row in rows.first.items() if "role" in row}
    summaries: dict[Room, dict[str, Survey]] = {}
    for looks in (rows.first, rows.second):
        for path, row in looks.items():
            for room, summary in row.get("summaries", {}).items():
                summaries.setdefault(Room(room), {})[path] = summary
    accesses, uncomposed = compose(summaries, context)
    skipped += uncomposed
    # Workers answer in any order; the findings of a rule for the whole tree must not depend on it.
    shown = tuple(sorted(kept, key=_order))
    whole = check_project(
        Project(context=context, target=target, findings=shown, roles=roles, accesses=accesses), rules
    )
    skipped += whole.skipped
    focus = {file.shown for file in found.files if not file.context_only}
    kept_whole, silenced_whole = silence((f for f in whole.findings if _in_focus(f, focus, rows)), ignores, markers)
    unwanted = _unwanted_codes(rules)
    wanted = [
        f
        for f in (*kept, *kept_whole)
        if (f.severity is not Severity.PEDANTIC or f.rule in pedantic) and f.code not in unwanted
    ]
    comments = check_comments(find_idle(ignores, (rule.info for rule in rules), known), rules)
    wanted += comments.findings
    findings = sorted(dict.fromkeys(wanted), key=_order)
    edited: tuple[EditedFile, ...] = ()
    by_path = {file.shown: file for file in found.files}
    if fixes or declare:
        asked = FixRequest(rules=rules, target=target, context=context, declare=declare)
        fixed, edited = offer_fixes(findings, by_path, roles, asked, jobs=jobs)
        findings = list(fixed)
    return ScanResult(
        findings=tuple(findings),
        silenced=tuple(sorted((*silenced, *silenced_whole), key=_order)),
        skipped=tuple(sorted(dict.fromkeys(skipped), key=lambda skip: (skip.path, skip.line or 0))),
        files=len(focus | _unread(skipped)),
        lines=sum(int(rows.first[path].get("lines", 0)) for path in focus if path in rows.first),
        lines_by_language=_lines_by_language(rows, focus),
        left_out=_left_out(found, roles),
        rules=tuple(rule.info for rule in rules),
        target=target.name,
        cached=len(rows.cached & focus),
        frames=_frames(findings, by_path),
        states=state_table(access for some in accesses.values() for access in some),
        edited=edited,
    )


def _left_out(found: FoundFiles, roles: Mapping[str, Role]) -> dict[str, int]:
    """Return how many files were left out, by role; scripts are only read for what they declare."""
    scripts = sum(role is Role.SCRIPT for role in roles.values())
    return {**found.left_out, Role.SCRIPT.value: scripts} if scripts else dict(found.left_out)


def asks_for_limited_api(context: TreeContext) -> bool:
    """Return whether a project asks for the limited API, in its build files or in its C code."""
    build, c = context.of(Room.BUILD, BuildContext), context.of(Room.C, CTree)
    abi3 = (name for fact in build.of(FactKind.PYO3) for name in fact.names if name.startswith("feature:abi3"))
    return c.limited_api or bool(build.of(FactKind.LIMITED_API, FactKind.CFFI)) or any(abi3)


def _unwanted_codes(rules: Sequence[SourceRule]) -> frozenset[str]:
    """Return the codes that a rule reports under while the rule of that code is left out but another of them is not."""
    present = {rule.info.code for rule in rules}
    return frozenset(
        code
        for rule in rules
        if present & {*rule.info.speaks_as}
        for code in rule.info.speaks_as
        if code not in present
    )


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings in the order of a scan's: by path, line and code."""
    return tuple(sorted(findings, key=_order))


def merge(results: Sequence[ScanResult]) -> ScanResult:
    """Return several scans as one."""
    if len(results) == 1:
        return results[0]
    lines: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    frames: dict[tuple[str, int], tuple[tuple[int, str], ...]] = {}
    for result in results:
        lines.update(result.lines_by_language)
        left_out.update(result.left_out)
        frames.update(result.frames)
    return ScanResult(
        findings=tuple(sorted((f for result in results for f in result.findings), key=_order)),
        silenced=tuple(f for result in results for f in result.silenced),
        accepted=tuple(f for result in results for f in result.accepted),
        notes=tuple(note for result in results for note in result.notes),
        skipped=tuple(s for result in results for s in result.skipped),
        files=sum(result.files for result in results),
        lines=sum(result.lines for result in results),
        lines_by_language=dict(sorted(lines.items())),
        left_out=dict(left_out),
        rules=results[0].rules,
        target=results[0].target,
        cached=sum(result.cached for result in results),
        frames=frames,
        states=tuple(row for result in results for row in result.states),
        edited=tuple(each for result in results for each in result.edited),
    )


def _frames(
    findings: Iterable[Finding], files: Mapping[str, FoundFile]
) -> dict[tuple[str, int], tuple[tuple[int, str], ...]]:
    """Return the lines around each finding; a file that was deleted meanwhile has none."""
    texts: dict[str, list[str]] = {}
    frames: dict[tuple[str, int], tuple[tuple[int, str], ...]] = {}
    for finding in findings:
        place = finding.location
        if place is None or place.line is None or place.path not in files:
            continue
        if place.path not in texts:
            texts[place.path] = _lines_of(files[place.path])
        lines = texts[place.path]
        span = range(max(1, place.line - _AROUND), min(len(lines), place.line + _AROUND) + 1)
        frames[place.path, place.line] = tuple((number, lines[number - 1][:_WIDEST]) for number in span)
    return frames


def _lines_of(file: FoundFile) -> list[str]:
    try:
        return read_bytes(file.path).decode("utf-8", "replace").splitlines()
    except ParseError:
        return []


def _first_pass(
    files: Sequence[FoundFile],
    plan: ScanPlan,
    rows: _Rows,
    cache: ResultFile | None,
    jobs: int | None,
    on_done: Callable[[int, int], None] | None,
) -> None:
    rules = _rules_digest(plan)
    keys: dict[str, bytes] = {}
    sizes: dict[str, int] = {}
    for file in files:
        data = _read_or_row(file, rows)
        if data is None:
            continue
        rows.digests[file.shown] = hashlib.sha256(data).digest()
        sizes[file.shown] = len(data)
        what = json.dumps([file.shown, file.role.value, file.context_only])
        keys[file.shown] = hashlib.sha256(rules + rows.digests[file.shown] + what.encode()).digest()
    todo = [file for file in files if file.shown in keys]
    rows.first |= _looked(todo, todo, keys, sizes, partial(first_look, plan=plan), rows, cache, jobs, on_done)


def _read_or_row(file: FoundFile, rows: _Rows) -> bytes | None:
    try:
        return read_bytes(file.path)
    except ParseError as error:
        rows.first[file.shown] = {"skipped": [[file.shown, error.reason, error.line, file.context_only]]}
        return None


def _second_pass(
    files: Sequence[FoundFile],
    plan: ScanPlan,
    rows: _Rows,
    contexts: Mapping[Room, bytes],
    cache: ResultFile | None,
    jobs: int | None,
    on_done: Callable[[int, int], None] | None,
) -> None:
    rules = _rules_digest(plan)
    keys: dict[str, bytes] = {}
    todo: list[FoundFile] = []
    tasks: list[tuple[FoundFile, str, Sequence[str]]] = []
    for file in files:
        row = rows.first.get(file.shown, {})
        pending = row.get("pending", ())
        if not pending:
            continue
        digest = hashlib.sha256(b"second" + rules + rows.digests[file.shown] + file.shown.encode())
        digest.update(json.dumps([row["role"], pending]).encode())
        for room in sorted({ROOM_OF[Language(language)] for language in pending}):
            for needed in sorted({room, *reader_of(room).needs}):
                digest.update(contexts.get(needed, b"-"))
        keys[file.shown] = digest.digest()
        todo.append(file)
        tasks.append((file, row["role"], pending))
    sizes = {file.shown: int(rows.first[file.shown].get("lines", 0)) * 30 for file in todo}
    rooms = {ROOM_OF[Language(language)] for _, _, pending in tasks for language in pending}
    look = partial(second_look, plan=plan)
    rows.second |= _looked(todo, tasks, keys, sizes, look, rows, cache, jobs, on_done, partial(_prepare, rooms))


def _prepare(rooms: Iterable[Room]) -> None:
    for room in sorted(rooms):
        # A failed import is a row of each file that needs the module.
        with contextlib.suppress(ImportError):
            reader_of(room).prepare()


def _looked(
    files: Sequence[FoundFile],
    tasks: Sequence[Any],
    keys: Mapping[str, bytes],
    sizes: Mapping[str, int],
    look: Callable[[Any], Mapping[str, Any]],
    rows: _Rows,
    cache: ResultFile | None,
    jobs: int | None,
    on_done: Callable[[int, int], None] | None,
    prepare: Callable[[], None] | None = None,
) -> dict[str, Mapping[str, Any]]:
    """Return the result for each file, from the cache if it is there, and store the others."""
    known = cache.load(keys.values()) if cache is not None else {}
    answers: dict[str, Mapping[str, Any]] = {
        file.shown: known[keys[file.shown]] for file in files if keys[file.shown] in known
    }
    rows.cached |= answers.keys()
    todo = [index for index, file in enumerate(files) if file.shown not in answers]
    rows.cached -= {files[index].shown for index in todo}
    if todo and prepare is not None:
        prepare()
    fresh: dict[bytes, Mapping[str, Any]] = {}
    todo_sizes = [sizes[files[index].shown] for index in todo]
    for done, (position, answer) in enumerate(
        run_tasks(look, [tasks[index] for index in todo], sizes=todo_sizes, jobs=jobs), 1
    ):
        shown = files[todo[position]].shown
        match answer:
            case Died() as died:
                answers[shown] = {"skipped": [[shown, f"the process that read it {died}", None, False]]}
            case _:
                answers[shown] = answer
                fresh[keys[shown]] = answer
        if on_done is not None:
            on_done(done, len(todo))
    if cache is not None:
        cache.store(fresh)
    return answers


def _rules_digest(plan: ScanPlan) -> bytes:
    """Return a value that changes when any rule, the scanner or the request changes."""
    return identify_rules(plan.rules, f"{plan.target.name} {sorted(plan.surveyed)} {plan.thorough}")


def _context_digests(surveys: Mapping[Room, Mapping[str, Survey]], paths: Iterable[str]) -> dict[Room, bytes]:
    names = json.dumps(sorted(paths)).encode()
    return {
        room: hashlib.sha256(names + json.dumps(surveys.get(room, {}), sort_keys=True).encode()).digest()
        for room in Room
    }


def _in_focus(finding: Finding, focus: set[str], rows: _Rows) -> bool:
    """Return whether a finding about the tree concerns a requested file, or no file in particular."""
    if finding.location is None or finding.location.path not in rows.first:
        return True
    return finding.location.path in focus or any(site.location.path in focus for site in finding.sites)


def _lines_by_language(rows: _Rows, focus: set[str]) -> dict[str, int]:
    lines: dict[str, int] = {}
    for path in focus:
        row = rows.first.get(path, {})
        for language in row.get("languages", ())[:1]:
            lines[language] = lines.get(language, 0) + int(row["lines"])
    return dict(sorted(lines.items()))


def _order(finding: Finding) -> tuple[str, int, int, str, str]:
    place = finding.location
    if place is None:
        return "", 0, 0, finding.code, finding.message
    return place.path, place.line or 0, place.column or 0, finding.code, finding.message
