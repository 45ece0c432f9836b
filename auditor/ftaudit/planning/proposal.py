"""An input with other versions: the question to uv that proves a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from ftaudit.lockfiles.asked import Asked
from ftaudit.lockfiles.dependencies.markers import Markers
from ftaudit.lockfiles.requirements import InputFormat, InputIndexes, InputRequirement, Requirements
from ftaudit.lockfiles.resolve.edges import exact
from ftaudit.model import Location, Pin
from ftaudit.target import Platform, Target, marker_environment

_EDITABLE: Final = frozenset({InputFormat.REQUIREMENTS_TXT, InputFormat.PYPROJECT})


@dataclass(frozen=True, kw_only=True, slots=True)
class ProposalCase:
    """One input on one platform, with its packages of today."""

    requirements: Requirements
    target: Target
    platform: Platform
    pins: tuple[Pin, ...]
    asked: tuple[Asked, ...] = ()
    """The requirements of the project next to a lock file."""

    @property
    def editable(self) -> bool:
        """Whether its lines belong to the user, and not to a locking tool."""
        return self.requirements.lock is None and self.requirements.format in _EDITABLE

    @property
    def versions(self) -> dict[NormalizedName, Version]:
        """Today's versions."""
        return {pin.name: pin.version for pin in self.pins if pin.version is not None}

    @property
    def left_out(self) -> frozenset[NormalizedName]:
        """The packages that cannot be looked up, so that uv cannot resolve them."""
        return frozenset(pin.name for pin in self.pins if pin.problem is not None)

    @property
    def by_reference(self) -> frozenset[NormalizedName]:
        """The packages from a file, a folder, or a repository: no version can replace them."""
        direct = {line.name for line in self.requirements.roots if line.reference is not None and line.name is not None}
        return frozenset(direct) if self.editable else frozenset()

    def line(self, name: NormalizedName) -> InputRequirement | None:
        """Return a package's first line, a requirement or a constraint, that applies to the platform."""
        markers = Markers(marker_environment(self.target, self.platform))
        lines = (*self.requirements.roots, *self.requirements.constraints)
        found = (line for line in lines if line.name == name and line.reference is None)
        return next((line for line in found if markers.hold(line.marker, line.location)), None)

    @property
    def pinned(self) -> frozenset[NormalizedName]:
        """The packages that a line or the lock file pins to one version."""
        if not self.editable:
            return frozenset(self.versions)
        lines = (*self.requirements.roots, *self.requirements.constraints, *self.requirements.overrides)
        return frozenset(line.name for line in lines if line.name is not None and line.exact is not None)


Specify: TypeAlias = "Callable[[SpecifierSet | None], SpecifierSet]"
"""Returns the new specifier of a package; `None` means a new line."""


def propose(case: ProposalCase, specify: Mapping[NormalizedName, Specify], *, as_roots: bool = False) -> Requirements:
    """Return the case's requirements with other specifiers.

    A package without its own line gets a constraint; with `as_roots` it becomes a requirement, if the case has the
    package, so that uv also searches for its lowest version.
    """
    found = case.requirements
    base = found if case.editable else _of_lock(case)

    def lines(given: Iterable[InputRequirement]) -> tuple[InputRequirement, ...]:
        return tuple(
            replace(line, specifier=specify[line.name](line.specifier), hashes=frozenset())
            if line.name is not None and line.name in specify and line.reference is None
            else line
            for line in given
            if line.name not in case.left_out
        )

    known = {line.name for line in (*base.roots, *base.constraints)}
    place = Location(path=str(found.path))
    new = tuple(
        InputRequirement(name=name, specifier=specify[name](None), location=place)
        for name in specify
        if name not in known and name in case.versions
    )
    return replace(
        base,
        roots=(*lines(base.roots), *(new if as_roots else ())),
        constraints=(*lines(base.constraints), *(() if as_roots else new)),
        overrides=lines(base.overrides),
    )


def _of_lock(case: ProposalCase) -> Requirements:
    """Return the packages of a lock file or an environment as exact requirements."""
    found = case.requirements
    place = Location(path=str(found.path))
    roots = exact(case.pins, place)
    indexes = {pin.name: pin.index_url for pin in case.pins if pin.index_url is not None}
    return Requirements(
        path=found.path,
        format=InputFormat.REQUIREMENTS_TXT,
        roots=roots,
        index=InputIndexes(),
        package_indexes=indexes,
    )
