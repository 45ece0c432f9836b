"""The exports of the free-threaded builds of CPython, by version: data of `exports.txt`.

The list was read from interpreters on Linux. Headers export the same names on macOS and Windows, except for functions
that exist on only one system; those of the stable ABI are in `stable_abi`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Final

from ftaudit.cpython.stable_abi import stable_symbols
from ftaudit.cpython.versions import Version

FREE_THREADED_CALLS: Final = ("_Py_DecRefShared", "_Py_MergeZeroLocalRefcount", "_Py_DecRefSharedDebug")
"""Functions that inline functions of the headers call only under `Py_GIL_DISABLED` (`Include/refcount.h`)."""


@functools.lru_cache(maxsize=1)
def exporters() -> Mapping[str, frozenset[Version]]:
    """Return each symbol with the versions whose free-threaded build exports it."""
    lines = files("ftaudit.cpython").joinpath("exports.txt").read_text(encoding="utf-8").splitlines()
    found = {}
    for line in lines:
        if not line.startswith("#"):
            name, *versions = line.split()
            found[name] = frozenset(_parse(version) for version in versions)
    return found


@functools.lru_cache(maxsize=1)
def listed_versions() -> frozenset[Version]:
    """Return the versions that the list covers."""
    return frozenset(version for versions in exporters().values() for version in versions)


def missing_symbols(names: Iterable[str], version: Version) -> tuple[str, ...]:
    """Return which names CPython exports in another version and not in this one, sorted.

    A name that no listed version exports says nothing: another library may define it. So does a version that is not
    listed.
    """
    if version not in listed_versions():
        return ()
    stable = stable_symbols()
    return tuple(
        sorted(
            name
            for name in names
            if (versions := exporters().get(name)) is not None and version not in versions and name not in stable
        )
    )


def _parse(text: str) -> Version:
    major, minor = text.rstrip("t").split(".")
    return int(major), int(minor)
