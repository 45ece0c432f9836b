"""Whether the manifest of a `pixi.lock` or a `conda-lock.yml` asks for more than the lock file holds.

pixi records nothing about its manifest. conda-lock records a hash of data that is not in the project (its list of
virtual packages), so the requirements themselves are compared for both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from ftaudit.lockfiles.direct import parse_file
from ftaudit.lockfiles.formats import conda
from ftaudit.lockfiles.input_files import file_name, read_text, read_toml

Versions = dict[str, set[str]]
"""The locked versions by normalized name."""
_PREFIX: Final = re.compile(r"=?\s*(\d[\d.]*)\.\*|=\s*(\d[\d.]*)")
"""conda's ranges `1.2.*` and `=1.2`, which mean the same."""
_SELECTED: Final = re.compile(r"^\s*-\s*[\"']?(?:[^\s:]+::)?([A-Za-z0-9_][\w.-]*).*#\s*\[", re.MULTILINE)
"""A line of an environment file that conda-lock reads for some platforms only (`# [win]`)."""
_FAMILIES: Final = {"unix": ("linux", "osx"), "linux": ("linux",), "osx": ("osx",), "win": ("win",)}


def of_pixi(path: Path, document: Mapping[str, Any]) -> str | None:
    """Return how the manifest next to a `pixi.lock` differs from it, or `None`.

    Raise `InputError`, `ValueError`, `TypeError`, `AttributeError` or `KeyError` for a malformed manifest.
    """
    is_own = path.with_name("pixi.toml").is_file()
    manifest = path.with_name("pixi.toml" if is_own else "pyproject.toml")
    whole = read_toml(manifest)[0]
    pixi = whole if is_own else whole.get("tool", {}).get("pixi")
    if pixi is None:
        return None
    environments = document["environments"]
    wanted = pixi.get("environments", {})
    for name in wanted:
        if name not in environments:
            return f"{manifest} has the environment {name}, which is not locked"
    subdirs = {subdir for each in environments.values() for subdir in each.get("packages", {})}
    workspace = pixi.get("workspace", pixi.get("project", {}))
    for platform in workspace.get("platforms", ()):
        if isinstance(platform, str) and platform not in subdirs and environments:
            return f"{manifest} also lists {platform}, which is not locked"
    by_conda, by_pip = _pixi_versions(document)
    pip_names = by_pip | by_conda
    for table in _tables(pixi, wanted.values(), subdirs):
        for name, value in table.get("dependencies", {}).items():
            if not isinstance(value, dict) or not {"path", "git", "url"} & value.keys():
                version = value.get("version", "*") if isinstance(value, dict) else value
                if difference := _unmet(name, str(version), by_conda):
                    return f"{manifest} asks for {difference}"
        for name, value in table.get("pypi-dependencies", {}).items():
            version = value.get("version", "*") if isinstance(value, dict) else value
            if difference := _unmet(name, str(version), pip_names):
                return f"{manifest} asks for {difference}"
    for line in () if is_own else whole.get("project", {}).get("dependencies", ()):
        asked = Requirement(line)
        if asked.marker is None and (difference := _unmet(asked.name, str(asked.specifier), pip_names)):
            return f"{manifest} asks for {difference}"
    return None


def _pixi_versions(document: Mapping[str, Any]) -> tuple[Versions, Versions]:
    """Return the locked versions of the conda packages, and of those that pip provides or that conda packages contain.

    A conda package names the packages of the index that it contains in `purls`, with an unlike name for some (pytorch).
    """
    by_conda: Versions = {}
    by_pip: Versions = {}
    for entry in document["packages"]:
        kind, url = next((str(key), str(value)) for key, value in entry.items())
        parts = file_name(url).rsplit("-", 2)
        if kind == "pypi":
            named = parse_file(url)
            name = entry.get("name") or (named[0] if named else None)
            version = entry.get("version") or (str(named[1]) if named else "")
            if name:
                by_pip.setdefault(canonicalize_name(str(name)), set()).add(str(version))
            continue
        name, version = entry.get("name") or parts[0], entry.get("version") or (parts[1] if len(parts) == 3 else "")
        name = re.sub(r"[\[@\s].*", "", str(name), flags=re.DOTALL)
        by_conda.setdefault(canonicalize_name(name), set()).add(str(version))
        for purl in entry.get("purls") or ():
            inner = str(purl).partition("?")[0].rpartition("/")[2].partition("@")[0]
            by_pip.setdefault(canonicalize_name(inner), set()).add(str(version))
    return by_conda, by_pip


def _tables(pixi: Mapping[str, Any], environments: Any, subdirs: set[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the tables whose dependencies pixi locks: those of features in use, for the platforms of the lock file."""
    features = {"default"}
    for environment in environments:
        named = environment if isinstance(environment, list) else environment.get("features", ())
        features.update(map(str, named))
    used = [pixi, *(each for name, each in pixi.get("feature", {}).items() if name in features)]
    for table in used:
        yield table
        for target, inner in table.get("target", {}).items():
            families = _FAMILIES.get(target, (target,))
            if any(subdir.startswith(families) for subdir in subdirs):
                yield inner


def of_conda_lock(path: Path, document: Mapping[str, Any]) -> str | None:
    """Return how the environment files of a `conda-lock.yml` differ from it, or `None`.

    Raise `InputError`, `ValueError`, `TypeError` or `AttributeError` for a malformed environment file.
    """
    locked: Versions = {}
    for entry in document["package"]:
        locked.setdefault(canonicalize_name(str(entry["name"])), set()).add(str(entry.get("version", "")))
    for source in environment_files(path, document):
        selected = {canonicalize_name(name) for name in _SELECTED.findall(read_text(source))}
        found = conda.read(source)
        for name, version in conda.list_packages(source):
            if canonicalize_name(name) not in selected and (difference := _unmet(name, version, locked)):
                return f"{source} asks for {difference}"
        for root in found.roots:
            if root.name is None or root.marker is not None or root.name in selected:
                continue
            if difference := _unmet(root.name, str(root.specifier), locked):
                return f"{source} asks for {difference}"
    return None


def environment_files(path: Path, document: Mapping[str, Any]) -> list[Path]:
    """Return the environment files that a `conda-lock.yml` names as its sources and that exist."""
    return [file for file in _sources(path, document) if file.suffix in (".yml", ".yaml") and file.name != "meta.yaml"]


def other_sources(path: Path, document: Mapping[str, Any]) -> Sequence[Path]:
    """Return the sources in other formats: their names in conda's channels are not known here."""
    read = environment_files(path, document)
    return [file for file in _sources(path, document) if file not in read]


def _sources(path: Path, document: Mapping[str, Any]) -> list[Path]:
    named = document.get("metadata", {}).get("sources", ())
    files = [path.parent / name for name in named if isinstance(name, str)]
    return [file for file in files if file.is_file()]


def _unmet(name: str, wanted: str, locked: Versions) -> str | None:
    """Return the requirement if no locked version meets it; conda's own ways to write a range are not compared."""
    versions = locked.get(canonicalize_name(name))
    if versions is None:
        return f"{name}, which is not locked"
    prefix = _PREFIX.fullmatch(wanted)
    try:
        specifier = SpecifierSet(f"=={prefix[1] or prefix[2]}.*" if prefix else wanted.strip("* "))
        parsed = [Version(each) for each in versions]
        is_met = not specifier or any(each.is_prerelease or specifier.contains(each) for each in parsed)
    except ValueError:
        return None
    return None if is_met else f"{name}{'' if wanted[0] in '<>=!~' else ' '}{wanted}, but {min(versions)} is locked"
