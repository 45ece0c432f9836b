"""Compares what a build requires with the first version that knows free threading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ftaudit.source.build.facts import BuildContext, BuildFact, FactKind
from ftaudit.target import Target

_LATER: Final = 40
"""How many minor versions after the first good one are tried against an upper bound."""


def parse_requirement(text: str) -> Requirement | None:
    """Return the requirement, or `None` for text that is none (a path, a URL without a name, a variable)."""
    try:
        return Requirement(text.partition(" #")[0].strip())
    except InvalidRequirement:
        return None


def applies(requirement: Requirement, target: Target) -> bool:
    """Tell whether the requirement's marker holds for the target, on Linux as on any platform."""
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
    """Tell whether the specifier admits any version at or above the first good one."""
    start = Version(first)
    major, minor = start.major, start.minor
    tried = [first]
    tried += [f"{major}.{minor + step}.{patch}" for step in range(_LATER) for patch in (0, 1, 5, 99)]
    tried += [f"{major + step}.{minor_}.0" for step in range(1, 4) for minor_ in (0, 1, 5)]
    for each in specifier:
        # An exact or bounding version of the requirement itself is the likeliest to be admitted.
        try:
            named = Version(each.version.replace(".*", ".0"))
        except InvalidVersion:
            return True
        tried.append(str(named))
    return any(Version(each) >= start and specifier.contains(each, prereleases=True) for each in tried)


def floor(specifier: SpecifierSet) -> Version | None:
    """Return the highest lower bound that the specifier names, or `None`."""
    found: list[Version] = []
    for each in specifier:
        if each.operator in (">=", ">", "==", "~=", "==="):
            try:
                found.append(Version(each.version.replace(".*", "")))
            except InvalidVersion:
                continue
    return max(found, default=None)


def build_requirements(context: BuildContext, *names: str) -> Iterator[tuple[BuildFact, Requirement]]:
    """Yield the requirements on the named distributions that the tree's build files state."""
    wanted = {canonicalize_name(name) for name in names}
    for fact in context.of(FactKind.REQUIRES):
        requirement = parse_requirement(fact.value)
        if requirement is not None and canonicalize_name(requirement.name) in wanted:
            yield fact, requirement
