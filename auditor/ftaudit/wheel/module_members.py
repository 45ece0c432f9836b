"""Which members of a wheel are extension modules, by their names: dotted name, and the ABI that the suffix names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ftaudit.cpython.suffixes import find_suffix
from ftaudit.wheel.directory import ArchiveMember

_SCHEMES: Final = re.compile(r"[^/]+\.data/(?:platlib|purelib)/")
_OTHER_DATA: Final = re.compile(r"[^/]+\.data/")
_VENDORED: Final = re.compile(r"(?:^|/)(?:[^/]+\.libs|\.dylibs|[^/]+\.dSYM)/")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleMember:
    """A member with the name of an extension module; only its bytes say whether it is one."""

    name: str
    """Dotted import name."""
    path: str
    """Where it is installed, below site-packages."""
    member: ArchiveMember
    variant_of: str | None = None
    """The import name without what follows a first dot in the file's name: `_ir` of `_ir.cu13.cpython-314t-….so`.

    No import finds such a file; a loader of the package's own opens it, under that name as a rule.
    """
    abi: str | None = None
    """`cp314t`, `cp314`, `abi3` or `abi3t` as the suffix says; `None` for a suffix without an ABI."""


def module_members(members: Iterable[ArchiveMember]) -> tuple[ModuleMember, ...]:
    """Return the members that an import could load as extension modules, in the archive's order.

    Libraries that auditwheel and delocate put beside a package (`NAME.libs/`, `.dylibs/`) are none; neither are a
    module's debugging information (`MODULE.so.dSYM/…/MODULE.so`, of dsymutil) and `libX.so` beside `libX.so.1`, the
    linker's name of a plain shared library.
    """
    every = tuple(members)
    versioned = {match[1] for member in every if (match := _VERSIONED.match(member.name))}
    found = (module_member(member) for member in every if member.name not in versioned)
    return tuple(module for module in found if module is not None)


def is_library(name: str) -> bool:
    """Return whether a file has the name of a shared library."""
    return _LIBRARY.search(name) is not None


def modules_size(members: Iterable[ArchiveMember]) -> int:
    """Return the bytes that the extension modules among the members take, compressed."""
    return sum(module.member.compressed for module in module_members(members))


_VERSIONED: Final = re.compile(r"(.+\.so)\.\d[\d.]*$")
_LIBRARY: Final = re.compile(r"\.(?:so(?:\.\d[\d.]*)?|dylib|dll)$", re.IGNORECASE)


def module_member(member: ArchiveMember) -> ModuleMember | None:
    """Return what a member's name says of it as an extension module, or `None` when it is not named as one."""
    path, schemes = _SCHEMES.subn("", member.name, count=1)
    if (not schemes and _OTHER_DATA.match(path)) or _VENDORED.search(path):
        return None
    folder, _, base = path.rpartition("/")
    suffix = find_suffix(base)
    if suffix is None or suffix.text == base:
        return None
    stem = base.removesuffix(suffix.text)
    package = folder.replace("/", ".")
    name = package if stem == "__init__" and package else ".".join(part for part in (package, stem) if part)
    variant_of = name[: len(name) - len(stem) + stem.index(".")] if "." in stem else None
    return ModuleMember(name=name, path=path, member=member, variant_of=variant_of, abi=suffix.abi)
