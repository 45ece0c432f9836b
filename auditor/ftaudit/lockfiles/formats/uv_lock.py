"""Reads uv's `uv.lock`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from packaging.utils import NormalizedName, canonicalize_name

from ftaudit.errors import InputError
from ftaudit.lockfiles.direct import local_path
from ftaudit.lockfiles.fields import check_empty, check_known, hash_of, specifier_of, version_of
from ftaudit.lockfiles.files import Table, file_name, header_lines, read_toml
from ftaudit.lockfiles.requirements import Edge, InputFormat, Lock, LockedPackage, Requirements
from ftaudit.model import DistributionFile, Location
from ftaudit.urls import public

_KEYS: Final = (
    *("version", "revision", "requires-python", "resolution-markers", "supported-markers", "required-markers"),
    *("conflicts", "options", "manifest", "package"),
)
"""The keys that a lock file may have at its top."""
VERSION: Final = 1
"""The schema version that is known. Revisions within it are compatible, says uv's documentation."""


def read(
    path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = (), all_extras: bool = False
) -> Requirements:
    """Return the locked packages, with the dependencies of every workspace member as roots.

    That is what a production install has: dependency groups, `dev` among them, count when they are named.
    Raise `InputError` with the place of what is wrong, `UsageError` for an extra or group that no member has.
    """
    document, text = read_toml(path)
    top = Table(path, "", document)
    version = top.raw("version")
    if not isinstance(version, int):
        raise top.error("version", "is missing: this is no uv.lock" if version is None else "is not a number")
    if version != VERSION:
        raise InputError(
            f"{path}: version {version} of the lock file format; ftaudit knows version {VERSION}",
            hint="look for a newer ftaudit",
        )
    tables = top.tables("package")
    if not tables:
        check_empty(top, _KEYS, path)
    lines = header_lines(text, "package", len(tables))
    members = frozenset(canonicalize_name(name) for name in top.table("manifest").texts("members"))
    packages, roots = [], []
    wanted_extras = frozenset(map(canonicalize_name, extras))
    wanted_groups = frozenset(map(canonicalize_name, groups))
    found_extras: set[str] = set()
    found_groups: set[str] = set()
    chosen: set[str] = set()
    for table, line in zip(tables, lines, strict=True):
        place = Location(path=str(path), line=line)
        package = _package(table, place, path.parent, members)
        packages.append(package)
        if not package.own:
            continue
        groups_of = table.table("dev-dependencies")
        found_extras |= {canonicalize_name(key) for key in table.table("optional-dependencies").keys()}  # noqa: SIM118
        found_groups |= {canonicalize_name(key) for key in groups_of.keys()}  # noqa: SIM118
        own_extras = {name for name in package.extra_edges if all_extras or name in wanted_extras}
        edges = list(package.edges)
        edges += [edge for name in package.extra_edges if name in own_extras for edge in package.extra_edges[name]]
        for key in groups_of.keys():  # noqa: SIM118
            if canonicalize_name(key) in wanted_groups:
                edges += _edges(groups_of, key)
                chosen.add(f"group-{len(package.name)}-{package.name}-{canonicalize_name(key)}")
        chosen |= {f"extra-{len(package.name)}-{package.name}-{name}" for name in own_extras}
        roots += [(edge, place) for edge in edges]
    check_known("extra", wanted_extras, found_extras, path)
    check_known("group", wanted_groups, found_groups, path)
    manifest = [(_edge(table), Location(path=str(path))) for table in top.table("manifest").tables("requirements")]
    return Requirements(
        path=path,
        format=InputFormat.UV_LOCK,
        left_out=(
            *(f"extra {name}" for name in sorted(found_extras - wanted_extras) if not all_extras),
            *(f"group {name}" for name in sorted(found_groups - wanted_groups)),
        ),
        lock=Lock(
            packages=tuple(packages),
            roots=(*roots, *manifest),
            requires_python=tuple(filter(None, (specifier_of(top, "requires-python"),))),
            environments=tuple(top.texts("supported-markers")),
            extras=frozenset(chosen),
            closed=True,
        ),
    )


def _package(table: Table, place: Location, folder: Path, members: frozenset[NormalizedName]) -> LockedPackage:
    name = canonicalize_name(table.need("name"))
    source = table.table("source")
    kinds = source.keys()
    kind = kinds[0] if kinds else "registry"
    where = source.text(kind) or ""
    files: tuple[DistributionFile, ...] | None = None
    index_url = source_tree = problem = None
    own = name in members or (kind in ("virtual", "editable") and where in (".", ""))
    match kind:
        case "registry":
            remote = "://" in where
            index_url = where if remote else None
            files = _files(table, folder if remote or not where else local_path(where, folder))
        case "url":
            files = _files(table, folder, direct=where)
        case "path":
            files = _files(table, folder, direct=local_path(where, folder).as_uri())
        case "directory" | "editable" | "virtual":
            source_tree = str(local_path(where, folder))
        case "git":
            problem = f"it comes from a repository ({public(where)}), which is not built"
        case _:
            raise source.error(kind, "is a kind of source that ftaudit does not know")
    optional = table.table("optional-dependencies")
    return LockedPackage(
        name=name,
        version=version_of(table),
        location=place,
        resolution_markers=tuple(table.texts("resolution-markers")),
        source=f"{kind} {where}",
        files=files,
        index_url=index_url,
        edges=tuple(_edges(table, "dependencies")),
        extra_edges={canonicalize_name(key): tuple(_edges(optional, key)) for key in optional.keys()},  # noqa: SIM118
        source_tree=source_tree,
        problem=problem,
        own=own,
    )


def _edges(table: Table, key: str) -> list[Edge]:
    return [_edge(entry) for entry in table.tables(key)]


def _edge(table: Table) -> Edge:
    source = table.raw("source")
    kinds = list(source) if isinstance(source, dict) else []
    extras = (*table.texts("extra"), *table.texts("extras"))
    return Edge(
        name=canonicalize_name(table.need("name")),
        version=table.text("version"),
        source=f"{kinds[0]} {source[kinds[0]]}" if kinds else None,
        extras=tuple(canonicalize_name(extra) for extra in extras),
        marker=table.text("marker"),
    )


def _files(table: Table, folder: Path, direct: str | None = None) -> tuple[DistributionFile, ...]:
    entries = table.raw("wheels") or []
    if not isinstance(entries, list):
        raise table.error("wheels", "is not an array")
    files = [_file(entry, table, f"wheels[{i}]", folder, direct) for i, entry in enumerate(entries)]
    if "sdist" in table:
        files.append(_file(table.raw("sdist"), table, "sdist", folder, direct))
    return tuple(files)


def _file(entry: object, table: Table, key: str, folder: Path, direct: str | None) -> DistributionFile:
    """Return one file of a package. Two thousand of them are usual: no `Table` is made of each."""
    if not isinstance(entry, dict):
        raise table.error(key, "is not a table")
    url, name, digest, size = entry.get("url") or direct, entry.get("filename"), entry.get("hash"), entry.get("size")
    where = entry.get("path")
    if isinstance(where, str):
        url = Path(os.path.normpath(folder / where)).absolute().as_uri()
    if not isinstance(url, str) or not isinstance(digest, str | None) or not isinstance(size, int | None):
        raise table.error(key, "has no url, path or filename" if url is None and name is None else "is malformed")
    hashes = hash_of(table, f"{key}.hash", digest)
    filename = name if isinstance(name, str) else file_name(url)
    if not filename:
        raise table.error(f"{key}.url", "names no file")
    return DistributionFile(filename=filename, url=url, hashes=hashes, size=size)
