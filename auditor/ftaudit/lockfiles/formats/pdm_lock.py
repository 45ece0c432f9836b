"""Reads PDM's `pdm.lock`, lock_version 4.x."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from ftaudit.errors import InputError
from ftaudit.lockfiles.dependencies.needs import parse_edge, sort_edges
from ftaudit.lockfiles.direct import local_path
from ftaudit.lockfiles.fields import (
    are_for_one_system,
    check_empty,
    check_known,
    left_out,
    listed_files,
    specifier_of,
    version_of,
)
from ftaudit.lockfiles.input_files import Table, header_lines, read_toml
from ftaudit.lockfiles.manifest import Manifest, read_manifest
from ftaudit.lockfiles.requirements import Edge, InputFormat, InputIndexes, LockData, LockedPackage, Requirements
from ftaudit.model import DistributionFile, Location
from ftaudit.urls import public

MAJOR: Final = "4."
"""The supported lock versions; PDM itself reads those of its own major version."""
DEFAULT: Final = "default"
"""PDM's name for the group of the main dependencies."""
_REPOSITORIES: Final = ("git", "hg", "svn", "bzr")


def read(
    path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = (), all_extras: bool = False
) -> Requirements:
    """Return the locked packages of the group `default` and of the chosen extras and groups.

    PDM keeps extras and dependency groups in one list; the `pyproject.toml` next to the lock file distinguishes them,
    and without it each option accepts both. A lock without the strategy `inherit_metadata` does not record the groups
    of a package: then they follow from the `pyproject.toml`. Raise `InputError` with the place of the error,
    `UsageError` for an unknown extra or group.
    """
    document, text = read_toml(path)
    top = Table(path, "", document)
    metadata = top.table("metadata")
    version = metadata.text("lock_version")
    if version is None:
        raise metadata.error("lock_version", "is missing: this is not a pdm.lock file")
    if not version.startswith(MAJOR):
        raise InputError(
            f"{path}: lock_version {version} of the lock file format; ftaudit knows {MAJOR}x",
            hint="run `pdm lock --refresh` with a current PDM, or update ftaudit",
        )
    tables = top.tables("package")
    if not tables:
        check_empty(top, ("package", "metadata"), path)
    manifest = read_manifest(path.parent)
    locked = [canonicalize_name(group) for group in metadata.texts("groups") if group not in (DEFAULT, "*")]
    offered = _offered(locked, manifest)
    wanted = list(offered[0]) if all_extras else [canonicalize_name(name) for name in extras]
    chosen = [canonicalize_name(name) for name in groups]
    check_known("extra", wanted, offered[0], path)
    check_known("group", chosen, offered[1], path)
    in_use = {DEFAULT, *wanted, *chosen}
    inherits = any("groups" in table for table in tables)
    lines = header_lines(text, "package", len(tables))
    packages: dict[tuple[NormalizedName, Version | None], LockedPackage] = {}
    for table, line in zip(tables, lines, strict=True):
        if inherits and not in_use & {canonicalize_name(group) for group in table.texts("groups")}:
            continue
        package = _package(table, Location(path=str(path), line=line))
        key = (package.name, package.version)
        packages[key] = _merged(packages[key], package) if key in packages else package
    direct = manifest.edges(wanted, chosen) if manifest is not None else ()
    reached = manifest is not None and not inherits
    named = (file.filename for package in packages.values() for file in package.files or ())
    targets = metadata.tables("targets")
    return Requirements(
        path=path,
        format=InputFormat.PDM_LOCK,
        index=manifest.index if manifest is not None else InputIndexes(),
        left_out=_left_out(offered, wanted, chosen, manifest),
        lock=LockData(
            packages=tuple(packages.values()),
            roots=tuple((edge, Location(path=str(path.parent / "pyproject.toml"))) for edge in direct)
            if reached
            else None,
            direct=direct,
            requires_python=_requires_python(targets),
            platforms=_platforms(targets),
            remedy="requires-python, or lock with `pdm lock --python` and `--platform`",
            extras=frozenset(wanted),
            # With an implementation, it is the GIL-enabled build of CPython, whose wheels are not those of the
            # target.
            single_environment=are_for_one_system(named)
            or any(target.text("platform") or target.text("implementation") for target in targets),
            notes=()
            if inherits or manifest is not None
            else (f"{path} does not list its groups and has no pyproject.toml next to it: every package is checked",),
        ),
    )


