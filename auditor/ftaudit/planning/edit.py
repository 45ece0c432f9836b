"""The edits of a plan: found in the input files, shown as a patch, written all or none."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from ftaudit.engine.inputs import read_inputs
from ftaudit.engine.session import AuditSession
from ftaudit.errors import InputError, UsageError
from ftaudit.index.release import Query
from ftaudit.lockfiles.dependencies.markers import Markers
from ftaudit.lockfiles.requirements import InputFormat, InputRequirement, Requirements
from ftaudit.model import Location
from ftaudit.model.plans import Change, ChangeKind, Plan
from ftaudit.planning.edit_lines import LineEdit, edit_lines
from ftaudit.planning.edit_toml import edit_toml
from ftaudit.target import marker_environment
from ftaudit.whole_files import ChangedMeanwhile, Rewrite, rewrite


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """One file before and after the change."""

    path: Path
    """The path, as the user names it."""
    old: bytes
    new: bytes

    @property
    def diff(self) -> str:
        """The edit as a unified diff for `patch -p0`, which accepts no absolute paths."""
        old, new = (_lines(data.decode("utf-8")) for data in (self.old, self.new))
        shown = os.path.relpath(self.path)
        marked = difflib.unified_diff(old, new, shown, shown)
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in marked)


def _lines(text: str) -> list[str]:
    """Split as `patch` does: only at line feeds."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def find_edits(plan: Plan, session: AuditSession) -> tuple[Edit, ...]:
    """Return the edits of the plan's changes, one for each file; `plan` must be from the same session.

    Raise `UsageError` for a lock file, which its own tool has to write, and `InputError` for a file that changed since
    the plan was made, or whose syntax cannot be edited.
    """
    if locked := [change for change in plan.changes if change.kind is ChangeKind.LOCK]:
        hint = "; ".join(plan.lock_commands) or "lock again with the versions of the plan"
        path = locked[0].location.path if locked[0].location else "the lock file"
        raise UsageError(f"{path} is written by a locking tool, so ftaudit does not edit it", hint=hint)
    for requirements in session.read:
        if not requirements.path.exists():
            problem = f"{requirements.path} is not a file, so there is nothing to edit"
            raise UsageError(problem, hint="put the requirements into a file, and specify that")
    read = read_inputs(session.inputs, session.settings)
    for now, then in zip(read, session.read, strict=True):
        if now != then:
            raise InputError(f"{then.path} changed while the plan was made", hint="make the plan again")
    finder = _LineFinder(plan, session)
    found: dict[Path, Edit] = {}
    for edit in (edit for requirements in session.read for edit in finder.edits(requirements)):
        if edit.new != edit.old:
            # Two inputs can include one file: the plan changes it in the same way for both.
            found.setdefault(edit.path.resolve(), edit)
    return tuple(found.values())


