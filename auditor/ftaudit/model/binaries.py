"""What an extension module's image says about its ABI, and why CPython refuses a module: plain values."""

from __future__ import annotations

from dataclasses import dataclass

from ftaudit.model.words import StrEnum


class Hook(StrEnum):
    """The function through which CPython initializes an extension module."""

    INIT = "PyInit"
    """`PyInit_NAME` (PEP 489)."""
    EXPORT = "PyModExport"
    """`PyModExport_NAME` (PEP 793), which CPython looks for first since 3.15."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AbiInfo:
    """A `PyABIInfo` structure, as `Py_mod_abi` points to it (PEP 803, `Include/modsupport.h`)."""

    major: int
    """Version of the structure; CPython skips its checks if this is 0."""
    minor: int
    flags: int
    build_version: int
    """`PY_VERSION_HEX` of the headers that the module was compiled with."""
    abi_version: int
    """`PY_VERSION_HEX` of the ABI that it needs, or 0."""


class RefusalKind(StrEnum):
    """A reason why CPython does not import a module, whatever its code does."""

    NO_HOOK = "no-hook"
    """It exports a hook that this version does not look for, and no other hook."""
    NO_ABI_SLOT = "no-abi-slot"
    """A `PyModExport_` hook whose slots have no `Py_mod_abi`: SystemError."""
    ABI_STRUCT_TOO_NEW = "abi-struct-too-new"
    """A `PyABIInfo` of a later layout: ImportError, as for all following kinds down to `GIL_ONLY`."""
    INTERNAL_ABI = "internal-abi"
    """It was compiled against the internals of another release."""
    STABLE_ABI_TOO_NEW = "stable-abi-too-new"
    """It needs the stable ABI of a later version."""
    STABLE_ABI_INVALID = "stable-abi-invalid"
    """It names a stable ABI that does not exist, or also the internal ABI."""
    OTHER_ABI_VERSION = "other-abi-version"
    """It was compiled for another version's own ABI."""
    GIL_ONLY = "gil-only"
    """It was compiled only for builds with the GIL."""
    UNKNOWN_SLOT = "unknown-slot"
    """A slot that this version does not support: SystemError, as for all following kinds except the last."""
    REPEATED_SLOT = "repeated-slot"
    NULL_SLOT = "null-slot"
    SLOT_NOT_STATIC = "slot-not-static"
    SLOT_CONFLICT = "slot-conflict"
    """A slot whose value contradicts the `PyModuleDef` that contains it."""
    BAD_NESTING = "bad-nesting"
    """Arrays of slots that are nested too deeply, or in a way that CPython does not allow."""
    NEGATIVE_STATE = "negative-state"
    """A module with slots whose state has a negative size."""
    FOREIGN_DEFINITION = "foreign-definition"
    """A `PyModuleDef` with the layout of 3.13 headers or of a GIL-enabled build: SystemError since 3.15."""
    MISSING_SYMBOLS = "missing-symbols"
    """It needs functions or data from CPython that the target does not export: the loader refuses it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """One reason why CPython refuses a module."""

    kind: RefusalKind
    slot: int | None = None
    """The number of the slot in question, as the module states it."""
    slot_name: str | None = None
    """The name of the slot, if it has one."""
    version: tuple[int, int] | None = None
    """The version that the module requires."""
    symbols: tuple[str, ...] = ()
    """The names of the missing functions and data."""
