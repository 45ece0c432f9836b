"""FT106: the release has free-threaded wheels for another Python version, but not for the target's."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, PackageFacts, Severity
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import T_LINUX, package
from ftaudit_rules.package._tags import compiled_tags, is_free_threaded, suits, target_of


class FtWheelPythonGap(PackageRule):
    """The free-threaded ABI changes with every Python version. Free threading was experimental in 3.13, and projects
    are dropping 3.13t."""

    info = RuleInfo(
        code="FT106",
        name="ft-wheel-python-gap",
        summary="The release has free-threaded wheels for another Python version, but not for the target.",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Add the target's version to the free-threaded builds, or use the Python version that has wheels.",
        links=("https://py-free-threading.github.io/ci/",),
    )
    VALID = (
        PackageExample(
            title="the release has wheels for 3.13t and for the target",
            facts=package("cp313-cp313t-win_amd64", T_LINUX),
        ),
        PackageExample(
            title="the release has no free-threaded wheel (FT101 reports this)", facts=package("cp314-cp314-win_amd64")
        ),
        PackageExample(
            title="the target is 3.15t, which can use an abi3t wheel",
            facts=package("cp314-cp314t-win_amd64", "cp315-abi3t-win_amd64", target="3.15t"),
        ),
    )
    INVALID = (
        PackageExample(
            title="the only free-threaded wheel is for 3.13t", facts=package("cp313-cp313t-win_amd64"), findings=1
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield one finding that names the versions that have wheels."""
        target, tags = target_of(facts), compiled_tags(facts)
        others = sorted({tag.abi for tag in tags if is_free_threaded(tag.abi)} - {target.abi})
        if others and not any(suits(tag, target) for tag in tags):
            yield self.finding(
                f"{facts.pin.name} {facts.pin.version} has wheels tagged "
                f"{', '.join(f'`{other}`' for other in others)}, but none tagged `{target.abi}`"
            )