def _offered(locked: list[NormalizedName], manifest: Manifest | None) -> tuple[list[str], list[str]]:
    """Return the names of the locked extras and groups."""
    if manifest is None:
        return list(locked), list(locked)
    extras: list[str] = [name for name in locked if name in manifest.extras]
    return extras, [name for name in locked if name not in extras]


def _left_out(
    offered: tuple[list[str], list[str]], wanted: Sequence[str], chosen: Sequence[str], manifest: Manifest | None
) -> tuple[str, ...]:
    if manifest is not None:
        return left_out(*offered, taken=(wanted, chosen))
    return left_out((), offered[1], taken=((), (*wanted, *chosen)))


def _package(table: Table, place: Location) -> LockedPackage:
    name, folder = canonicalize_name(table.need("name")), Path(place.path).parent
    url, path = table.text("url"), table.text("path")
    repository = next((table.text(kind) for kind in _REPOSITORIES if kind in table), None)
    source_tree = problem = direct = None
    if repository is not None:
        problem = f"it comes from a repository ({public(repository)}), which ftaudit does not build"
    elif url is not None:
        direct = url.partition("#")[0]
    elif path is not None:
        local = local_path(path, folder)
        if local.suffix in (".whl", ".gz", ".zip"):
            direct = local.as_uri()
        else:
            source_tree = str(local)
    needs = sort_edges(_edges(table, name))
    extras = [canonicalize_name(extra) for extra in table.texts("extras")]
    requires = table.text("requires_python")
    return LockedPackage(
        name=name,
        version=version_of(table),
        location=place,
        marker=table.text("marker"),
        source=direct or source_tree or repository,
        files=None if problem or source_tree else _files(table, direct, None if requires == "" else requires),
        # The entry of `redis[hiredis]` lists the dependencies of the extra; the entry of redis itself is separate.
        edges=() if extras else needs.edges,
        extra_edges=dict.fromkeys(extras, needs.edges) if extras else needs.extra_edges,
        source_tree=source_tree,
        problem=problem,
        from_index=not (direct or source_tree or problem),
    )


def _files(table: Table, direct: str | None, requires: str | None) -> tuple[DistributionFile, ...] | None:
    if "files" in table:
        return listed_files(table, "files", direct=direct, requires_python=requires) or None
    return (DistributionFile(filename=direct.rpartition("/")[2], url=direct),) if direct else None


def _edges(table: Table, own: NormalizedName) -> list[Edge]:
    found = []
    for i, line in enumerate(table.texts("dependencies")):
        edge = parse_edge(line.removeprefix("-e ").strip())
        if edge is None:
            raise table.error(f"dependencies[{i}]", f"is not a requirement: {line[:120]!r}")
        if edge.name != own:
            found.append(edge)
    return found


def _merged(one: LockedPackage, other: LockedPackage) -> LockedPackage:
    """Merge the entries of a package for itself and for its extras; the first one has the place."""
    extra_edges: Mapping[str, tuple[Edge, ...]] = {**one.extra_edges, **other.extra_edges}
    alone = None in (one.marker, other.marker)
    return dataclasses.replace(
        one,
        edges=one.edges or other.edges,
        extra_edges=extra_edges,
        marker=None if alone else f"({one.marker}) or ({other.marker})",
    )


def _requires_python(targets: Sequence[Table]) -> tuple[SpecifierSet, ...]:
    """Return the Python versions that the file is locked for; empty if a target accepts every one."""
    ranges = [specifier_of(target, "requires_python") for target in targets]
    return tuple(filter(None, ranges)) if None not in ranges else ()


def _platforms(targets: Sequence[Table]) -> tuple[str, ...]:
    """Return the platforms that the file is locked for; empty if a target names no platform."""
    named = [target.text("platform") for target in targets]
    return tuple(dict.fromkeys(filter(None, named))) if None not in named else ()
