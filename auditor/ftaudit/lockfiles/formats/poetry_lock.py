"""Reads Poetry's `poetry.lock`: lock-version 1.0 and 1.1 (Poetry 1.0 to 1.2), 2.0 (1.3 to 1.8) and 2.1 (Poetry 2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from packaging.utils import NormalizedName, canonicalize_name

from ftaudit.errors import InputError
from ftaudit.lockfiles.dependencies.needs import sort_edges
from ftaudit.lockfiles.direct import local_path
from ftaudit.lockfiles.fields import check_empty, check_known, left_out, listed_files, version_of
from ftaudit.lockfiles.input_files import Table, header_lines, read_toml
from ftaudit.lockfiles.manifest import MAIN, poetry_edge, poetry_ranges, read_manifest
from ftaudit.lockfiles.requirements import Edge, InputFormat, LockData, LockedPackage, Requirements
from ftaudit.lockfiles.tool_settings import poetry_binaries
from ftaudit.model import DistributionFile, Location
from ftaudit.urls import public

VERSIONS: Final = ("1.0", "1.1", "2.0", "2.1")
"""The supported versions of the lock file format."""


def read(
    path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = (), all_extras: bool = False
) -> Requirements:
    """Return the locked packages of the group `main`, of the chosen groups and of the chosen extras.

    Since 2.1, the lock file itself records which packages those are. In older versions, they follow from the
    `pyproject.toml` next to it; without that, 1.x distinguishes `main` from `dev`, and 2.0 records no groups: every
    group is judged, with a note. Raise `InputError` with the place of the error, `UsageError` for an unknown extra or
    group.
    """
    return _PoetryReader(path).read(extras, groups, all_extras=all_extras)


class _PoetryReader:
    """One poetry.lock during the read."""

    def __init__(self, path: Path) -> None:
        document, self._text = read_toml(path)
        self._path, self._top = path, Table(path, "", document)
        self._metadata = self._top.table("metadata")
        self._version = _known_version(self._metadata, path)
        self._tables = self._top.tables("package")
        if not self._tables:
            check_empty(self._top, ("package", "extras", "metadata"), path)
        self._extras = {canonicalize_name(k): self._extra(k) for k in self._top.table("extras").keys()}  # noqa: SIM118
        # Before 2.0, the files of all packages were in a separate table.
        self._listed = {canonicalize_name(key): key for key in self._metadata.table("files").keys()}  # noqa: SIM118
        self._manifest = read_manifest(path.parent)

    def read(self, extras: Sequence[str], groups: Sequence[str], *, all_extras: bool) -> Requirements:
        lines = header_lines(self._text, "package", len(self._tables))
        read = [
            (table, self._package(table, Location(path=str(self._path), line=line)))
            for table, line in zip(self._tables, lines, strict=True)
        ]
        wanted = list(self._extras) if all_extras else [canonicalize_name(extra) for extra in extras]
        chosen = [canonicalize_name(group) for group in groups]
        known = self._groups(read)
        check_known("extra", wanted, self._extras, self._path)
        check_known("group", chosen, {*known, MAIN}, self._path)
        manifest, notes = self._manifest, []
        direct = manifest.edges(wanted, chosen) if manifest is not None else ()
        packages, roots = [package for _, package in read], None
        if self._version == "2.1":
            in_use = {MAIN, *chosen}
            packages = [_marked(t, p, in_use) for t, p in read if in_use & set(_groups_of(t))]
        elif manifest is not None:
            place = Location(path=str(manifest.path))
            roots = tuple((edge, place) for edge in direct)
        else:
            roots = self._guess_roots(read, wanted, chosen)
            unknown = "" if self._version.startswith("1.") else ": its groups are unknown, so all are checked"
            notes.append(f"{self._path} has no pyproject.toml next to it{unknown}")
        return Requirements(
            path=self._path,
            format=InputFormat.POETRY_LOCK,
            index=poetry_binaries(self._path.parent),
            left_out=left_out(self._extras, known, taken=(wanted, chosen)),
            lock=LockData(
                packages=tuple(packages),
                roots=roots,
                direct=direct,
                requires_python=poetry_ranges(self._metadata.text("python-versions") or "*"),
                remedy="the supported Python versions in pyproject.toml",
                extras=frozenset(wanted),
                notes=tuple(notes),
            ),
        )

    def _extra(self, key: str) -> list[NormalizedName]:
        """Return the packages of an extra, which old versions wrote with constraints (`redis (>=3)`)."""
        return [canonicalize_name(text.partition(" ")[0]) for text in self._top.table("extras").texts(key)]

    def _groups(self, read: list[tuple[Table, LockedPackage]]) -> set[str]:
        """Return the names of all groups except `main`, from every place that lists them."""
        found = {group for table, _ in read for group in _groups_of(table)}
        return (found | set(self._manifest.groups if self._manifest else ())) - {MAIN}

    def _guess_roots(
        self, read: list[tuple[Table, LockedPackage]], extras: list[NormalizedName], groups: list[NormalizedName]
    ) -> tuple[tuple[Edge, Location], ...]:
        """Add the non-optional packages of a chosen category, and those of the chosen extras, as requirements."""
        categories = {MAIN, *groups}
        named = {name for extra in extras for name in self._extras[extra]}
        return tuple(
            (Edge(name=package.name, version=str(package.version) if package.version else None), package.location)
            for table, package in read
            if (not table.raw("optional") and (table.text("category") or MAIN) in categories) or package.name in named
        )

    def _package(self, table: Table, place: Location) -> LockedPackage:
        name = canonicalize_name(table.need("name"))
        source = table.table("source")
        kind, where = source.text("type"), source.text("url") or ""
        index_url = source_tree = problem = direct = None
        match kind:
            case None | "pypi":
                pass
            case "legacy":
                index_url = source.need("url")
            case "url":
                direct = source.need("url")
            case "file":
                direct = local_path(source.need("url"), self._path.parent).as_uri()
            case "directory":
                source_tree = str(local_path(source.need("url"), self._path.parent))
            case "git" | "hg":
                problem = f"it comes from a repository ({public(where)}), which ftaudit does not build"
            case _:
                raise source.error("type", f"is an unknown kind of source: {kind!r}")
        needs = sort_edges(_edges(table.table("dependencies")))
        return LockedPackage(
            name=name,
            version=version_of(table),
            location=place,
            source=f"{kind} {where}" if kind not in (None, "pypi", "legacy") else None,
            files=None if source_tree or problem else self._files(table, name, direct),
            index_url=index_url,
            edges=needs.edges,
            extra_edges=needs.extra_edges,
            source_tree=source_tree,
            problem=problem,
            from_index=kind in (None, "pypi", "legacy"),
        )

    def _files(self, table: Table, name: NormalizedName, direct: str | None) -> tuple[DistributionFile, ...] | None:
        requires = table.text("python-versions")
        requires = None if requires in (None, "*") else requires
        if "files" in table:
            return listed_files(table, "files", direct=direct, requires_python=requires)
        if name in self._listed:
            return listed_files(
                self._metadata.table("files"), self._listed[name], direct=direct, requires_python=requires
            )
        if direct:
            return (DistributionFile(filename=direct.rpartition("/")[2], url=direct),)
        return None


def _known_version(metadata: Table, path: Path) -> str:
    version = metadata.text("lock-version")
    if version is None:
        raise metadata.error("lock-version", "is missing: this is not a poetry.lock file")
    if version not in VERSIONS:
        raise InputError(
            f"{path}: lock-version {version} is not supported; ftaudit supports {', '.join(VERSIONS)}",
            hint="upgrade ftaudit",
        )
    return version


def _groups_of(table: Table) -> list[str]:
    """Return the groups of a package: `groups` since 2.1, one `category` in 1.x, nothing in 2.0."""
    if "groups" in table:
        return [canonicalize_name(group) for group in table.texts("groups")]
    category = table.text("category")
    return [canonicalize_name(category)] if category else []


def _marked(table: Table, package: LockedPackage, groups: set[str]) -> LockedPackage:
    """Give a package the marker under which a group installs it: one for all groups, or one for each."""
    raw = table.raw("markers")
    if isinstance(raw, dict):
        markers = table.table("markers")
        own = [markers.text(key) for key in _groups_of(table) if key in groups]
        joined = None if None in own else " or ".join(f"({marker})" for marker in own)
        return dataclasses.replace(package, marker=joined)
    return dataclasses.replace(package, marker=table.text("markers"))


def _edges(table: Table) -> list[Edge]:
    """Return the dependencies of a package: `name = ">=1"`, a table with markers, or an array of such values."""
    found = []
    for key in table.keys():  # noqa: SIM118
        values: Any = table.raw(key)
        for i, value in enumerate(values if isinstance(values, list) else [values]):
            if not isinstance(value, str | dict):
                raise table.error(f"{key}[{i}]", "is neither a constraint nor a table")
            found.append(poetry_edge(key, value))
    return found
