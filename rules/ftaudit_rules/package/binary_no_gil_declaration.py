"""FT201: an extension module without a GIL declaration, so CPython turns the GIL on."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, GilDeclaration, PackageFacts, Severity
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import extension, imported, installed
from ftaudit_rules.package._modules import that_declare


class BinaryNoGilDeclaration(PackageRule):
    """CPython assumes that a module needs the GIL if it has no `Py_mod_gil` slot and does not call
    `PyUnstable_Module_SetGIL`. When it imports such a module, it turns the GIL on for the whole process (PEP 703).
    """

    info = RuleInfo(
        code="FT201",
        name="binary-no-gil-declaration",
        summary="An extension module does not declare that it runs without the GIL, so importing it turns the GIL on.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Make the code safe without the GIL, then declare this in the module's definition.",
        links=(
            "https://peps.python.org/pep-0703/#py-mod-gil-slot",
            "https://docs.python.org/3/howto/free-threading-extensions.html#module-initialization",
        ),
        restates_verdict=True,
    )
    VALID = (
        PackageExample(
            title="the module declares that it does not use the GIL",
            facts=installed(modules=(extension(GilDeclaration.NOT_USED),)),
        ),
        PackageExample(
            title="the declaration could not be determined",
            facts=installed(modules=(extension(GilDeclaration.UNDETERMINED),)),
        ),
        PackageExample(
            title="the import shows that the module leaves the GIL off",
            facts=installed(
                modules=(extension(GilDeclaration.UNDECLARED, runtime=imported(requires_gil=False)),),
            ),
        ),
    )
    INVALID = (
        PackageExample(
            title="the module has no slot",
            facts=installed(modules=(extension(GilDeclaration.UNDECLARED, framework="Cython"),)),
            findings=1,
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield each module that was read and declares nothing."""
        for name, made, how, remedy in that_declare(facts, GilDeclaration.UNDECLARED):
            message = f"`{name}`{made} does not declare `Py_mod_gil`: importing it turns the GIL on ({how})"
            yield self.finding(message, module=name, remedy=remedy)