class _LineFinder:
    """Finds the lines of the plan's changes."""

    def __init__(self, plan: Plan, session: AuditSession) -> None:
        self._index = session.index
        self._changes: Mapping[NormalizedName, Change] = {change.name: change for change in plan.changes}
        self._markers = [Markers(marker_environment(session.target, platform)) for platform in session.platforms]
        self._hashes: dict[NormalizedName, tuple[str, ...]] = {}

    def edits(self, requirements: Requirements) -> Iterator[Edit]:
        """Yield the edits of one input and the files that it includes."""
        lines = [
            line
            for line in (*requirements.roots, *requirements.constraints)
            if line.name in self._changes and line.reference is None and self._counts(line.marker, line.location)
        ]
        known = {line.name for line in lines}
        new = {
            name: change.wanted.instead_of(None)
            for name, change in self._changes.items()
            if change.kind is ChangeKind.CONSTRAINT
            and name not in known
            and change.location is not None
            and change.location.path == str(requirements.path)
        }
        if requirements.format is InputFormat.PYPROJECT:
            yield self._of_pyproject(requirements.path, new)
            return
        hashed = any(line.hashes for line in requirements.roots)
        takes_new = next((line.location.path for line in requirements.constraints), str(requirements.path))
        for path in dict.fromkeys((*(line.location.path for line in lines), takes_new)):
            yield self._of_requirements(
                Path(path),
                [line for line in lines if line.location.path == path],
                self._new_lines(new, hashed=hashed and path == str(requirements.path)) if path == takes_new else [],
            )

    def _counts(self, marker: str | None, place: Location) -> bool:
        return any(markers.hold(marker, place) for markers in self._markers)

    def _of_pyproject(self, path: Path, new: Mapping[NormalizedName, SpecifierSet]) -> Edit:
        old = _read(path)

        def choose(found: Requirement) -> SpecifierSet | None:
            change = self._changes.get(canonicalize_name(found.name))
            marker = None if found.marker is None else str(found.marker)
            place = Location(path=str(path))
            if change is None or not self._counts(marker, place):
                return None
            return change.wanted.instead_of(found.specifier)

        text = edit_toml(old.decode("utf-8"), choose, new, path=str(path))
        return Edit(path=path, old=old, new=text.encode("utf-8"))

    def _of_requirements(self, path: Path, lines: Iterable[InputRequirement], new: Sequence[str]) -> Edit:
        old = _read(path)
        edits = [
            LineEdit(
                line=line.location.line or 0,
                name=change.name,
                specifier=change.wanted.instead_of(line.specifier),
                hashes=self._hashes_of(change) if line.hashes else (),
            )
            for line in lines
            for change in [self._changes[canonicalize_name(str(line.name))]]
        ]
        return Edit(path=path, old=old, new=edit_lines(old.decode("utf-8"), edits, new, path=str(path)).encode("utf-8"))

    def _new_lines(self, new: Mapping[NormalizedName, SpecifierSet], *, hashed: bool) -> list[str]:
        lines = []
        for name, specifier in new.items():
            change = self._changes[name]
            through = next((chain[-2] for chain in change.required_by if len(chain) > 1), None)
            why = f"  # {through} needs it" if through else ""
            hashes = "".join(f" --hash={one}" for one in self._hashes_of(change)) if hashed else ""
            lines.append(f"{name}{specifier}{hashes}{why}")
        return lines

    def _hashes_of(self, change: Change) -> tuple[str, ...]:
        """Return the hashes of every file of the proposed release, from the index."""
        if change.name not in self._hashes:
            query = Query(name=change.name, version=change.proposed)
            release = self._index.find_releases([query])[query]
            found = {f"{name}:{digest}" for file in release.files for name, digest in file.hashes}
            self._hashes[change.name] = tuple(sorted(found))
        return self._hashes[change.name]


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        data.decode("utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8, so ftaudit does not edit it", hint="make the changes by hand"
        ) from error
    return data


def agreed_edits(planned: Sequence[tuple[Plan, AuditSession]]) -> tuple[Edit, ...]:
    """Return the edits that the plans of all targets mean. Raise `UsageError` if the plans differ.

    A version that is good for one target is not proven for another, so plans are not mixed.
    """
    each = [(plan, find_edits(plan, session)) for plan, session in planned]
    if any(edits != each[0][1] for _, edits in each):
        text = "; ".join(
            f"{plan.target}: {', '.join(map(_change_words, plan.changes)) or 'nothing'}" for plan, _ in each
        )
        raise UsageError(
            f"the plans for the targets change different things ({text})",
            hint="specify one --target with --diff or --write, then check the result for the others",
        )
    return tuple(each[0][1])


def _change_words(change: Change) -> str:
    return f"{change.name} {change.proposed}"


def write_edits(edits: Sequence[Edit]) -> None:
    """Replace each file in one step, after a check that all are unchanged; links and modes are kept.

    Raise `InputError` for a file that changed meanwhile, `UsageError` for one that cannot be written; in both cases
    nothing is written.
    """
    try:
        rewrite([Rewrite(path=edit.path, old=edit.old, new=edit.new) for edit in edits])
    except ChangedMeanwhile as error:
        raise InputError(f"{error.path} changed while the plan was made", hint="make the plan again") from error
    except OSError as error:
        raise UsageError(f"cannot write {error.filename}: {error.strerror}", hint="check permissions") from error
