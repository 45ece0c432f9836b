"""FT602: the module cannot be imported under free-threaded CPython, or crashes there."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, PackageFacts, Severity
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import extension, failed, imported, installed


class ImportFailsOnFt(PackageRule):
    """A module that crashes on import was usually compiled for the other build, which has a different object layout.

    An exception is weaker evidence: a package that the module requires may be missing, or the module may need another
    import first.
    """

    info = RuleInfo(
        code="FT602",
        name="import-fails-on-ft",
        summary="Importing the module on free-threaded CPython fails, crashes or hangs.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Import the module on the GIL-enabled build too. If that also fails, the missing GIL is not the cause.",
        links=("https://py-free-threading.github.io/debugging/",),
        restates_verdict=True,
    )
    VALID = (
        PackageExample(
            title="the import succeeds",
            facts=installed(modules=(extension(runtime=imported(requires_gil=False)),)),
        ),
        PackageExample(
            title="the import fails because something else is missing",
            facts=installed(
                modules=(extension(runtime=failed("exception", "ModuleNotFoundError: tkinter", environmental=True)),),
            ),
        ),
        PackageExample(
            title="the module was not imported",
            facts=installed(modules=(extension(runtime=failed("not-run", "limit")),)),
        ),
    )
    INVALID = (
        PackageExample(
            title="the import crashes",
            facts=installed(modules=(extension(runtime=failed("signal", "SIGSEGV")),)),
            findings=1,
        ),
        PackageExample(
            title="the import raises an exception",
            facts=installed(
                modules=(extension(runtime=failed("exception", "ImportError: undefined symbol")),),
            ),
            findings=1,
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield each module whose import failed, as far as ftaudit can tell because of the module itself."""
        for module in facts.modules:
            runtime = module.runtime
            if runtime is None or runtime.imported or runtime.environmental or runtime.outcome == "not-run":
                continue
            raised = runtime.outcome == "exception"
            yield self.finding(
                f"importing `{module.name}` ends with {runtime.outcome}: {runtime.error or 'no message'}",
                module=module.name,
                severity=Severity.WARNING if raised else None,
                confidence=Confidence.MEDIUM if raised else None,
            )
