"""FT102: the release has stable-ABI wheels that no free-threaded build of the target's version can use."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.cpython.versions import ABI3T_SINCE
from ftaudit.model import Confidence, Finding, PackageFacts, Severity
from ftaudit.rule import PackageExample, PackageRule, RuleInfo
from ftaudit_rules.package._examples import T_LINUX, package
from ftaudit_rules.package._tags import compiled_tags, is_free_threaded, suits, target_of


class Abi3OnlyWheel(PackageRule):
    """The stable ABI (abi3) includes the object layout of GIL-enabled builds, so no free-threaded build supports it.
    PEP 803 adds abi3t, a stable ABI for free-threaded builds. CPython 3.15 is the first version that supports it.
    """

    info = RuleInfo(
        code="FT102",
        name="abi3-only-wheel",
        summary="The release has stable-ABI wheels, which the target cannot use, and no wheel that it can use.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Add wheels for the target's ABI (`cp314t`), or compile for both stable ABIs (`abi3.abi3t`) on 3.15.",
        links=("https://peps.python.org/pep-0803/",),
        restates_verdict=True,
    )
    VALID = (
        PackageExample(
            title="the release also has a free-threaded wheel", facts=package("cp39-abi3-win_amd64", T_LINUX)
        ),
        PackageExample(
            title="the release has an abi3t wheel, and the target is 3.15t",
            facts=package("cp315-abi3.abi3t-win_amd64", target="3.15t"),
        ),
        PackageExample(title="the wheel does not use the stable ABI", facts=package("cp314-cp314-win_amd64")),
        PackageExample(title="the release is pure Python", facts=package("py3-none-any", chosen="py3-none-any")),
    )
    INVALID = (
        PackageExample(title="the release has only an abi3 wheel", facts=package("cp39-abi3-win_amd64"), findings=1),
        PackageExample(
            title="the release has an abi3t wheel, and the target is 3.14t",
            facts=package("cp315-abi3.abi3t-win_amd64"),
            findings=1,
        ),
        PackageExample(
            title="the release has an abi3 wheel, and the target is 3.15t",
            facts=package("cp39-abi3-win_amd64", target="3.15t"),
            findings=1,
        ),
    )

    def check(self, facts: PackageFacts) -> Iterator[Finding]:
        """Yield one finding for a release that has only stable-ABI wheels."""
        tags, target = compiled_tags(facts), target_of(facts)
        if any(suits(tag, target) or is_free_threaded(tag.abi) for tag in tags):
            return
        stable = sorted({tag.abi for tag in tags if tag.abi in ("abi3", "abi3t")})
        if stable:
            since = "" if target.version >= ABI3T_SINCE else "; abi3t wheels work from 3.15t"
            yield self.finding(
                f"the wheels of {facts.pin.name} {facts.pin.version} are tagged `{'` and `'.join(stable)}`, which "
                f"{target.executable} cannot use{since}"
            )
