"""FT211: the same module of the same version has different GIL declarations on different platforms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ftaudit.judge.gil import Gil, module_gil
from ftaudit.model import Confidence, ExtensionModule, Finding, GilDeclaration, PackageFacts, Severity
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import extension, installed
from ftaudit_rules.package._modules import made_with, remedy


class PlatformsDisagree(PackageRule):
    """A team that tests on one platform and deploys on another gets different behavior. Usually a different tool chain
    built the other platform's wheel, or the build did not define `Py_GIL_DISABLED`.
    """

    info = RuleInfo(
        code="FT211",
        name="platforms-disagree",
        summary="A module turns the GIL on, but the same module in another platform's wheel does not.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Build the wheels for all platforms with the same declaration.",
        links=("https://docs.python.org/3/howto/free-threading-extensions.html#windows",),
    )
    VALID = (
        PackageExample(
            title="the modules of all platforms declare the same",
            facts=installed(
                modules=(extension(GilDeclaration.USED),),
                elsewhere=(("windows-amd64", (extension(GilDeclaration.USED, suffix=".pyd"),)),),
            ),
        ),
        PackageExample(
            title="one module declares that it uses the GIL, another one declares nothing: both turn the GIL on",
            facts=installed(
                modules=(extension(GilDeclaration.USED),),
                elsewhere=(("windows-amd64", (extension(GilDeclaration.UNDECLARED),)),),
            ),
        ),
        PackageExample(
            title="the declaration on one platform could not be determined",
            facts=installed(
                modules=(extension(GilDeclaration.USED),),
                elsewhere=(("windows-amd64", (extension(GilDeclaration.UNDETERMINED),)),),
            ),
        ),
    )
    INVALID = (
        PackageExample(
            title="the module turns the GIL on only on this platform",
            facts=installed(
                modules=(extension(GilDeclaration.USED),),
                elsewhere=(("windows-amd64", (extension(GilDeclaration.NOT_USED),)),),
            ),
            findings=1,
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield each module that turns the GIL on here and leaves it off elsewhere, by its binaries."""
        for module in facts.modules:
            if module.binary is None or _leaves_off(module) is not False:
                continue
            places = [
                platform
                for platform, modules in facts.elsewhere
                if any(other.name == module.name and _leaves_off(other) for other in modules)
            ]
            if places:
                yield self.finding(
                    f"`{module.name}`{made_with(module.binary)} declares `{module.binary.declaration}` on "
                    f"{facts.platform}, but `not_used` on {', '.join(places)}",
                    module=module.name,
                    remedy=remedy(module.binary),
                )


def _leaves_off(module: ExtensionModule) -> bool | None:
    """Return whether the module leaves the GIL off by its binary, `None` if that could not be determined."""
    match module_gil(replace(module, runtime=None)):
        case Gil.OFF:
            return True
        case Gil.ON:
            return False
        case Gil.CRASHES | Gil.UNKNOWN:
            return None
