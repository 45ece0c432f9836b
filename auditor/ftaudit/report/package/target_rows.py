"""The packages of several reports side by side: one row for each package, one cell for each target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from packaging.version import Version

from ftaudit.judge.table import rank
from ftaudit.model import BLOCKING, Package, Report, Verdict
from ftaudit.report.package.agreeing_rows import Headline, headline


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetCell:
    """What one target's report says about a package."""

    version: Version | None
    verdict: Verdict
    reason: str
    """The first reason, as a sentence."""
    accepted: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetRow:
    """One package, on the platforms that agree."""

    name: str
    platforms: tuple[str, ...]
    cells: tuple[TargetCell | None, ...]
    """In the order of the targets; `None` if the target does not need the package."""

    @property
    def version(self) -> Version | None:
        """The version that all targets get; `None` if the versions differ."""
        versions = {cell.version for cell in self.cells if cell is not None}
        return next(iter(versions)) if len(versions) == 1 else None

    @property
    def differs(self) -> bool:
        """Whether the verdict or the version differs between targets."""
        return len({None if cell is None else (cell.verdict, cell.version) for cell in self.cells}) > 1

    @property
    def is_fine(self) -> bool:
        """Whether no target needs any action."""
        return all(cell is None or cell.verdict in (Verdict.READY, Verdict.PURE) for cell in self.cells)

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to report: ready or pure, and the same for every target."""
        return self.is_fine and not self.differs


def find_rows(reports: Sequence[Report]) -> tuple[TargetRow, ...]:
    """Return the packages of the reports, those with the worst verdicts first, then by name.

    Forked versions of one package on one platform are compared in their order.
    """
    found: dict[tuple[str, str, int], list[TargetCell | None]] = {}
    for number, report in enumerate(reports):
        seen: Counter[tuple[str, str]] = Counter()
        for package in report.packages:
            place = str(package.facts.pin.name), package.facts.platform
            cells = found.setdefault((*place, seen[place]), [None] * len(reports))
            cells[number] = _cell(package)
            seen[place] += 1
    groups: dict[tuple[object, ...], TargetRow] = {}
    for (name, platform, _), cells in found.items():
        same = (name, *(None if cell is None else (cell.version, cell.verdict, cell.accepted) for cell in cells))
        row = groups.get(same, TargetRow(name=name, platforms=(), cells=tuple(cells)))
        groups[same] = replace(row, platforms=tuple(dict.fromkeys((*row.platforms, platform))))
    return tuple(sorted(groups.values(), key=lambda row: (-_worst(row), row.name, row.platforms)))


def answers(reports: Sequence[Report]) -> Iterator[tuple[Report, Headline]]:
    """Yield each report with its answer as a sentence."""
    return ((report, headline(report)) for report in reports)


def all_platforms(reports: Sequence[Report]) -> tuple[str, ...]:
    """Return the platforms of the reports, each once."""
    return tuple(dict.fromkeys(platform for report in reports for platform in report.platforms))


def cell_words(cell: TargetCell | None, row: TargetRow) -> str:
    """Return a short cell: the verdict, with the version if the targets get different ones."""
    if cell is None:
        return "not needed"
    version = "" if row.version is not None or cell.version is None else f" ({cell.version})"
    accepted = ", accepted" if cell.accepted and cell.verdict in BLOCKING | {Verdict.UNKNOWN} else ""
    return f"{cell.verdict}{version}{accepted}"


def _cell(package: Package) -> TargetCell:
    return TargetCell(
        version=package.facts.pin.version,
        verdict=package.verdict,
        reason=package.reasons[0],
        accepted=package.accepted is not None,
    )


def _worst(row: TargetRow) -> int:
    return max(rank(cell.verdict) for cell in row.cells if cell is not None)
