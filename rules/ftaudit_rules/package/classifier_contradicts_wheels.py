"""FT104: the Free Threading classifier claims support that the wheels do not show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ftaudit.judge.gil import guilty_modules
from ftaudit.model import Confidence, Finding, GilDeclaration, PackageFacts, Severity
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import GIL_LINUX, extension, imported, installed, package
from ftaudit_rules.package._modules import named
from ftaudit_rules.package._tags import compiled_tags, suits, target_of

_LEVEL: Final = re.compile(r"Free Threading :: (\d) - ")
_BETA: Final = 2
_STABLE: Final = "Programming Language :: Python :: Free Threading :: 3 - Stable"
_UNSTABLE: Final = "Programming Language :: Python :: Free Threading :: 1 - Unstable"


class ClassifierContradictsWheels(PackageRule):
    """Users who rely on the classifier learn only at installation that no wheel matches, or only at import that the
    package turns the GIL back on.
    """

    info = RuleInfo(
        code="FT104",
        name="classifier-contradicts-wheels",
        summary="The Free Threading classifier claims Beta or better, but the wheels contradict it.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Publish wheels that leave the GIL off, or lower the level of the classifier.",
        links=("https://py-free-threading.github.io/porting/",),
    )
    VALID = (
        PackageExample(
            title="every module leaves the GIL off",
            facts=installed(classifiers=(_STABLE,), modules=(extension(GilDeclaration.NOT_USED),)),
        ),
        PackageExample(
            title="the classifier says Unstable",
            facts=installed(classifiers=(_UNSTABLE,), modules=(extension(GilDeclaration.USED),)),
        ),
        PackageExample(
            title="the import contradicts the binary",
            facts=installed(
                classifiers=(_STABLE,),
                modules=(extension(GilDeclaration.USED, runtime=imported(requires_gil=False)),),
            ),
        ),
    )
    INVALID = (
        PackageExample(
            title="a module uses the GIL",
            facts=installed(classifiers=(_STABLE,), modules=(extension(GilDeclaration.USED),)),
            findings=1,
        ),
        PackageExample(
            title="no wheel is for the target", facts=package(GIL_LINUX, classifiers=(_STABLE,)), findings=1
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield one finding for a claim that a tag, a binary or an import contradicts."""
        claims = [
            name for name in facts.binary.classifiers if (match := _LEVEL.search(name)) and int(match[1]) >= _BETA
        ]
        if not claims:
            return
        claim, target, tags = claims[-1], target_of(facts), compiled_tags(facts)
        turning_on = guilty_modules(facts)
        if turning_on:
            yield self.finding(f"the metadata says `{claim}`, but these modules turn the GIL on: {named(turning_on)}")
        elif tags and not any(suits(tag, target) for tag in tags):
            yield self.finding(f"the metadata says `{claim}`, but no compiled wheel is tagged `{target.abi}`")
