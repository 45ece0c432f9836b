"""The versions that uv passed over: uv, which must not build, silently skips a version without a wheel.

The newest versions are requested to learn why uv did not choose them. A missing wheel is provided, because an installer
would build it; for any other reason the request gives way. The last call to uv requests nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.lockfiles.dependencies.graph import find_chains
from ftaudit.lockfiles.listed import ListedRequirements
from ftaudit.lockfiles.requirements import InputIndexes
from ftaudit.lockfiles.resolve import uv
from ftaudit.lockfiles.resolve.uv_failures import Failure, FailureKind
from ftaudit.lockfiles.selection import VersionFinder
from ftaudit.target import Platform

_REASONS = (FailureKind.CONFLICT, FailureKind.NO_WHEEL, FailureKind.MISSING, FailureKind.PYTHON)
"""Failures that a requested version may have caused."""


class PassedOver:
    """The newest versions that are requested at the moment."""

    def __init__(
        self, listed: ListedRequirements, index: InputIndexes, platform: Platform, find: VersionFinder | None
    ) -> None:
        self._listed, self._index, self._platform, self._find = listed, index, platform, find
        self._answer: tuple[uv.Resolved, ...] = ()
        self._wanted: dict[NormalizedName, Version] = {}
        self._held: dict[NormalizedName, Version] = {}
        """The versions that uv chose for the others, as minimums: otherwise uv chooses older ones and does not fail."""
        self._tried: set[tuple[NormalizedName, Version]] = set()

    def __bool__(self) -> bool:
        """Return whether something is requested."""
        return bool(self._wanted)

    def request(self, answer: tuple[uv.Resolved, ...]) -> bool:
        """Request the newest version of each package that uv chose an older one of; return whether there is any."""
        for package in answer:
            name, version = package.name, package.version
            if version is None or (name, version) in self._tried:
                continue
            self._tried.add((name, version))
            root = self._listed.named.get(name)
            # If the input asks for wheels alone, uv's choice is what an installer takes.
            if (root is None or root.exact is None) and self._index.allows_builds(name):
                newest = self.newest(name, version)
                if newest is not None:
                    self._wanted[name] = newest
        self._answer = answer
        self._held = {each.name: each.version for each in answer if each.version is not None}
        return bool(self._wanted)

    def end(self) -> None:
        """Request nothing any more."""
        self._wanted = {}

    def is_requested(self, name: NormalizedName, version: Version) -> bool:
        """Return whether this version is requested."""
        return self._wanted.get(name) == version

    def is_unusable(self, name: NormalizedName, version: Version | None) -> bool:
        """Return whether no installer takes this version, or any later one, instead of uv's choice."""
        held = self._held.get(name) if self._wanted else None
        if held is None:
            return False
        later = self._later(name, held)
        return not later if version is None else version > held and version not in later

    def newest(self, name: NormalizedName, after: Version) -> Version | None:
        """Return the newest version after the given one that an installer may take, as the input's ranges admit."""
        root = self._listed.named.get(name)
        others = (*self._listed.constraints, *self._listed.overrides)
        asked = [*([root] if root is not None else []), *(each for each in others if each.name == name)]
        ranges = [each.specifier for each in asked]
        pre = self._index.pre or any(each.prereleases for each in ranges)
        return next(
            (
                version
                for version in self._later(name, after)
                if (pre or not version.is_prerelease)
                and all(each.contains(version, prereleases=True) for each in ranges)
            ),
            None,
        )

    def _later(self, name: NormalizedName, after: Version) -> Sequence[Version]:
        return () if self._find is None else self._find(name, after, self._platform)

    def give_way(self, failure: Failure) -> bool:
        """Drop what is furthest from the input of all that uv's proof names; return whether a request remains.

        The newest version of a dependency may not be needed, and the minimum of one may exclude what is requested.
        """
        among = [name for name in {**self._held, **self._wanted} if name in failure.mentioned]
        if failure.kind not in _REASONS or not among:
            return False
        depths = self._depths()
        deepest = max(depths.get(name, 0) for name in among)
        furthest = [name for name in among if depths.get(name, 0) == deepest]
        requested = [name for name in furthest if name in self._wanted]
        for name in requested or furthest:
            (self._wanted if requested else self._held).pop(name)
        return bool(self._wanted)

    def constraints(self) -> Iterator[str]:
        """Yield the requests for uv."""
        if self._wanted:
            yield from (f"{name}=={version}" for name, version in self._wanted.items())
            yield from (f"{name}>={version}" for name, version in self._held.items() if name not in self._wanted)

    def _depths(self) -> dict[NormalizedName, int]:
        """Return the distance of each package in uv's last answer from the listed requirements."""
        children = children_of(self._answer)
        roots = [package.name for package in self._answer if package.is_root]
        names = {package.name: package.name for package in self._answer}
        chains = find_chains(roots, children, names | {child: child for found in children.values() for child in found})
        return {name: len(found[0]) for name, found in chains.items()}


def children_of(answer: Iterable[uv.Resolved]) -> dict[NormalizedName, set[NormalizedName]]:
    """Return which packages each package of uv's answer requires."""
    children: dict[NormalizedName, set[NormalizedName]] = {}
    for package in answer:
        for parent in package.wanted_by:
            children.setdefault(parent, set()).add(package.name)
    return children
