"""Whether two requirements on the Python version are the same for uv: from the same first to the same last version.

uv ignores pre-release parts and what `!=` leaves out in between, as `uv lock --check` shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import Version


def are_same(asked: Iterable[str], locked: str) -> bool:
    """Return whether the members of a workspace together support the Python versions that a lock file is for.

    `asked` has the `requires-python` of each member. Raise `InvalidSpecifier` or `InvalidVersion` for a malformed one.
    """
    ours, theirs = [_releases(each) for each in asked], _releases(locked)
    points = _points([spec for each in (*ours, theirs) for spec in each])
    return _ends(ours, points) == _ends([theirs], points)


def _releases(text: str) -> SpecifierSet:
    """Return the range without pre-release and post-release parts: `>=3.12rc1` is `>=3.12`."""
    parts = []
    for spec in SpecifierSet(text):
        prefix = ".*" if spec.version.endswith(".*") else ""
        parts.append(f"{spec.operator}{Version(spec.version.removesuffix('.*')).base_version}{prefix}")
    return SpecifierSet(",".join(parts))


def _points(specs: Sequence[Specifier]) -> list[Version]:
    """Return, in order, each version at which a range can begin or end, and one right after each of them.

    Every range holds all versions between two points or none, so these decide which ranges are the same.
    """
    edges: set[tuple[int, ...]] = {(0,)}
    for spec in specs:
        release = Version(spec.version.removesuffix(".*")).release
        edges.add(release)
        if spec.operator == "~=":
            edges.add((*release[:-2], release[-2] + 1))
        elif spec.version.endswith(".*"):
            edges.add((*release[:-1], release[-1] + 1))
    longest = max(map(len, edges))
    padded = sorted({release + (0,) * (longest - len(release)) for release in edges})
    return [Version(".".join(map(str, (*release, after)))) for release in padded for after in (0, 1)]


def _ends(ranges: Sequence[SpecifierSet], points: Sequence[Version]) -> tuple[Version, Version] | None:
    """Return the first and the last point that all ranges hold; the last of all points stands for no upper end."""
    held = [point for point in points if all(each.contains(point) for each in ranges)]
    return (held[0], held[-1]) if held else None
