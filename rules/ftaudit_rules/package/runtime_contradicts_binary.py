"""FT210: a module does something different on import than ftaudit read from its binary."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, GilDeclaration, PackageFacts, Severity
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import extension, imported, installed
from ftaudit_rules.package._modules import TURNS_ON, made_with


class RuntimeContradictsBinary(PackageRule):
    """The import shows the behavior on this machine. The binary tier predicts the behavior on every machine without
    running the module. If the two differ, the module decides at run time (by an environment variable, a version or
    another module), or the prediction is wrong. In both cases check the results for other platforms yourself.
    """

    info = RuleInfo(
        code="FT210",
        name="runtime-contradicts-binary",
        summary="The import of a module does not do what ftaudit predicts from its binary.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Rely on the result of the import, and report the module and the wheel's name to the ftaudit project.",
        links=("https://peps.python.org/pep-0703/#py-mod-gil-slot",),
    )
    VALID = (
        PackageExample(
            title="the import does what the binary declares",
            facts=installed(modules=(extension(GilDeclaration.USED, runtime=imported(requires_gil=True)),)),
        ),
        PackageExample(
            title="the declaration could not be determined",
            facts=installed(
                modules=(extension(GilDeclaration.UNDETERMINED, runtime=imported(requires_gil=True)),),
            ),
        ),
        PackageExample(title="the module was not imported", facts=installed(modules=(extension(GilDeclaration.USED),))),
    )
    INVALID = (
        PackageExample(
            title="the module declares that it does not use the GIL, but its import turns the GIL on",
            facts=installed(
                modules=(extension(GilDeclaration.NOT_USED, runtime=imported(requires_gil=True)),),
            ),
            findings=1,
        ),
        PackageExample(
            title="the module declares that it uses the GIL, but its import leaves the GIL off",
            facts=installed(
                modules=(extension(GilDeclaration.USED, runtime=imported(requires_gil=False)),),
            ),
            findings=1,
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield each module for which the two tiers have different answers."""
        for module in facts.modules:
            binary, runtime = module.binary, module.runtime
            if binary is None or runtime is None or runtime.requires_gil is None:
                continue
            if binary.declaration is GilDeclaration.NOT_USED and runtime.requires_gil:
                told = "declares `Py_MOD_GIL_NOT_USED`, but importing it turns the GIL on"
            elif binary.declaration in TURNS_ON and runtime.imported and not runtime.requires_gil:
                told = f"is `{binary.declaration}` according to its binary, but importing it leaves the GIL off"
            else:
                continue
            yield self.finding(f"`{module.name}`{made_with(binary)} {told} ({binary.how})", module=module.name)
