"""Reads uv's `uv.lock`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.utils import NormalizedName, canonicalize_name

from ftaudit.errors import InputError
from ftaudit.lockfiles.direct import local_path
from ftaudit.lockfiles.fields import check_empty, check_known, hash_of, specifier_of, version_of
from ftaudit.lockfiles.input_files import Table, file_name, header_lines, read_toml
from ftaudit.lockfiles.requirements import Edge, InputFormat, LockData, LockedPackage, Requirements
from ftaudit.lockfiles.tool_settings import uv_binaries, uv_settings
from ftaudit.model import DistributionFile, Location
from ftaudit.urls import public

_KEYS: Final = (
    *("version", "revision", "requires-python", "resolution-markers", "supported-markers", "required-markers"),
    *("conflicts", "options", "manifest", "package"),
)
"""The top-level keys of a lock file."""
_FOLDERS: Final = frozenset({"virtual", "editable", "directory"})
VERSION: Final = 1
"""The supported schema version. Its revisions are compatible according to uv's documentation."""


def read(
    path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = (), all_extras: bool = False
) -> Requirements:
    """Return the locked packages, with the dependencies of every workspace member as roots.

    This matches a production install: dependency groups, including `dev`, count only if they are named. Raise
    `InputError` with the place of the error, `UsageError` for an extra or group that no member has.
    """
    document, text = read_toml(path)
    top = Table(path, "", document)
    version = top.raw("version")
    if not isinstance(version, int):
        raise top.error("version", "is missing: this is not a uv.lock file" if version is None else "is not a number")
    if version != VERSION:
        raise InputError(
            f"{path}: version {version} of the lock file format is not supported; ftaudit supports version {VERSION}",
            hint="upgrade ftaudit",
        )
    tables = top.tables("package")
    if not tables:
        check_empty(top, _KEYS, path)
    lines = header_lines(text, "package", len(tables))
    members = frozenset(canonicalize_name(name) for name in top.table("manifest").texts("members"))
    places = [Location(path=str(path), line=line) for line in lines]
    read = [(table, _package(table, place, path.parent, members)) for table, place in zip(tables, places, strict=True)]
    wanted_extras = frozenset(map(canonicalize_name, extras))
    wanted_groups = frozenset(map(canonicalize_name, groups))
    offers = [_offer(table, package) for table, package in read if package.own]
    found_extras = {each.name for offer in offers for each in offer if each.kind == "extra"}
    manifest = top.table("manifest")
    root_groups = manifest.table("dependency-groups")
    found_groups = {each.name for offer in offers for each in offer if each.kind == "group"}
    found_groups |= {canonicalize_name(key) for key in root_groups.keys()}  # noqa: SIM118
    check_known("extra", wanted_extras, found_extras, path)
    check_known("group", wanted_groups, found_groups, path)
    chosen = [
        each
        for offer in offers
        for each in offer
        if each.kind == "project"
        or (each.kind == "extra" and (all_extras or each.name in wanted_extras))
        or (each.kind == "group" and each.name in wanted_groups)
    ]
    always = [(_edge(table), Location(path=str(path))) for table in manifest.tables("requirements")]
    for key in root_groups.keys():  # noqa: SIM118
        if canonicalize_name(key) in wanted_groups:
            always += [(edge, Location(path=str(path))) for edge in _edges(root_groups, key)]
    conflicts = _conflicts(top)
    choices = _apart(chosen, conflicts)
    notes: tuple[str, ...] = ()
    if len(choices) > 1:
        phrase = ", ".join(str(each) for each in chosen if any(each.marker in some for some in conflicts))
        notes = (f"{path} declares that some of these exclude each other, so each is checked separately: {phrase}",)
    locks = [
        LockData(
            packages=tuple(package for _, package in read),
            roots=(*((edge, each.place) for each in choice for edge in each.edges), *always),
            notes=notes,
            requires_python=tuple(filter(None, (specifier_of(top, "requires-python"),))),
            environments=tuple(top.texts("supported-markers")),
            remedy="requires-python or [tool.uv] environments in pyproject.toml",
            extras=frozenset(each.marker for each in choice),
            conflicting=frozenset().union(*conflicts),
            closed=True,
        )
        for choice in choices
    ]
    return Requirements(
        path=path,
        format=InputFormat.UV_LOCK,
        index=uv_binaries(uv_settings(path.parent)),
        left_out=(
            *(f"extra {name}" for name in sorted(found_extras - wanted_extras) if not all_extras),
            *(f"group {name}" for name in sorted(found_groups - wanted_groups)),
        ),
        lock=locks[0] if len(locks) == 1 else dataclasses.replace(locks[0], apart=tuple(locks)),
        record={**document, "package": [entry for entry in document.get("package", ()) if _is_local(entry)]},
    )


