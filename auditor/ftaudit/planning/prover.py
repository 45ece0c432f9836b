"""The result of uv for the proposed set, how to reproduce it, and what it does not show."""

from __future__ import annotations

import shlex
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit import interpreters
from ftaudit.errors import InterpreterError
from ftaudit.lockfiles.requirements import InputFormat, InputRequirement, Requirements
from ftaudit.lockfiles.resolve import uv
from ftaudit.lockfiles.resolve.unpinned import prove
from ftaudit.lockfiles.resolve.uv_failures import Failure
from ftaudit.lockfiles.selection import ResolveOptions, Selection
from ftaudit.model import Location
from ftaudit.model.plans import Proof, ProofStatus
from ftaudit.planning.plan_changes import as_text
from ftaudit.planning.proposal import ProposalCase, propose
from ftaudit.planning.solve import Solution
from ftaudit.planning.verify import ProposedPackage
from ftaudit.settings import Settings
from ftaudit.target import Target
from ftaudit.urls import public

_LOCKED: Final = "the version ranges of the project itself were not checked; its locking tool enforces them"


@dataclass(frozen=True, kw_only=True, slots=True)
class Prover:
    """Makes the proofs of a solution."""

    target: Target
    settings: Settings
    options: ResolveOptions
    without_wheels: Container[tuple[NormalizedName, Version, str]] = ()
    """Releases without a wheel for the target on the named platform, according to the audit."""

    def prove(
        self, cases: Sequence[ProposalCase], solution: Solution, rows: Iterable[ProposedPackage]
    ) -> tuple[Proof, ...]:
        """Return the proof of each case."""
        rows = tuple(rows)
        if not solution.changes:
            return tuple(self._nothing(case, solution) for case in cases)
        if not solution.selections:
            return tuple(self._failed(case, solution) for case in cases)
        pairs = zip(cases, solution.selections, strict=True)
        return tuple(self._proof(case, solution, selection, rows) for case, selection in pairs)

    def _nothing(self, case: ProposalCase, solution: Solution) -> Proof:
        return Proof(
            input=str(case.requirements.path),
            platform=case.platform.name,
            status=ProofStatus.NOT_NEEDED,
            reason="no version needs to change" if not solution.given_up else "no combination of changes is compatible",
        )

    def _failed(self, case: ProposalCase, solution: Solution) -> Proof:
        return Proof(
            input=str(case.requirements.path),
            platform=case.platform.name,
            status=ProofStatus.UNRESOLVED,
            reason=f"uv finds no solution for the current requirements: {solution.problem}",
            command=self._command(case, ()),
            requirements=_lines(case, solution),
        )

    def _proof(
        self, case: ProposalCase, solution: Solution, selection: Selection, rows: Sequence[ProposedPackage]
    ) -> Proof:
        mine = [row for row in rows if row.platform == case.platform.name and _holds(selection, row)]
        return Proof(
            input=str(case.requirements.path),
            platform=case.platform.name,
            status=ProofStatus.RESOLVED,
            command=self._command(case, selection.without_wheels),
            requirements=_lines(case, solution),
            resolved=tuple((pin.name, pin.version) for pin in selection.pins),
            checked=tuple(row.checked for row in mine),
            not_proven=tuple(self._not_proven(case, selection, mine)),
        )

    def _not_proven(self, case: ProposalCase, selection: Selection, rows: Sequence[ProposedPackage]) -> Iterator[str]:
        """Yield what the resolution and its audit leave open."""
        yield from self._free_threaded(case, selection)
        if selection.without_wheels:
            names = ", ".join(selection.without_wheels)
            yield f"{names}: the GIL-enabled build has no wheel either; ftaudit read what it needs, and built nothing"
        if case.left_out:
            yield f"left out because they could not be looked up: {', '.join(sorted(case.left_out))}"
        if not case.editable:
            yield _LOCKED
        if any(row.read for row in rows):
            why = f"no {self.target.executable} is available to import with"
            if self.settings.static:
                why = "--static"
            elif not case.platform.is_host:
                why = f"this machine cannot run code for {case.platform.name}"
            yield f"imports, because only the binaries in the wheels were read ({why})"
        yield "that your own code works with these versions; run its tests"

    def _free_threaded(self, case: ProposalCase, selection: Selection) -> Iterator[str]:
        """Ask uv again with only the wheels of the free-threaded build; yield the packages without one."""
        try:
            found = interpreters.find_interpreter(
                self.target, explicit=self.settings.python, cache_dir=self.settings.cache
            )
        except InterpreterError:
            yield f"uv chose among wheels for the GIL-enabled build, because no {self.target.executable} is available"
            return
        options = replace(self.options, no_deps=True, find_metadata=None)
        answer = prove(
            _all_pinned(case, selection),
            self.target,
            case.platform,
            options,
            interpreter=found.path,
            without_wheels=[
                (pin.name, pin.version)
                for pin in selection.pins
                if pin.version is not None and (pin.name, pin.version, case.platform.name) in self.without_wheels
            ],
        )
        if isinstance(answer, Failure):
            yield f"uv could not resolve with wheels for {self.target.name} only: {answer.message}"
        elif answer.without_wheels:
            yield f"uv finds no {self.target.name} wheel for {', '.join(answer.without_wheels)}"

    def _command(self, case: ProposalCase, without_wheels: Iterable[str]) -> str | None:
        """Return the command that resolves the written file; `None` for a lock file, which needs its own tool."""
        if not case.editable:
            return None
        version = ".".join(map(str, self.target.version))
        words = ["uv", "pip", "compile", str(case.requirements.path), "--python-version", version]
        words += ["--python-platform", uv.uv_platform(case.platform), "--only-binary", ":all:"]
        if self.settings.index_url is not None:
            words += ["--default-index", public(self.settings.index_url)]
        if case.requirements.format is InputFormat.PYPROJECT:
            words += ["--all-extras"] if self.settings.all_extras else []
            words += [word for extra in self.settings.extras for word in ("--extra", extra)]
            words += [word for group in self.settings.groups for word in ("--group", group)]
        for name in without_wheels:
            words += ["--no-binary", name]
        return shlex.join(words)


def _holds(selection: Selection, row: ProposedPackage) -> bool:
    return any((pin.name, pin.version) == (row.pin.name, row.pin.version) for pin in selection.pins)


def _lines(case: ProposalCase, solution: Solution) -> tuple[str, ...]:
    proposed = propose(case, {name: want.instead_of for name, want in solution.written.items()})
    return tuple(as_text(line) for line in (*proposed.roots, *proposed.constraints) if line.reference is None)


def _all_pinned(case: ProposalCase, selection: Selection) -> Requirements:
    """Return every package of a selection as an exact requirement."""
    place = Location(path=str(case.requirements.path))
    return replace(
        case.requirements,
        format=InputFormat.REQUIREMENTS_TXT,
        lock=None,
        roots=tuple(
            InputRequirement(name=pin.name, specifier=SpecifierSet(f"=={pin.version}"), location=place)
            for pin in selection.pins
            if pin.version is not None and pin.problem is None and pin.source_tree is None and pin.files is None
        ),
        constraints=(),
        overrides=(),
    )
