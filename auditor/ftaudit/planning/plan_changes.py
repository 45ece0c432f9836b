"""Turns a solution into the changes for a reader, each with its line, its reason, and its evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.lockfiles.requirements import InputRequirement
from ftaudit.model import Location, Pin, Verdict
from ftaudit.model.plans import Aim, Change, ChangeKind, ChangeReason, Prefer, Wanted, WayKind, WayOut
from ftaudit.planning.proposal import ProposalCase
from ftaudit.planning.solve import Solution
from ftaudit.planning.verify import ProposedPackage


def find_changes(
    solution: Solution,
    versions: Mapping[NormalizedName, Version],
    *,
    cases: Sequence[ProposalCase],
    ways: Sequence[WayOut],
    rows: Iterable[ProposedPackage],
) -> tuple[Change, ...]:
    """Return the changes, needed ones first, then by name; `versions` are the results of uv."""
    blocked = {way.name for way in ways}
    by_name: dict[NormalizedName, list[ProposedPackage]] = {}
    for row in rows:
        by_name.setdefault(row.pin.name, []).append(row)
    changes = [
        _change(name, want, versions.get(name, want.version), solution, cases, ways, by_name.get(name, []))
        for name, want in solution.changes.items()
    ]
    return tuple(sorted(changes, key=lambda change: (change.name in blocked, change.name)))


def _change(
    name: NormalizedName,
    want: Wanted,
    version: Version,
    solution: Solution,
    cases: Sequence[ProposalCase],
    ways: Sequence[WayOut],
    rows: Sequence[ProposedPackage],
) -> Change:
    mine = [way for way in ways if way.name == name]
    pin = next(pin for case in cases for pin in case.pins if pin.name == name)
    case, line = _line(name, cases)
    kind = ChangeKind.LOCK if not case.editable else ChangeKind.REQUIREMENT if line else ChangeKind.CONSTRAINT
    if name in solution.implied:
        kind = ChangeKind.IMPLIED
    return Change(
        name=name,
        current=pin.version,
        proposed=version,
        wanted=want,
        kind=kind,
        old=None if line is None else as_text(line),
        new=written(name, line, want),
        reason=_reason(want, mine, kind, pin, rows, excluded_by=_excluding(name, version, cases)),
        evidence=tuple(row.checked for row in rows),
        removes=(name,) if any(way.blocks for way in mine) else (),
        needed_by=solution.needed_by.get(name, ()),
        required_by=pin.required_by,
        location=line.location if line is not None else _file(case) if kind is ChangeKind.CONSTRAINT else pin.source,
    )


def _reason(
    want: Wanted,
    mine: Sequence[WayOut],
    kind: ChangeKind,
    pin: Pin,
    rows: Sequence[ProposedPackage],
    *,
    excluded_by: tuple[str, ...],
) -> ChangeReason:
    if not mine:
        return ChangeReason(aim=Aim.FIT, excluded_by=excluded_by)
    if not any(way.blocks for way in mine):
        return ChangeReason(aim=Aim.FASTER, prefer=want.prefer, excluded_by=excluded_by)
    is_nearest = want.prefer is Prefer.NEAREST
    nearer = [way.first_good for way in mine if way.first_good is not None and way.first_good < want.version]
    pulled_in = kind is ChangeKind.CONSTRAINT and bool(pin.required_by) and len(pin.required_by[0]) > 1
    return ChangeReason(
        aim=Aim.REMOVE,
        unsure=any(row.verdict is Verdict.UNKNOWN for row in rows),
        prefer=want.prefer,
        nearer=nearer[0] if nearer and is_nearest else None,
        slower=all(way.kind is WayKind.FALLBACK for way in mine),
        through=pin.required_by[0][-2] if pulled_in else None,
        excluded_by=excluded_by,
    )


def _excluding(name: NormalizedName, version: Version, cases: Iterable[ProposalCase]) -> tuple[str, ...]:
    """Return the new requirements of the project next to a lock file: the lock follows them."""
    return tuple(dict.fromkeys(str(one) for case in cases for one in case.asked if one.excludes(name, version)))


def _line(name: NormalizedName, cases: Sequence[ProposalCase]) -> tuple[ProposalCase, InputRequirement | None]:
    """Return the package's first line in a case that has one, or else the first case that accepts a new line."""
    having = [case for case in cases if name in case.versions]
    for case in having:
        if case.editable and (line := case.line(name)) is not None:
            return case, line
    return having[0], None


def _file(case: ProposalCase) -> Location:
    return Location(path=str(case.requirements.path))


def as_text(line: InputRequirement) -> str:
    """Return a requirement without its options: `polars[numpy]==2.1.0 ; python_version >= "3.10"`."""
    extras = f"[{','.join(line.extras)}]" if line.extras else ""
    marker = f" ; {line.marker}" if line.marker else ""
    return f"{line.name}{extras}{line.specifier}{marker}"


def written(name: NormalizedName, line: InputRequirement | None, want: Wanted) -> str:
    """Return the text that replaces a line, or the text of a new one."""
    if line is None:
        return f"{name}{want.instead_of(None)}"
    return as_text(replace(line, specifier=want.instead_of(line.specifier)))
