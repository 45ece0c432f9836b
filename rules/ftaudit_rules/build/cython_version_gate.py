"""FT406: the directive depends on a comparison of version strings."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Room
from ftaudit.source.build import BuildContext, FactKind


class CythonVersionGate(BuildRule):
    """Strings compare character by character: "3.10.0" sorts before "3.2.0", so the build may omit the directive again
    with Cython 3.10."""

    info = RuleInfo(
        code="FT406",
        name="cython-version-gate",
        summary="`freethreading_compatible` is set only if a string comparison of Cython's version succeeds.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            'Compare `packaging.version.Version(Cython.__version__)` with `Version("3.1")`, or require `Cython>=3.1`.'
        ),
        links=("https://packaging.pypa.io/en/stable/version.html",),
    )

    VALID = (
        SourceExample(
            code='if Version(cython_version) >= Version("3.1.0b1"):\n'
            '    directives["freethreading_compatible"] = True\n',
            instead=True,
        ),
        SourceExample(code='if cython.__version__ >= "3.0":\n    directives["language_level"] = 3\n'),
    )
    INVALID = (
        SourceExample(
            code='d = {}\nif cython.__version__ >= "3.1.0":\n    d.update({"freethreading_compatible": True})\n',
            lines=(2,),
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield each such comparison."""
        for fact in project.context.of(Room.BUILD, BuildContext).of(FactKind.VERSION_GATE):
            yield self.finding(
                "versions are compared as strings here, so 3.10 counts as older than 3.2",
                location=project.location(fact.path, fact.line, fact.column),
            )
