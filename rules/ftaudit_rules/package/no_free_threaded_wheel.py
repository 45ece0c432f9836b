"""FT101: the release has compiled wheels, but none for free-threaded CPython."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, PackageFacts, Severity
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import GIL_LINUX, T_LINUX, package
from ftaudit_rules.package._tags import compiled_tags, is_free_threaded, suits, target_of


class NoFreeThreadedWheel(PackageRule):
    """The free-threaded build has its own ABI, so it cannot use wheels for the GIL-enabled build. Without a
    free-threaded wheel, users have to build the package from source, if that is possible.
    """

    info = RuleInfo(
        code="FT101",
        name="no-free-threaded-wheel",
        summary="The release has compiled wheels, but none for free-threaded CPython.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Build free-threaded wheels too: cibuildwheel 3.1 and later builds them by default for 3.14t.",
        links=(
            "https://docs.python.org/3/howto/free-threading-extensions.html",
            "https://py-free-threading.github.io/ci/",
        ),
        restates_verdict=True,
    )
    VALID = (
        PackageExample(
            title="the release has a free-threaded wheel", facts=package(GIL_LINUX, T_LINUX, chosen="cp314t")
        ),
        PackageExample(title="the release is pure Python", facts=package("py3-none-any", chosen="py3-none-any")),
        PackageExample(title="the release has no wheel", facts=package()),
        PackageExample(
            title="the wheel has compiled code that uses no Python ABI", facts=package("py3-none-win_amd64")
        ),
        PackageExample(
            title="the release has only stable-ABI wheels (FT102 reports this)", facts=package("cp39-abi3-win_amd64")
        ),
        PackageExample(
            title="the release has a wheel for an older free-threaded Python (FT106 reports this)",
            facts=package("cp313-cp313t-win_amd64"),
        ),
    )
    INVALID = (
        PackageExample(
            title="the release has only wheels for the GIL-enabled build", facts=package(GIL_LINUX), findings=1
        ),
        PackageExample(
            title="the release also has a pure-Python wheel, which is slower",
            facts=package(GIL_LINUX, "py3-none-any", chosen="py3-none-any"),
            findings=1,
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield one finding for a release whose compiled wheels are all for the GIL-enabled build."""
        tags, target = compiled_tags(facts), target_of(facts)
        if any(suits(tag, target) or is_free_threaded(tag.abi) or tag.abi.startswith("abi3") for tag in tags):
            return
        if tags:
            yield self.finding(
                f"{facts.pin.name} {facts.pin.version} has compiled wheels, but none tagged `{target.abi}`"
            )
