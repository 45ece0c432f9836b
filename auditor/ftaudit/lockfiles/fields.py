"""Reads the fields that lock files share: versions, ranges, hashes, file names, extras, and groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from ftaudit.errors import InputError, UsageError
from ftaudit.lockfiles.input_files import Table, file_name, how_to_repair
from ftaudit.lockfiles.requirements import EdgeSource
from ftaudit.model import DistributionFile

_FAMILIES: Final = ("manylinux", "musllinux", "linux_", "macosx", "win", "android", "ios", "emscripten", "pyodide")


def listing(names: Iterable[str]) -> str:
    """Return a phrase that names each of the names once, or the first ones of many."""
    found = sorted(set(names))
    return ", ".join(found) if len(found) <= 8 else f"{', '.join(found[:7])} and {len(found) - 7} more"


def version_of(table: Table, key: str = "version") -> Version | None:
    """Return a package's version, or `None` if it is missing; raise `InputError` for a malformed one."""
    value = table.text(key)
    try:
        return Version(value) if value else None
    except (InvalidVersion, ValueError) as error:
        raise table.error(key, f"is not a version: {value[:80] if value else value!r}") from error


def specifier_of(table: Table, key: str) -> SpecifierSet | None:
    """Return a range of versions, or `None` if it is missing; raise `InputError` for a malformed one."""
    value = table.text(key)
    if not value or value == "*":
        return None
    try:
        return read_range(value)
    except ValueError as error:
        raise table.error(key, f"is not a version specifier: {value[:80]!r}") from error


def read_range(text: str) -> SpecifierSet:
    """Return a range of versions; raise `ValueError` for one that is malformed or cannot be evaluated.

    `SpecifierSet` parses its versions on first use, and limits their digits.
    """
    found = SpecifierSet(text)
    found.contains(Version("1"))
    return found


def hash_of(table: Table, key: str, value: object) -> tuple[tuple[str, str], ...]:
    """Return the pair of algorithm and digest in `sha256:…`, or nothing; raise `InputError` for a malformed hash."""
    if value is None or value == "":
        return ()
    algorithm, separator, digest = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not separator or not algorithm or not digest.isalnum():
        raise table.error(key, f"is not a hash: {str(value)[:80]!r}")
    return ((algorithm.lower(), digest.lower()),)


def listed_files(
    table: Table, key: str, *, direct: str | None = None, requires_python: str | None = None
) -> tuple[DistributionFile, ...]:
    """Return the files of a package as Poetry and PDM list them: `{ file or url, hash }`.

    `direct` is the location of a package's only file, if it comes from a URL or path. Raise `InputError` for a
    malformed entry.
    """
    entries = table.raw(key)
    if not isinstance(entries, list):
        raise table.error(key, "is missing" if entries is None else "is not an array")
    files = []
    for i, entry in enumerate(entries):
        at = f"{key}[{i}]"
        if not isinstance(entry, dict):
            raise table.error(at, "is not a table")
        url, name = entry.get("url"), entry.get("file")
        if not isinstance(url, str | None) or not isinstance(name, str | None) or not (url or name):
            raise table.error(at, "has neither file nor url")
        filename = file_name(name or url or "")
        if not filename:
            raise table.error(f"{at}.url", "does not name a file")
        if direct and file_name(direct) == filename:
            url = direct
        files.append(
            DistributionFile(
                filename=filename,
                url=url,
                hashes=hash_of(table, f"{at}.hash", entry.get("hash")),
                requires_python=requires_python,
            )
        )
    return tuple(files)


def are_for_one_system(names: Iterable[str]) -> bool:
    """Return whether the wheels with compiled code are all for one operating system."""
    systems = {
        "linux" if family in ("manylinux", "linux_") else family
        for name in names
        for family in _FAMILIES
        if f"-{family}" in name or f".{family}" in name.rpartition("-")[2]
    }
    return len(systems) == 1


def check_empty(top: Table, known: Iterable[str], path: Path) -> None:
    """Raise `InputError` for a lock file without packages that has keys unknown to its format.

    A project without dependencies has such a lock file; a misspelt table must not look like one.
    """
    strange = sorted(set(top.keys()) - set(known))
    if strange:
        what = f"{path} locks no package, and {strange[0]!r} is not a key of this format"
        raise InputError(what, hint=how_to_repair(path))


def check_known(what: str, wanted: Iterable[str], known: Iterable[str], path: Path) -> None:
    """Raise `UsageError` for an extra or group that the lock file does not have."""
    known = sorted(set(known))
    for name in sorted(set(wanted) - set(known)):
        hint = f"it has {', '.join(known)}" if known else f"it has no {what}s"
        raise UsageError(f"{path} has no {what} named {name!r}", hint=hint)


def left_out(extras: Iterable[str], groups: Iterable[str], *, taken: Sequence[Iterable[str]]) -> tuple[str, ...]:
    """Return what was not chosen, `extra NAME` and `group NAME`; `taken` has the chosen extras and groups."""
    return (
        *(f"extra {name}" for name in sorted(set(extras) - set(taken[0]))),
        *(f"group {name}" for name in sorted(set(groups) - set(taken[1]))),
    )


def note_of_edges(path: Path, source: EdgeSource) -> tuple[str, ...]:
    """Return the notes about how the dependency edges were determined; empty if the lock file contains them."""
    if source is EdgeSource.LOCK:
        return ()
    what = {
        EdgeSource.METADATA: "; ftaudit read it from the packages' metadata",
        EdgeSource.SOME_METADATA: "; the metadata of some packages could not be read, so some chains are missing",
        EdgeSource.NOWHERE: ", so the chains are missing",
    }
    return (f"{path} does not record which package requires which{what[source]}",)
