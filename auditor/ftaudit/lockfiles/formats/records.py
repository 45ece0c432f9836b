"""Reads JSON lists of installed packages: `pip list`, `pip inspect`, `pip install --report`, CycloneDX, and SPDX."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from packaging.utils import InvalidName, NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from ftaudit.errors import InputError
from ftaudit.lockfiles.dependencies.needs import parse_needs
from ftaudit.lockfiles.input_files import how_to_repair, read_text
from ftaudit.lockfiles.requirements import Edge, EdgeSource, InputFormat, LockData, LockedPackage, Requirements
from ftaudit.model import Location


def kind_of(document: object) -> InputFormat | None:
    """Return the format of a JSON document, or `None`."""
    match document:
        case [{"name": str(), "version": str()}, *_] | []:
            return InputFormat.PIP_LIST
        case {"installed": list(), "pip_version": _} | {"install": list(), "pip_version": _}:
            return InputFormat.PIP_INSPECT
        case {"bomFormat": "CycloneDX"}:
            return InputFormat.CYCLONEDX
        case {"spdxVersion": str()}:
            return InputFormat.SPDX
        case {"@graph": list(), "@context": _}:
            return InputFormat.SPDX
        case _:
            return None


def load(path: Path, text: str | None = None) -> Any:
    """Return the JSON document of a file; raise `InputError` with the line for a malformed one."""
    text = read_text(path) if text is None else text
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}:{error.lineno}: this is not valid JSON: {error.msg}", hint=how_to_repair(path, text)
        ) from error
    except (RecursionError, ValueError) as error:
        what = f"{path} is nested too deeply, or has a number with thousands of digits"
        raise InputError(what, hint=how_to_repair(path)) from error


def read(path: Path) -> Requirements:
    """Return the packages of the list as pins; packages that are not from PyPI are skipped, and counted in a note.

    Raise `InputError` for a document in another format, or a malformed one.
    """
    document = load(path)
    kind = kind_of(document)
    place = Location(path=str(path))
    notes: list[str] = []
    knows_edges = True
    try:
        match kind:
            case InputFormat.PIP_LIST:
                packages, knows_edges = [_listed(entry, place) for entry in document], False
            case InputFormat.PIP_INSPECT:
                entries = document.get("installed") or document.get("install") or []
                packages = [_inspected(entry, place) for entry in entries]
            case InputFormat.CYCLONEDX | InputFormat.SPDX:
                reader = _cyclonedx if kind is InputFormat.CYCLONEDX else _spdx
                packages, others, knows_edges = reader(document, place)
                if others:
                    notes.append(f"{path}: {others} components are not from PyPI and were skipped")
            case _:
                raise InputError(f"{path} is JSON, but not in a format that ftaudit supports")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path} is malformed for {kind}: {type(error).__name__}: {error}", hint=how_to_repair(path)
        ) from error
    knows_edges = knows_edges or len(packages) < 2
    return Requirements(
        path=path,
        format=kind or InputFormat.PIP_LIST,
        lock=LockData(
            packages=tuple(packages),
            tolerant=True,
            edges_from=EdgeSource.LOCK if knows_edges else EdgeSource.NOWHERE,
            notes=tuple(notes),
        ),
    )


def _package(
    name: object, version: object, place: Location, *, edges: tuple[Edge, ...] = (), tree: str | None = None
) -> LockedPackage:
    """Return one package; raise `ValueError` for an invalid name."""
    try:
        normal = canonicalize_name(str(name), validate=True)
    except InvalidName as error:
        raise ValueError(f"{str(name)[:80]!r} is not a package name") from error
    try:
        found, problem = Version(str(version)), None
    except (InvalidVersion, ValueError):
        found, problem = None, f"its version is not valid on an index: {str(version)[:80]!r}"
    return LockedPackage(name=normal, version=found, location=place, edges=edges, problem=problem, source_tree=tree)


def _listed(entry: Mapping[str, Any], place: Location) -> LockedPackage:
    return _package(entry["name"], entry["version"], place, tree=entry.get("editable_project_location"))


def _inspected(entry: Mapping[str, Any], place: Location) -> LockedPackage:
    metadata = entry["metadata"]
    needs = parse_needs(str(line) for line in metadata.get("requires_dist") or ())
    package = _package(metadata["name"], metadata["version"], place, edges=needs.edges)
    return LockedPackage(
        name=package.name,
        version=package.version,
        location=place,
        edges=needs.edges,
        extra_edges=needs.extra_edges,
        problem=package.problem,
    )


def _purl(text: object) -> tuple[str, str] | None:
    """Return name and version of a `pkg:pypi/…` URL, or `None` for any other URL (package-url specification)."""
    if not isinstance(text, str) or not text.lower().startswith("pkg:pypi/"):
        return None
    rest = text[len("pkg:pypi/") :].partition("?")[0].partition("#")[0]
    name, _, version = rest.partition("@")
    return unquote(name), unquote(version)


def _cyclonedx(document: Any, place: Location) -> tuple[list[LockedPackage], int, bool]:
    found: dict[str, tuple[str, str]] = {}
    others = 0
    for number, component in enumerate(_components(document.get("components") or ())):
        named = _purl(component.get("purl"))
        if named is None:
            others += 1
        else:
            found[str(component.get("bom-ref", f"#{number}"))] = named
    needs: dict[str, list[NormalizedName]] = {}
    for dependency in document.get("dependencies") or ():
        needed = [canonicalize_name(found[ref][0]) for ref in dependency.get("dependsOn") or () if ref in found]
        needs[str(dependency.get("ref"))] = needed
    packages = [
        _package(name, version, place, edges=tuple(Edge(name=each) for each in needs.get(ref, ())))
        for ref, (name, version) in found.items()
    ]
    return packages, others, any(needs.values())


def _components(entries: Any) -> Iterator[Mapping[str, Any]]:
    """Yield components and their nested components."""
    waiting = list(entries)
    while waiting:
        component = waiting.pop(0)
        yield component
        waiting.extend(component.get("components") or ())


def _spdx(document: Any, place: Location) -> tuple[list[LockedPackage], int, bool]:
    """Read SPDX 2 (`packages` with `externalRefs`) and SPDX 3 (`@graph` with `software_packageUrl`)."""
    found: dict[str, tuple[str, str]] = {}
    others = 0
    for number, package in enumerate(document.get("packages") or ()):
        references = [ref.get("referenceLocator") for ref in package.get("externalRefs") or ()]
        named = next(filter(None, map(_purl, references)), None)
        if named is None:
            others += 1
        else:
            name, version = named
            found[str(package.get("SPDXID", f"#{number}"))] = (name, version or str(package.get("versionInfo", "")))
    for number, element in enumerate(document.get("@graph") or ()):
        url = element.get("software_packageUrl") or element.get("packageUrl")
        if named := _purl(url):
            version = named[1] or str(element.get("software_packageVersion", ""))
            found[str(element.get("spdxId", f"@{number}"))] = (named[0], version)
        elif url:
            others += 1
    needs: dict[str, list[NormalizedName]] = {}
    for relation in document.get("relationships") or ():
        one, other = str(relation.get("spdxElementId")), str(relation.get("relatedSpdxElement"))
        if relation.get("relationshipType") == "DEPENDENCY_OF":
            one, other = other, one
        elif relation.get("relationshipType") != "DEPENDS_ON":
            continue
        if one in found and other in found:
            needs.setdefault(one, []).append(canonicalize_name(found[other][0]))
    packages = [
        _package(name, version, place, edges=tuple(Edge(name=each) for each in needs.get(ref, ())))
        for ref, (name, version) in found.items()
    ]
    return packages, others, bool(needs)