def _is_local(entry: Mapping[str, Any]) -> bool:
    """Return whether a package is a folder: only the requirements of these can have changed."""
    return not _FOLDERS.isdisjoint(entry.get("source", ()))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Choice:
    """A selectable part of the project: a member's main dependencies, an extra, or a group."""

    kind: str
    """`project`, `extra` or `group`, as uv's markers spell it."""
    project: NormalizedName
    name: NormalizedName
    edges: tuple[Edge, ...]
    place: Location

    @property
    def marker(self) -> str:
        return _marker(self.kind, self.project, self.name)

    def __str__(self) -> str:
        return str(self.project) if self.kind == "project" else f"{self.kind} {self.name} of {self.project}"


def _marker(kind: str, project: str, name: str) -> str:
    """Return the extra name that represents a choice in the markers of a lock file with conflicts."""
    return f"{kind}-{len(project)}-{project}" + ("" if kind == "project" else f"-{name}")


def _offer(table: Table, package: LockedPackage) -> list[_Choice]:
    """Return the choices of a workspace member."""
    groups = table.table("dev-dependencies")
    named: list[tuple[str, NormalizedName, tuple[Edge, ...]]] = [("project", package.name, package.edges)]
    named += [("extra", canonicalize_name(name), edges) for name, edges in package.extra_edges.items()]
    named += [("group", canonicalize_name(key), tuple(_edges(groups, key))) for key in groups.keys()]  # noqa: SIM118
    return [
        _Choice(kind=kind, project=package.name, name=name, edges=edges, place=package.location)
        for kind, name, edges in named
    ]


def _conflicts(top: Table) -> list[frozenset[str]]:
    """Return the sets of mutually exclusive choices."""
    raw = top.raw("conflicts")
    if not isinstance(raw, list | None):
        raise top.error("conflicts", "is not an array")
    found = []
    for i, entries in enumerate(raw or ()):
        items = Table.of(top, f"conflicts[{i}]", {"items": entries}).tables("items")
        found.append(frozenset(map(_conflict, items)))
    return found


def _conflict(item: Table) -> str:
    project = canonicalize_name(item.need("package"))
    kind = next((kind for kind in ("extra", "group") if kind in item), "project")
    return _marker(kind, project, project if kind == "project" else canonicalize_name(item.need(kind)))


def _apart(chosen: Sequence[_Choice], conflicts: Sequence[frozenset[str]]) -> list[list[_Choice]]:
    """Return lists of compatible choices that together include every choice: usually a single list of all."""
    disputed = [each for each in chosen if any(each.marker in some for some in conflicts)]
    found: dict[frozenset[str], list[_Choice]] = {}
    for first in (*disputed,) if disputed else (None,):
        taken: list[_Choice] = [] if first is None else [each for each in chosen if _goes_with(each, first)]
        for each in chosen:
            has_project = each.kind == "project" or any(_goes_with(other, each) for other in taken)
            if has_project and each not in taken and not any(_exclude(each, other, conflicts) for other in taken):
                taken.append(each)
        found.setdefault(frozenset(each.marker for each in taken), taken)
    return list(found.values())


def _goes_with(one: _Choice, other: _Choice) -> bool:
    """Return whether one is the other, or the project that has the other as an extra or a group."""
    return one == other or (one.kind == "project" and one.project == other.project)


def _exclude(one: _Choice, other: _Choice, conflicts: Sequence[frozenset[str]]) -> bool:
    return any({one.marker, other.marker} <= some for some in conflicts) and one.marker != other.marker


def _package(table: Table, place: Location, folder: Path, members: frozenset[NormalizedName]) -> LockedPackage:
    name = canonicalize_name(table.need("name"))
    source = table.table("source")
    kinds = source.keys()
    kind = kinds[0] if kinds else "registry"
    where = source.text(kind) or ""
    files: tuple[DistributionFile, ...] | None = None
    index_url = source_tree = problem = None
    own = name in members or (kind in ("directory", "virtual", "editable") and where in (".", ""))
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
            problem = f"it comes from a repository ({public(where)}), which ftaudit does not build"
        case _:
            raise source.error(kind, "is an unknown kind of source")
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
        is_member=own and kind in ("directory", "editable") and where not in (".", ""),
        from_index=index_url is not None,
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
    """Return one file of a package. Two thousand of them are common, so no `Table` is made for each."""
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
        raise table.error(f"{key}.url", "does not name a file")
    return DistributionFile(filename=filename, url=url, hashes=hashes, size=size)
