"""FT210: a module does something different on import than ftaudit read from its binary."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, GilDeclaration, PackageFacts, Severity
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import extension, imported, installed
from ftaudit_rules.package._modules import TURNS_ON, made_with


class RuntimeContradictsBinary(PackageRule):
    """The import shows what is true on this machine; ftaudit reads the binary without running it, for every machine.

    If they differ, the module decides at run time (by an environment variable, a version, another module), or ftaudit
    read the binary wrongly. In either case check the answers for other platforms again.
    """

    info = RuleInfo(
        code="FT210",
        name="runtime-contradicts-binary",
        summary="A module does something different on import than ftaudit read from its binary.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Rely on the import, and report the module to ftaudit with the wheel's name.",
        links=("https://peps.python.org/pep-0703/#py-mod-gil-slot",),
    )
    VALID = (
        PackageExample(
            title="they agree",
            facts=installed(modules=(extension(GilDeclaration.USED, runtime=imported(requires_gil=True)),)),
        ),
        PackageExample(
            title="the binary said nothing",
            facts=installed(
                modules=(extension(GilDeclaration.UNDETERMINED, runtime=imported(requires_gil=True)),),
            ),
        ),
        PackageExample(title="never imported", facts=installed(modules=(extension(GilDeclaration.USED),))),
    )
    INVALID = (
        PackageExample(
            title="declared not used, and turns it on",
            facts=installed(
                modules=(extension(GilDeclaration.NOT_USED, runtime=imported(requires_gil=True)),),
            ),
            findings=1,
        ),
        PackageExample(
            title="declared used, and leaves it off",
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
                told = "declares Py_MOD_GIL_NOT_USED, yet importing it turns the GIL on"
            elif binary.declaration in TURNS_ON and runtime.imported and not runtime.requires_gil:
                told = f"was read as {binary.declaration}, yet importing it leaves the GIL off"
            else:
                continue
            yield self.finding(f"{module.name}{made_with(binary)} {told} ({binary.how})", module=module.name)
