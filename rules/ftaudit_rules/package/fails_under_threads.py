"""FT605: the package fails if several threads use it at once without the GIL, but not with the GIL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ftaudit.model import Confidence, Finding, PackageFacts, Severity, StressFailureKind
from ftaudit.model.sentences import failure_sentence
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import failure, stressed


class FailsUnderThreads(PackageRule):
    """A module that declares `Py_MOD_GIL_NOT_USED` promises that threads can share its objects. `ftaudit stress` calls
    the module from several threads at the same time and reduces each failure to a minimal example. The example fails in
    most runs without the GIL, and in no run with the GIL, so the missing GIL is the cause.
    """

    info = RuleInfo(
        code="FT605",
        name="fails-under-threads",
        summary="The package crashes, hangs, leaks memory or returns wrong results when threads run without the GIL.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Guard the shared object with your own lock, and send the script from `--report` to the authors.",
        links=("https://py-free-threading.github.io/porting-extensions/",),
    )
    VALID = (PackageExample(title="no call fails", facts=stressed()),)
    INVALID = (
        PackageExample(title="a call crashes", facts=stressed(failure()), findings=1),
        PackageExample(title="a call hangs", facts=stressed(failure(StressFailureKind.HANG)), findings=1),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield each failure."""
        for found in facts.stress.failures:
            told = failure_sentence(found)
            if found.explained_by:
                code, path, line = found.explained_by[0]
                told += f"; see {code} at {path}:{line}"
            yield replace(self.finding(told), blocks=True)
