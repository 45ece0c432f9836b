"""FT105: some platforms have a wheel for the GIL-enabled build but not for the free-threaded build."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, PackageFacts, Severity
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import GIL_LINUX, T_LINUX, package
from ftaudit_rules.package._tags import compiled_tags, suits, systems, target_of


class FtWheelCoverageGap(PackageRule):
    """On a platform without the wheel, installers build the package from source, or install a slower pure-Python
    wheel."""

    info = RuleInfo(
        code="FT105",
        name="ft-wheel-coverage-gap",
        summary="Some platforms have a wheel for the GIL-enabled build but not for the free-threaded build.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Build free-threaded wheels for the same platforms.",
        links=("https://py-free-threading.github.io/ci/",),
        for_authors=Severity.WARNING,
    )
    VALID = (
        PackageExample(
            title="the free-threaded wheels are for the same platforms",
            facts=package(GIL_LINUX, T_LINUX, chosen="cp314t"),
        ),
        PackageExample(
            title="the wheels are for different libc versions of the same platform",
            facts=package("cp314-cp314-manylinux_2_17_x86_64", T_LINUX, chosen="cp314t"),
        ),
        PackageExample(title="the release has no free-threaded wheel (FT101 reports this)", facts=package(GIL_LINUX)),
        PackageExample(
            title="a universal2 wheel covers both architectures",
            facts=package("cp314-cp314-macosx_11_0_arm64", "cp314-cp314t-macosx_11_0_universal2"),
        ),
        PackageExample(
            title="other platforms have wheels only for older versions of Python",
            facts=package("cp39-cp39-win32", GIL_LINUX, T_LINUX, chosen="cp314t"),
        ),
    )
    INVALID = (
        PackageExample(
            title="the release has no free-threaded wheel for musllinux",
            facts=package(GIL_LINUX, "cp314-cp314-musllinux_1_2_x86_64", T_LINUX),
            findings=1,
        ),
        PackageExample(
            title="the release has no free-threaded wheel for Windows",
            facts=package("cp39-abi3-win_amd64", T_LINUX),
            findings=1,
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield one finding that names the platforms without a free-threaded wheel."""
        target, tags = target_of(facts), compiled_tags(facts)
        ours = {system for tag in tags if suits(tag, target) for system in systems(tag.platform)}
        ordinary = (target.abi.rstrip("t"), "abi3")
        theirs = {system for tag in tags if tag.abi in ordinary for system in systems(tag.platform)}
        missing = sorted(theirs - ours)
        if ours and missing:
            yield self.finding(
                f"{facts.pin.name} {facts.pin.version} has no `{target.abi}` wheel for {', '.join(missing)}, but has "
                "one for the GIL-enabled build"
            )
