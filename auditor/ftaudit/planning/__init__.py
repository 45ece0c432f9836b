"""The plan: turns the report's blockers into ways out, compatible changes, and a proof."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit import lockfiles
from ftaudit.engine.build_forecast import Release
from ftaudit.engine.next_target import find_outlook
from ftaudit.engine.session import AuditSession
from ftaudit.engine.upgrades.later import is_listed
from ftaudit.engine.upgrades.surveys import HOPEFUL, Survey, SurveyQuestion
from ftaudit.lockfiles.compiled_from import find_command
from ftaudit.model import Package, Pin, Report, Status, Verdict, WheelKind
from ftaudit.model.plans import Fate, Plan, Prefer, SourceEvidence, Wanted, WayOut
from ftaudit.model.reach_sentences import reach_summary
from ftaudit.model.reachability import BlockerReach
from ftaudit.planning.candidates_in_play import (
    ONLY_GOOD,
    UNASKED,
    chosen,
    confirm,
    culprits,
    exclude,
    no_better,
    wanted_of,
)
from ftaudit.planning.lock_commands import lock_commands
from ftaudit.planning.plan_changes import find_changes
from ftaudit.planning.proposal import ProposalCase
from ftaudit.planning.prover import Prover
from ftaudit.planning.solve import Solution, Solver
from ftaudit.planning.verify import ProposedPackage, audit_new
from ftaudit.planning.ways import BlockedRow, find_sources, find_way
from ftaudit.target import Platform

MOST_ROUNDS: Final = 5
"""How often a proposed set is audited and, if something in it blocks, proposed again without that."""
_BY_REFERENCE: Final = "it is given by URL or path; specify a version instead"
_MAY: Final = HOPEFUL | UNASKED | {Fate.NOT_LOOKED_INTO, Fate.FALLBACK}


def make_plan(report: Report, session: AuditSession) -> Plan:
    """Return the changes that remove the report's blockers, the packages without a way out, and the proof.

    `report` is the audit of the same session. A release counts as good from index and binary evidence. The proposed set
    is then audited by the same tiers as the report, so that its modules are imported if that is possible. Raise
    `FtauditError` for an invalid interpreter.
    """
    return _Planner(report=report, session=session).plan()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Planner:
    report: Report
    session: AuditSession

    def plan(self) -> Plan:
        blockers, slower = self._blockers(), self._slower()
        session = self.session
        cases = self._cases() if blockers or slower else ()
        solver = Solver(cases=cases, target=session.target, options=session.options, known=self._known)
        with ThreadPoolExecutor(max_workers=1) as aside:
            # The sdists are downloaded while uv and the imports use the processor.
            reading = aside.submit(self._sources, blockers, {})
            solution, rows, blockers, slower = self._solve(solver, blockers, slower)
            solution = solver.explain(solution, {one.row.facts.pin.name for one in (*blockers, *slower)})
            sources = self._sources(blockers, reading.result())
        blockers = confirm(blockers, rows)
        found = [find_way(one, sources.get(_release(one.row.facts.pin))) for one in blockers]
        found += [find_way(one, None) for one in slower if one.survey is not None and one.survey.first_good]
        ways = tuple(self._settle(way, solution, rows) for way in found)
        changes = find_changes(solution, chosen(solution), cases=cases, ways=ways, rows=rows)
        prover = Prover(
            target=session.target,
            settings=session.settings,
            options=session.options,
            without_wheels=self._without_wheels(),
        )
        proofs = prover.prove(cases, solution, rows)
        return Plan(
            target=self.report.target,
            platforms=self.report.platforms,
            inputs=tuple(str(found.path) for found in session.read),
            packages=len({row.facts.pin.name for row in self.report.packages}),
            ways=ways,
            changes=changes,
            proofs=proofs,
            lock_commands=lock_commands(changes, cases, session.settings),
            notes=(*self.report.notes, *self._reach_notes(), *dict.fromkeys(self._notes(cases, solution))),
            incomplete=self._incomplete(solution, rows),
            unknown=self._unknown(solution, rows),
            interpreter=self.report.interpreter,
            traffic=session.index.traffic.counts,
            reach=self._reach(),
            outlook=find_outlook(self.report.packages, session, {change.name: change.proposed for change in changes}),
        )

    def _reach(self) -> tuple[BlockerReach, ...]:
        blocking = {(str(row.facts.pin.name), row.facts.platform) for row in self.report.packages if row.blocks}
        return tuple(each for each in self.report.package_reach if (each.name, each.platform) in blocking)

    def _reach_notes(self) -> Iterator[str]:
        return (line for reach in self.report.reach for line in reach_summary(reach))

    def _sources(
        self, blockers: Sequence[BlockedRow], known: Mapping[Release, SourceEvidence]
    ) -> Mapping[Release, SourceEvidence]:
        left = [blocker for blocker in blockers if _release(blocker.row.facts.pin) not in known]
        return {**known, **find_sources(left, self.session)}

    def _without_wheels(self) -> frozenset[tuple[NormalizedName, Version, str]]:
        return frozenset(
            (row.facts.pin.name, row.facts.pin.version, row.facts.platform)
            for row in self.report.packages
            if row.facts.index.status is Status.DONE
            and row.facts.index.kind is WheelKind.NONE
            and row.facts.pin.version is not None
        )

    def _blockers(self) -> list[BlockedRow]:
        """Return the blockers, with the later releases of each."""
        return self._surveyed([row for row in self.report.packages if row.blocks])

    def _slower(self) -> list[BlockedRow]:
        """Return the fallbacks to pure Python that have a later release whose compiled code leaves the GIL disabled."""
        rows = [row for row in self.report.packages if row.verdict is Verdict.FALLBACK and is_listed(row.facts.pin)]
        return [one for one in self._surveyed(rows) if one.survey is not None and one.survey.first_good is not None]

    def _surveyed(self, rows: Sequence[Package]) -> list[BlockedRow]:
        """Return rows of the report with their later releases."""
        by_name = {platform.name: platform for platform in self.session.platforms}
        questions = {id(row): SurveyQuestion(pin=row.facts.pin, platform=by_name[row.facts.platform]) for row in rows}
        surveys = self._survey([questions[id(row)] for row in rows if is_listed(row.facts.pin)])
        return [
            BlockedRow(row=row, question=questions[id(row)], survey=surveys.get(questions[id(row)])) for row in rows
        ]

    def _survey(self, questions: Sequence[SurveyQuestion]) -> Mapping[SurveyQuestion, Survey]:
        return self.session.surveyor.survey(questions, progress=self.session.progress)

    def _cases(self) -> tuple[ProposalCase, ...]:
        """Return every input on every platform."""
        session = self.session
        return tuple(
            ProposalCase(
                requirements=requirements,
                target=session.target,
                platform=platform,
                pins=session.select(number, platform).pins,
                asked=asked,
            )
            for number, requirements in enumerate(session.read)
            for asked in [lockfiles.find_asked(requirements)]
            for platform in session.platforms
        )

    def _known(self, names: Iterable[NormalizedName]) -> Mapping[NormalizedName, Wanted]:
        """Return the lowest version to which packages that do not block may change, and the excluded versions."""
        wanted = set(names)
        questions = {
            row.facts.pin.name: SurveyQuestion(pin=row.facts.pin, platform=self._platform(row.facts.platform))
            for row in self.report.packages
            if row.facts.pin.name in wanted and is_listed(row.facts.pin)
        }
        surveys = self._survey(list(questions.values()))
        found = {}
        for name, question in questions.items():
            if question.pin.version is not None:
                bad = {one.version for one in surveys[question].releases if one.fate not in _MAY}
                found[name] = Wanted(version=question.pin.version, not_these=frozenset(bad))
        return found

    def _platform(self, name: str) -> Platform:
        return next(platform for platform in self.session.platforms if platform.name == name)

    def _solve(
        self, solver: Solver, blockers: list[BlockedRow], slower: list[BlockedRow]
    ) -> tuple[Solution, tuple[ProposedPackage, ...], list[BlockedRow], list[BlockedRow]]:
        """Propose, audit the proposal, and propose again without the candidates that block."""
        self.session.progress.stage("a set that works", None)
        prefer = Prefer(self.session.settings.prefer)
        hopeless = dict.fromkeys((name for case in solver.cases for name in case.by_reference), _BY_REFERENCE)
        for attempt in range(MOST_ROUNDS + len(blockers)):
            wanted = {name: want for name, want in wanted_of(blockers, prefer=prefer).items() if name not in hopeless}
            better = wanted_of(slower, prefer=prefer, tiers=ONLY_GOOD)
            optional = {name: want for name, want in better.items() if name not in hopeless and name not in wanted}
            solution = solver.solve(wanted, optional) if wanted or optional else Solution(changes={})
            rows = self._audit(solver.cases, solution)
            bad = {**no_better(optional, rows), **culprits(solution, rows, [*blockers, *slower])}
            if attempt >= MOST_ROUNDS:
                hopeless |= bad
                out: dict[NormalizedName, tuple[Version | None, str]] = {name: (None, why) for name, why in bad.items()}
            else:
                out = {name: (chosen(solution)[name], why) for name, why in bad.items()}
            blockers, slower = exclude(blockers, out), exclude(slower, out)
            for name, why in solution.given_up.items():
                # A release that falls back to pure Python may be compatible with the rest if no good release is.
                blockers = exclude(blockers, {name: (None, why)})
            if not bad and not (solution.given_up.keys() & wanted_of(blockers).keys()):
                break
        blocked = {blocker.row.facts.pin.name for blocker in blockers}
        left = {name: why for name, why in hopeless.items() if name in blocked}
        return replace(solution, given_up={**left, **solution.given_up}), rows, blockers, slower

    def _audit(self, cases: Sequence[ProposalCase], solution: Solution) -> tuple[ProposedPackage, ...]:
        if not solution.changes or not solution.selections:
            return ()
        return audit_new(cases, solution.selections, self.report.packages, self.session)

    def _settle(self, way: WayOut, solution: Solution, rows: Sequence[ProposedPackage]) -> WayOut:
        """Return a way out with whether the solution uses it."""
        reason = solution.given_up.get(way.name)
        if reason is not None:
            return replace(way, given_up=reason)
        blocks = any(row.blocks and row.pin.name == way.name and row.platform == way.platform for row in rows)
        stays = any(
            pin.name == way.name and pin.version == way.current for one in solution.selections for pin in one.pins
        )
        return replace(way, solved=way.name in solution.changes and not (blocks or stays))

    def _incomplete(self, solution: Solution, rows: Sequence[ProposedPackage]) -> tuple[str, ...]:
        """Return what could not be checked in the proposed set or, without a proposed set, in today's set."""
        not_proven = [sentence for selection in solution.selections for sentence in selection.incomplete]
        if not solution.selections:
            not_proven += self.report.incomplete
        if solution.problem is not None:
            not_proven.append(f"the changes were not proven to be compatible: {solution.problem}")
        today = {row.facts.pin.name for row in self.report.packages if row.blocks}
        not_proven += [
            f"{row.pin.name} {row.pin.version} would be added, and blocks on {row.platform}: {row.first_reason}"
            for row in rows
            if row.blocks and row.pin.name not in solution.changes and row.pin.name not in today
        ]
        return tuple(dict.fromkeys(not_proven))

    def _unknown(self, solution: Solution, rows: Sequence[ProposedPackage]) -> tuple[NormalizedName, ...]:
        today = [row.facts.pin.name for row in self.report.packages if row.verdict is Verdict.UNKNOWN]
        then = [row.pin.name for row in rows if row.verdict is Verdict.UNKNOWN]
        return tuple(dict.fromkeys((*(name for name in today if name not in solution.changes), *then)))

    def _notes(self, cases: Sequence[ProposalCase], solution: Solution) -> Iterator[str]:
        """Yield what an editor of the files must know in addition to the changes."""
        paths = [case.requirements.path for case in cases if case.editable and solution.changes]
        for path in dict.fromkeys(paths):
            if (command := find_command(path)) is not None:
                yield f"{path} was generated by `{command}`; change its source too, or the next run reverts the changes"
        for case, selection in zip(cases, solution.selections, strict=False):
            if case.editable and any(line.hashes for line in case.requirements.roots):
                new = [f"{pin.name}=={pin.version}" for pin in selection.pins if pin.name not in case.versions]
                if new:
                    path = case.requirements.path
                    yield f"{path} has hashes, and {', '.join(new)} is new: add a line with its hashes"


def _release(pin: Pin) -> Release:
    return str(pin.name), pin.version or Version("0")
