"""FT202: an extension module that declares that it needs the GIL."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, GilDeclaration, PackageFacts, Severity
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import extension, imported, installed
from ftaudit_rules.package._modules import that_declare


class BinaryGilUsed(PackageRule):
    """The authors declare with `Py_MOD_GIL_USED` that the code is not safe without the GIL.

    CPython turns the GIL on for the whole process when it imports such a module (PEP 703).
    """

    info = RuleInfo(
        code="FT202",
        name="binary-gil-used",
        summary="An extension module declares that it needs the GIL, so importing it turns the GIL on.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Check the code for state that the GIL protects, then declare `Py_MOD_GIL_NOT_USED`.",
        links=("https://peps.python.org/pep-0703/#py-mod-gil-slot",),
        restates_verdict=True,
    )
    VALID = (
        PackageExample(
            title="the module declares that it does not use the GIL",
            facts=installed(modules=(extension(GilDeclaration.NOT_USED),)),
        ),
        PackageExample(
            title="the module declares nothing (FT201 reports this)",
            facts=installed(modules=(extension(GilDeclaration.UNDECLARED),)),
        ),
        PackageExample(
            title="the import shows that the module leaves the GIL off",
            facts=installed(
                modules=(extension(GilDeclaration.USED, runtime=imported(requires_gil=False)),),
            ),
        ),
    )
    INVALID = (
        PackageExample(
            title="the slot says that the module uses the GIL",
            facts=installed(modules=(extension(GilDeclaration.USED, framework="Cython"),)),
            findings=1,
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield each module that was read and declares the GIL used."""
        for name, made, how, remedy in that_declare(facts, GilDeclaration.USED):
            message = f"`{name}`{made} declares `Py_MOD_GIL_USED`: importing it turns the GIL on ({how})"
            yield self.finding(message, module=name, remedy=remedy)
