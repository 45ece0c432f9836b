"""Reads `pixi.lock` and `conda-lock.yml`: the packages from PyPI, and a row for each conda package."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ftaudit.errors import InputError
from ftaudit.lockfiles.dependencies.needs import Needs, parse_needs
from ftaudit.lockfiles.direct import parse_file
from ftaudit.lockfiles.fields import check_known, left_out
from ftaudit.lockfiles.formats.conda import NO_PACKAGES, not_yaml
from ftaudit.lockfiles.input_files import file_name, how_to_repair, read_text
from ftaudit.lockfiles.requirements import KNOWN_FORMATS, InputFormat, LockData, LockedPackage, Requirements
from ftaudit.model import DistributionFile, Location

CONDA: Final = "a conda package: judge it where it is installed, with --env"
_SYSTEMS: Final = {"linux": "linux", "osx": "darwin", "win": "win32"}
_MACHINES: Final = {
    ("linux", "64"): ("x86_64",),
    ("linux", "aarch64"): ("aarch64",),
    ("osx", "64"): ("x86_64",),
    ("osx", "arm64"): ("arm64",),
    ("win", "64"): ("AMD64",),
    ("win", "arm64"): ("ARM64",),
}
_SOURCE_NAME: Final = re.compile(r"[\[@\s].*", re.DOTALL)
_REFUSED: Final = re.compile(r"^\s*(?:- )?<<\s*:|!!python", re.MULTILINE)


def read(
    path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = (), all_extras: bool = False
) -> Requirements:
    """Return the packages of the default environment, or of the chosen ones (`--group NAME`).

    Raise `InputError` for a file in another format, `UsageError` for an unknown environment.
    """
    document = _load(path)
    check_known("extra", extras, (), path)
    match document:
        case {"environments": dict(environments), "packages": list(packages)}:
            return replace(_pixi(path, environments, packages, groups), record=document)
        case {"package": list(packages), "version": _}:
            return replace(_conda_lock(path, packages, groups), record=document)
        case _:
            raise InputError(
                f"{path} is neither a pixi.lock nor a conda-lock.yml",
                hint=f"specify the environment.yml; ftaudit reads {KNOWN_FORMATS}",
            )


def _load(path: Path) -> Any:
    text = read_text(path)
    if _REFUSED.search(text):
        raise InputError(f"{path}: merged keys and tags are not supported")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506 - both are safe loaders
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise not_yaml(path, error, text) from error


def _marker(subdir: str) -> str:
    """Return the marker environments of a conda platform (`linux-64`, `osx-arm64`)."""
    if subdir == "noarch":
        return ""
    system, _, machine = subdir.partition("-")
    machines = _MACHINES.get((system, machine), (machine,))
    either = " or ".join(f"platform_machine == '{each}'" for each in machines)
    return f"sys_platform == '{_SYSTEMS.get(system, system)}' and ({either})"


def _pixi(path: Path, environments: Mapping[str, Any], packages: Sequence[Any], groups: Sequence[str]) -> Requirements:
    check_known("group", groups, environments, path)
    chosen = tuple(groups) or (("default",) if "default" in environments else tuple(environments)[:1])
    records = {str(url): entry for entry in packages if isinstance(entry, dict) for url in list(entry.values())[:1]}
    places: dict[tuple[str, str], set[str]] = {}
    try:
        for name in chosen:
            for subdir, entries in environments[name]["packages"].items():
                for entry in entries:
                    kind, url = next((str(k), str(url)) for k, url in entry.items())
                    places.setdefault((kind, url), set()).add(str(subdir))
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise InputError(f"{path} is malformed: {type(error).__name__}: {error}", hint=how_to_repair(path)) from error
    found = [_locked(path, kind, url, records.get(url, {}), subdirs) for (kind, url), subdirs in sorted(places.items())]
    subdirs = {str(subdir) for name in chosen for subdir in environments[name]["packages"]}
    return _answer(path, InputFormat.PIXI_LOCK, found, environments, chosen, subdirs)


def _conda_lock(path: Path, packages: Sequence[Any], groups: Sequence[str]) -> Requirements:
    categories = {str(entry.get("category", "main")) for entry in packages if isinstance(entry, dict)}
    check_known("group", groups, categories, path)
    chosen = ("main", *groups)
    found = []
    for entry in packages:
        if not isinstance(entry, dict) or "name" not in entry:
            raise InputError(f"{path} is malformed: a package has no name", hint=how_to_repair(path))
        if entry.get("category", "main") in chosen:
            kind = "pypi" if entry.get("manager") == "pip" else "conda"
            found.append(_locked(path, kind, str(entry.get("url", "")), entry, {str(entry.get("platform", "noarch"))}))
    subdirs = {str(entry.get("platform", "noarch")) for entry in packages}
    return _answer(path, InputFormat.CONDA_LOCK, found, categories, chosen, subdirs)


def _answer(
    path: Path,
    form: InputFormat,
    found: Sequence[LockedPackage | None],
    known: Any,
    chosen: Sequence[str],
    subdirs: Collection[str],
) -> Requirements:
    markers = tuple(map(_marker, sorted(subdirs)))
    packages = tuple(package for package in found if package is not None)
    return Requirements(
        path=path,
        format=form,
        left_out=left_out((), map(str, known), taken=((), chosen)),
        lock=LockData(
            packages=packages,
            tolerant=True,
            single_environment=True,
            environments=markers if all(markers) else (),
            remedy="the platforms of the lock file",
        ),
    )


def _locked(path: Path, kind: str, url: str, entry: Mapping[str, Any], subdirs: set[str]) -> LockedPackage | None:
    """Return the package of an entry; `None` for conda's interpreter and installers."""
    named = parse_file(url)
    if kind not in ("pypi", "conda"):  # `conda_source: NAME[HASH] @ PLACE` of pixi
        url = _SOURCE_NAME.sub("", url)
    name = str(entry.get("name") or (named[0] if named else file_name(url).rsplit("-", 2)[0]) or "nameless")
    if kind == "conda" and name.lower() in NO_PACKAGES:
        return None
    markers = [marker for marker in map(_marker, sorted(subdirs)) if marker]
    lines = entry.get("requires_dist")
    needs = parse_needs(map(str, lines)) if isinstance(lines, list) else Needs()
    is_file = kind == "pypi" and url.startswith(("http://", "https://"))
    hashes = entry.get("hash") if isinstance(entry.get("hash"), dict) else {"sha256": entry.get("sha256")}
    digests = tuple((k, v.lower()) for k, v in (hashes or {}).items() if isinstance(v, str))
    is_tree = kind == "pypi" and not is_file
    return LockedPackage(
        name=canonicalize_name(name),
        version=_version(str(entry.get("version") or (named[1] if named else ""))),
        location=Location(path=str(path)),
        marker=" or ".join(f"({marker})" for marker in markers) if len(markers) == len(subdirs) else None,
        files=(DistributionFile(filename=file_name(url), url=url, hashes=digests),) if is_file else None,
        edges=needs.edges,
        extra_edges=needs.extra_edges,
        source_tree=str((path.parent / url).resolve()) if is_tree else None,
        from_index=is_file,
        problem=None if kind == "pypi" else CONDA,
    )


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except (InvalidVersion, ValueError):
        return None
