"""FT601: importing the module under free-threaded CPython turned the GIL on."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, GilDeclaration, PackageFacts, Severity
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import extension, imported, installed
from ftaudit_rules.package._modules import made_with, remedy


class GilReenabledOnImport(PackageRule):
    """CPython reports that the module requires the GIL. After the import, the GIL is on for all threads."""

    info = RuleInfo(
        code="FT601",
        name="gil-reenabled-on-import",
        summary="Importing the module under free-threaded CPython turns the GIL on.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Use a version whose module leaves the GIL off. If you are the author, declare `Py_MOD_GIL_NOT_USED`.",
        links=("https://docs.python.org/3/howto/free-threading-python.html#the-global-interpreter-lock",),
        restates_verdict=True,
    )
    VALID = (
        PackageExample(
            title="the import leaves the GIL off",
            facts=installed(modules=(extension(runtime=imported(requires_gil=False)),)),
        ),
        PackageExample(
            title="the module was read, but not imported",
            facts=installed(modules=(extension(GilDeclaration.USED),)),
        ),
    )
    INVALID = (
        PackageExample(
            title="the import turns the GIL on",
            facts=installed(modules=(extension(runtime=imported(requires_gil=True)),)),
            findings=1,
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield each module that CPython named as requiring the GIL."""
        for module in facts.modules:
            if module.runtime is None or not module.runtime.requires_gil:
                continue
            made = made_with(module.binary) if module.binary else ""
            by = f", as {facts.runtime.interpreter} reports" if facts.runtime.interpreter else ""
            yield self.finding(
                f"importing `{module.name}`{made} turns the GIL on{by}",
                module=module.name,
                remedy=remedy(module.binary) if module.binary else None,
            )
