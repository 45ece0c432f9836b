"""Whether an extension module keeps to the stable ABI that its wheel claims (PEP 384, PEP 803), on any platform."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ftaudit.cpython import abi
from ftaudit.cpython.exports import exporters
from ftaudit.cpython.stable_abi import stable_symbols
from ftaudit.cpython.suffixes import find_suffix
from ftaudit.cpython.versions import ABI3T_SINCE, Version
from ftaudit.model import Hook, ModuleBinary, StrEnum

LIBRARIES: Final = {"abi3": "python3.dll", "abi3t": "python3t.dll"}
"""The library that a module of each stable ABI is linked with on Windows (`PC/pyconfig.h.in`)."""
_PRIVATE: Final = re.compile(r"_Py[A-Z_]|Py[A-Z][A-Za-z]*_[A-Za-z]|Py_[A-Za-z]")
"""The pattern of the names of CPython's functions and data; plain `PyObject` may be from another library."""


class FaultKind(StrEnum):
    """How a module breaks the stable ABI that its wheel claims."""

    TAG_TOO_OLD = "tag-too-old"
    """The wheel claims `abi3t` for a version that has none."""
    NO_EXPORT_HOOK = "no-export-hook"
    """It has only a `PyInit_` hook, whose `PyModuleDef` is opaque in `abi3t`."""
    NOT_STABLE = "not-stable"
    """Its `Py_mod_abi` is that of one version."""
    NOT_FOR_BOTH = "not-for-both"
    """Its `Py_mod_abi` leaves out builds that the wheel's tags promise."""
    ABI_TOO_NEW = "abi-too-new"
    """Its `Py_mod_abi` asks for a later version than the wheel's tag."""
    OUTSIDE = "outside"
    """It takes symbols that are not in the stable ABI."""
    TOO_NEW = "too-new"
    """It takes symbols that the stable ABI has only since later than the wheel's tag."""
    WRONG_LIBRARY = "wrong-library"
    """It is linked with a library of CPython that belongs to one version, or to another ABI."""
    WRONG_SUFFIX = "wrong-suffix"
    """Builds that the wheel's tags promise do not search for a file of its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The promise of a wheel's tags."""

    abis: frozenset[str]
    """`abi3`, `abi3t` or both."""
    since: Version
    """The lowest version, as its Python tag says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One way in which a module breaks its wheel's claim."""

    kind: FaultKind
    names: tuple[str, ...] = ()
    """The symbols, the libraries, or the suffix, in question."""
    version: Version | None = None
    """The version that the module asks for."""


def find_faults(path: str, binary: ModuleBinary, claim: Claim) -> Iterator[Fault]:
    """Yield the objections to a module's claim; `binary` was read with the symbols that it takes from CPython."""
    free_threaded = "abi3t" in claim.abis
    if free_threaded and claim.since < ABI3T_SINCE:
        yield Fault(kind=FaultKind.TAG_TOO_OLD, version=claim.since)
    yield from _suffix_faults(path, claim)
    if free_threaded and binary.hook is Hook.INIT:
        yield Fault(kind=FaultKind.NO_EXPORT_HOOK)
    yield from _abi_faults(binary, claim)
    wanted = {LIBRARIES[name] for name in ({"abi3t"} if free_threaded else claim.abis)}
    wrong = tuple(name for name in binary.python_libraries if name.lower() not in wanted)
    if wrong:
        yield Fault(kind=FaultKind.WRONG_LIBRARY, names=wrong)
    yield from _symbol_faults(binary.python_symbols, claim)


def _suffix_faults(path: str, claim: Claim) -> Iterator[Fault]:
    suffix = find_suffix(path)
    if suffix is None or suffix.abi is None:
        return
    fitting = {"abi3t"} if "abi3t" in claim.abis else {"abi3"}
    # No build for Windows searches for a suffix of a stable ABI.
    if suffix.abi not in fitting or suffix.is_windows:
        yield Fault(kind=FaultKind.WRONG_SUFFIX, names=(suffix.text,))


def _abi_faults(binary: ModuleBinary, claim: Claim) -> Iterator[Fault]:
    info = binary.abi_info
    if info is None or info.major != 1:
        return
    if not info.flags & abi.STABLE:
        yield Fault(kind=FaultKind.NOT_STABLE, version=abi.version_of(info.abi_version))
    wanted = (abi.GIL if "abi3" in claim.abis else 0) | (abi.FREE_THREADED if "abi3t" in claim.abis else 0)
    said = info.flags & (abi.GIL | abi.FREE_THREADED)
    if said and wanted & ~said:
        yield Fault(kind=FaultKind.NOT_FOR_BOTH)
    if info.abi_version and (asked := abi.version_of(info.abi_version)) > claim.since:
        yield Fault(kind=FaultKind.ABI_TOO_NEW, version=asked)


def _symbol_faults(names: tuple[str, ...], claim: Claim) -> Iterator[Fault]:
    stable, known = stable_symbols(), exporters()
    since = max(claim.since, ABI3T_SINCE) if "abi3t" in claim.abis else claim.since
    outside = tuple(name for name in names if name not in stable and (name in known or _PRIVATE.match(name)))
    newer = tuple(name for name in names if stable.get(name, since) > since)
    if outside:
        yield Fault(kind=FaultKind.OUTSIDE, names=outside)
    if newer:
        yield Fault(kind=FaultKind.TOO_NEW, names=newer, version=max(stable[name] for name in newer))
