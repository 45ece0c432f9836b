"""Compares a build's requirements with the first version that supports free threading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from packaging.ranges import VersionRange
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ftaudit.source.build.build_facts import BuildContext, BuildFact, FactKind
from ftaudit.target import Target

_OLDEST: Final = SpecifierSet("<0.0.1").to_range()


def parse_requirement(text: str) -> Requirement | None:
    """Return the requirement, or `None` for other text (a path, a URL without a name, a variable)."""
    try:
        requirement = Requirement(text.partition(" #")[0].strip())
        requirement.specifier.to_range()  # Python limits how many digits a number may have, and this raises then.
    except ValueError:
        return None
    return requirement


def applies(requirement: Requirement, target: Target) -> bool:
    """Return whether the requirement's marker holds for the target, on Linux as on any platform."""
    if requirement.marker is None:
        return True
    python = f"{target.version[0]}.{target.version[1]}"
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "extra": "",
    }
    return requirement.marker.evaluate({**environment})


def admits_from(specifier: SpecifierSet, first: str) -> bool:
    """Return whether the specifier admits any version at or above `first`; pre-releases count."""
    return not specifier.to_range().is_disjoint(_from(first))


def requires_from(specifier: SpecifierSet, first: str) -> bool:
    """Return whether the specifier admits no version below `first`."""
    return specifier.to_range().is_subset(_from(first))


def is_bounded_below(specifier: SpecifierSet) -> bool:
    """Return whether the specifier excludes the oldest versions: it has a lower bound."""
    return specifier.to_range().is_disjoint(_OLDEST)


def _from(first: str) -> VersionRange:
    return SpecifierSet(f">={first}").to_range()


def build_requirements(context: BuildContext, *names: str) -> Iterator[tuple[BuildFact, Requirement]]:
    """Yield the requirements on the named distributions that the tree's build files state."""
    wanted = {canonicalize_name(name) for name in names}
    for fact in context.of(FactKind.REQUIRES):
        requirement = parse_requirement(fact.value)
        if requirement is not None and canonicalize_name(requirement.name) in wanted:
            yield fact, requirement


def admits_python_before(specifier: str, version: str) -> bool:
    """Return whether a `requires-python` admits a Python before a version; one that cannot be read does."""
    try:
        return not SpecifierSet(specifier).to_range().is_disjoint(SpecifierSet(f"<{version}").to_range())
    except ValueError:
        return True
