"""FT114: continuous integration does not test on a free-threaded interpreter."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Room
from ftaudit.source.build import BuildContext, FactKind


class NoFtCi(BuildRule):
    """Without tests on a free-threaded interpreter, you do not know whether the code works without the GIL."""

    info = RuleInfo(
        code="FT114",
        name="no-ft-ci",
        summary="No continuous integration job runs on a free-threaded interpreter.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Add a job for 3.14t, and run the tests in several threads there (pytest-run-parallel).",
        links=("https://py-free-threading.github.io/ci/",),
        default=False,
    )

    VALID = (
        SourceExample(
            path=".github/workflows/ci.yml",
            code="strategy:\n  matrix:\n    python-version: ['3.14', '3.14t']\n",
            instead=True,
        ),
        SourceExample(code="setup()\n"),
    )
    INVALID = (
        SourceExample(
            path=".github/workflows/ci.yml",
            code="strategy:\n  matrix:\n    python-version: ['3.13', '3.14']\n",
            lines=(3,),
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield one finding for a project with jobs, none of them free-threaded."""
        jobs = project.context.of(Room.BUILD, BuildContext).of(FactKind.CI_FILE)
        if jobs and not any(fact.settled for fact in jobs):
            yield self.finding(
                "no job, here or in the other workflows, uses a free-threaded Python",
                location=project.location(jobs[0].path, jobs[0].line),
            )
