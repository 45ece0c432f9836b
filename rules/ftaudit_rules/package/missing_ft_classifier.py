"""FT103: a free-threaded wheel whose metadata does not say how far free threading is supported."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, PackageFacts, Severity, Status, WheelKind
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import T_LINUX, installed, package

CLASSIFIER = "Programming Language :: Python :: Free Threading"


class MissingFtClassifier(PackageRule):
    """The classifier tells users how well a project supports free threading. A free-threaded wheel alone does not."""

    info = RuleInfo(
        code="FT103",
        name="missing-ft-classifier",
        summary="The release has a free-threaded wheel but no Free Threading classifier.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=f"Add `{CLASSIFIER} :: 2 - Beta`, or the level that fits the project.",
        links=("https://py-free-threading.github.io/porting/",),
        default=False,
    )
    VALID = (
        PackageExample(
            title="the metadata has the classifier", facts=installed(classifiers=(f"{CLASSIFIER} :: 2 - Beta",))
        ),
        PackageExample(title="the release is pure Python", facts=package("py3-none-any", chosen="py3-none-any")),
    )
    INVALID = (
        PackageExample(
            title="the metadata does not have the classifier", facts=package(T_LINUX, chosen="cp314t"), findings=1
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield one finding for a free-threaded wheel that was read and has no such classifier."""
        if facts.index.kind not in (WheelKind.FREE_THREADED, WheelKind.ABI3T):
            return
        if facts.binary.status is Status.DONE and not facts.binary.classifiers:
            yield self.finding(f"the metadata of {facts.pin.name} {facts.pin.version} has no `{CLASSIFIER}` classifier")
