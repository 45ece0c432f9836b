"""FT209: a wheel tagged for free-threaded CPython whose modules turn the GIL back on."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.judge.gil import guilty_modules
from ftaudit.model import Confidence, Finding, GilDeclaration, PackageFacts, Severity, WheelKind
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import extension, imported, installed
from ftaudit_rules.package._modules import named


class TagContradictsBinary(PackageRule):
    """The tag says that the wheel is for the free-threaded build, but importing a module turns the GIL on for the whole
    process. The only sign is a warning on standard error, which appears once, for the first such module.
    """

    info = RuleInfo(
        code="FT209",
        name="tag-contradicts-binary",
        summary="The wheel is tagged for free-threaded CPython, but its modules turn the GIL on.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Use a version whose modules leave the GIL off. If you are the author, add the declaration to each module."
        ),
        links=("https://peps.python.org/pep-0703/#py-mod-gil-slot",),
        restates_verdict=True,
    )
    VALID = (
        PackageExample(
            title="the module leaves the GIL off", facts=installed(modules=(extension(GilDeclaration.NOT_USED),))
        ),
        PackageExample(
            title="the declaration could not be determined",
            facts=installed(modules=(extension(GilDeclaration.UNDETERMINED),)),
        ),
    )
    INVALID = (
        PackageExample(
            title="the module declares that it uses the GIL",
            facts=installed(modules=(extension(GilDeclaration.USED),)),
            findings=1,
        ),
        PackageExample(
            title="the import turned the GIL on",
            facts=installed(modules=(extension(runtime=imported(requires_gil=True)),)),
            findings=1,
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield one finding for the wheel, with the modules."""
        if facts.index.kind not in (WheelKind.FREE_THREADED, WheelKind.ABI3T) or facts.index.wheel is None:
            return
        modules = guilty_modules(facts)
        if modules:
            yield self.finding(
                f"`{facts.index.wheel.filename}` is tagged for free-threaded CPython, but modules in it turn the GIL "
                f"on ({len(modules)} of {len(facts.modules)}): {named(modules)}"
            )
