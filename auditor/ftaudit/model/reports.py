"""Reports: the judged packages, and how much of the expected work was done."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from packaging.version import Version

from ftaudit.model.facts import PackageFacts
from ftaudit.model.findings import Acceptance, Finding
from ftaudit.model.local_builds import LocalBuild
from ftaudit.model.reachability import BlockerReach, ReachAnswer
from ftaudit.model.reasons import Reasons
from ftaudit.model.sentences import sentences, step_sentence
from ftaudit.model.steps import GoodRelease, Step, Upgrade
from ftaudit.model.words import BLOCKING, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """One row of the report."""

    facts: PackageFacts
    verdict: Verdict
    why: Reasons
    """The reasons of the verdict, the most important first. Never empty."""
    step: Step | None = None
    """What to do next."""
    blocked_by: tuple[str, ...] = ()
    """Names of blocked packages that this one needs, directly or indirectly."""
    findings: tuple[Finding, ...] = ()
    accepted: Acceptance | None = None
    """Known and accepted: the verdict does not change, and does not count for the exit code."""

    @property
    def name(self) -> str:
        """The name of the package, normalized."""
        return self.facts.pin.name

    @property
    def version(self) -> str | None:
        """The version that was judged; `None` if it could not be determined."""
        return None if self.facts.pin.version is None else str(self.facts.pin.version)

    @property
    def required_by(self) -> tuple[tuple[str, ...], ...]:
        """Chains of names from a root requirement to this package, the shortest first."""
        return self.facts.pin.required_by

    @property
    def fix_version(self) -> Version | None:
        """The nearest later version that is ready or pure; `None` if it is unknown."""
        match self.step:
            case Upgrade(lead=GoodRelease(first=first)):
                return first
            case _:
                return None

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons as sentences."""
        return sentences(self.why, self.facts.platform)

    @property
    def next_step(self) -> str | None:
        """What to do next, as a sentence."""
        return None if self.step is None else step_sentence(self.step, self.facts.platform)

    @property
    def blocks(self) -> bool:
        """Whether the verdict blocks the target, accepted or not."""
        return self.verdict in BLOCKING


@dataclass(frozen=True, kw_only=True, slots=True)
class TierCoverage:
    """How much of the expected work was checked."""

    done: int = 0
    total: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The result of an audit."""

    target: str
    platforms: tuple[str, ...]
    inputs: tuple[str, ...]
    packages: tuple[Package, ...]
    coverage: tuple[tuple[str, TierCoverage], ...]
    """Per tier: `index` (packages), `binaries` (wheels), `imports` (modules)."""
    notes: tuple[str, ...] = ()
    """Notes that a reader needs about the run: what the sandbox could not block, skipped parts."""
    incomplete: tuple[str, ...] = ()
    """What was not checked and has no row: dependencies that could not be determined."""
    interpreter: str | None = None
    traffic: tuple[tuple[str, int], ...] = ()
    """Bytes received and saved, and the number of requests, by name."""
    indexes: tuple[str, ...] = ()
    """The sources of packages, in query order, without credentials."""

    created: datetime | None = None
    """When the audit ended, in UTC."""
    nonconforming: tuple[str, ...] = ()
    """Wheels that break the stable ABI in their tags, by file name: `ftaudit wheel` rejects them."""

    builds: tuple[LocalBuild, ...] = ()
    """The results of building its source-only packages on this machine. They change no verdict and no exit code."""

    reach: tuple[ReachAnswer, ...] = ()
    """What the user's own code loads on each platform, if that was requested."""
    package_reach: tuple[BlockerReach, ...] = ()
    """When it loads the packages that block or are unknown, the most urgent first."""

    def reach_on(self, platform: str) -> ReachAnswer | None:
        """Return what the user's own code loads on a platform, if that was requested."""
        return next((each for each in self.reach if each.platform == platform), None)

    @property
    def failing(self) -> tuple[Package, ...]:
        """The packages with a finding that blocks by itself and is not accepted."""
        return tuple(
            package
            for package in self.packages
            if package.accepted is None
            and any(finding.blocks and finding.accepted is None for finding in package.findings)
        )

    @property
    def exit_code(self) -> int:
        """`1` if something blocks and is not accepted, `3` if not everything was checked, otherwise `0`
        (docs/verdicts.md).
        """
        verdicts = {package.verdict for package in self.packages if package.accepted is None}
        if verdicts & BLOCKING or self.nonconforming or self.failing:
            return 1
        return 3 if Verdict.UNKNOWN in verdicts or self.incomplete else 0

    def to_json(self) -> str:
        """Return the report as `ftaudit check --format json` prints it (docs/json.md)."""
        # By name: the model imports no renderer.
        text: str = importlib.import_module("ftaudit.report.package.check_json").render(self)
        return text


WORST_FIRST_CODES: Final = (1, 3, 0)
"""The exit codes of a judgment, the worst first: something blocks, not everything was checked, nothing blocks."""


def worst_exit_code(codes: Iterable[int]) -> int:
    """Return the exit code of several judgments: that of the worst judgment, or `0` if the list is empty."""
    return min(codes, key=WORST_FIRST_CODES.index, default=0)
