"""Reports for tests of the renderers, made from facts by the real verdict table."""

from __future__ import annotations

from packaging.version import Version
from support.facts import SDIST, facts, gap, imported, module

from ftaudit.judge.table import judge
from ftaudit.model import (
    Confidence,
    Finding,
    GilDeclaration,
    Package,
    PackageFacts,
    Report,
    RuntimeFacts,
    Severity,
    Status,
    TierCoverage,
    WheelKind,
)
from ftaudit.model.steps import GoodRelease, Step, Upgrade

COVERAGE = (("index", TierCoverage(done=3, total=3)), ("binaries", TierCoverage()), ("imports", TierCoverage()))


def package(given: PackageFacts, *, findings: tuple[Finding, ...] = (), step: Step | None = None) -> Package:
    """Return the verdict table's row for the facts."""
    verdict, reasons = judge(given)
    return Package(facts=given, verdict=verdict, why=reasons, findings=findings, step=step)


def report(*packages: Package, platforms: tuple[str, ...] = ("linux-x86_64",)) -> Report:
    """Return a report of the given rows."""
    return Report(
        target="3.14t", platforms=platforms, inputs=("requirements.txt",), packages=packages, coverage=COVERAGE
    )


UPGRADE = Upgrade(lead=GoodRelease(first=Version("2.0"), newest=Version("2.0")))

_guilty = module(
    "guilty._core",
    binary=GilDeclaration.USED,
    framework="Cython",
    framework_version="3.1.4",
    runtime=imported(requires_gil=True, culprits=("guilty._core",), chain=("guilty._core",)),
)
_ran = RuntimeFacts(status=Status.DONE, modules=(_guilty,), toplevels=(("guilty", imported()),), network_cut=True)
_finding = Finding(
    rule="platforms-disagree",
    code="FT210",
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    message="the Windows wheel says otherwise",
)

BLOCKED = report(
    package(facts(name="fine")),
    package(
        facts(_guilty, name="guilty-pkg", pin={"required_by": (("web", "guilty-pkg"),)}, runtime=_ran),
        findings=(_finding,),
        step=UPGRADE,
    ),
    package(facts(name="old-pkg", kind=WheelKind.NONE, index={"sdist": SDIST})),
)
READY = report(
    package(facts(module(binary=GilDeclaration.NOT_USED), name="quick")),
    package(facts(name="snake", kind=WheelKind.PURE)),
    package(facts(name="slow", kind=WheelKind.PURE, index={"compiled": True})),
)
UNSURE = report(package(facts(name="dark", index={"status": Status.FAILED, "reason": gap("the index timed out")})))
EMPTY = report()
HOSTILE = report(
    package(facts(name="evil", pin={"problem": "\x1b[31m<script>alert(1)</script>\r\n[bold]no[/bold] \u202eabc"}))
)
