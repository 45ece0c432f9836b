"""Which members of a wheel CPython could load as extension modules, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ftaudit.cpython.suffixes import find_suffix
from ftaudit.wheel.directory import ArchiveMember

_SITE_PACKAGES: Final = re.compile(r"[^/]+\.data/(?:platlib|purelib)/")
_LIBRARY: Final = re.compile(r"\.(?:so|pyd|dylib|dll|bundle)(?:\.[\w.-]*)?$", re.IGNORECASE)
_INFO: Final = re.compile(r"[^/]+\.dist-info/")
_NO_EXTENSION: Final = re.compile(
    r"(?:LICEN[CS]E|COPYING|NOTICE|AUTHORS|README|CHANGELOG|CHANGES|Makefile|METADATA|WHEEL|RECORD|INSTALLER|REQUESTED)\b",
    re.IGNORECASE,
)
_OTHER_CONTENT: Final = frozenset(
    """
    py pyi pyx pxd pxi pyc pth typed start pyw txt md rst html htm xhtml css scss less sass js mjs cjs ts tsx jsx map
    json jsonl toml yaml yml xml xsl xslt xsd dtd csv tsv ini cfg conf sql po mo pot svg png gif jpg jpeg bmp ico webp
    avif tif tiff woff woff2 ttf otf eot afm pdf c h cc cpp cxx hpp hxx hh inl cu cuh cl f f90 f95 for inc pyf m mm rs
    go java jl r s asm sh bash bat cmd ps1 in tmpl tpl template jinja jinja2 j2 mako license lic pem crt key cer npy
    npz ipynb lock proto fbs cmake pc la a lib o obj exe gz zip bz2 xz zst tar tgz whl jar mat h5 hdf5 nc parquet
    feather arrow orc pickle pkl joblib wav mp3 mp4 ogg webm avi mov swg i d tex bib log diff patch rc desktop
    """.split()  # noqa: SIM905
)
"""Ends of names that an image has no use for. Where a wheel is read in ranges, such members are not opened."""
SMALLEST_IMAGE: Final = 256
"""Bytes below which no file can be a shared object with an init hook."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleMember:
    """A member that may be an extension module; only its bytes say whether it is one."""

    name: str
    """Dotted import name; the path if an import does not find the file."""
    path: str
    """Its installed path, below site-packages."""
    member: ArchiveMember
    variant_of: str | None = None
    """The import name without what follows a first dot in the file's name: `_ir` of `_ir.cu13.cpython-314t-….so`.

    No import finds such a file; a loader of the package's own opens it, under that name as a rule.
    """
    abi: str | None = None
    """`cp314t`, `cp314`, `abi3` or `abi3t` as the suffix says; `None` for a suffix without an ABI."""
    by_import: bool = True
    """Whether an import finds the file in site-packages; else code must name the file or put its folder on a path."""

    loaded_as: str = ""
    """The name that a loader needs for it, if it differs from the file's name."""

    @property
    def last(self) -> str:
        """The last part of the name under which it is loaded, by the file's name."""
        if self.by_import:
            return self.name.rpartition(".")[2]
        base = self.path.rpartition("/")[2]
        suffix = find_suffix(base)
        return base.removesuffix(suffix.text) if suffix is not None else _LIBRARY.sub("", base)


def module_members(members: Iterable[ArchiveMember]) -> tuple[ModuleMember, ...]:
    """Return the members with the name of an extension module, in the archive's order."""
    return tuple(module for member in members if (module := module_member(member)) is not None)


def modules_size(members: Iterable[ArchiveMember]) -> int:
    """Return the bytes that the extension modules among the members take, compressed."""
    return sum(module.member.compressed for module in module_members(members))


def module_member(member: ArchiveMember) -> ModuleMember | None:
    """Return the facts in a member's name about an extension module, or `None` if it does not have such a name.

    A folder with a dot in its name is not a package: its content is found only if the folder is on a path
    (`NAME.libs`, `NAME.data/data`).
    """
    path = _SITE_PACKAGES.sub("", member.name, count=1)
    folder, _, base = path.rpartition("/")
    suffix = find_suffix(base)
    if suffix is None or suffix.text == base:
        return None
    if "." in folder:
        return ModuleMember(name=path, path=path, member=member, abi=suffix.abi, by_import=False)
    stem = base.removesuffix(suffix.text)
    package = folder.replace("/", ".")
    name = package if stem == "__init__" and package else ".".join(part for part in (package, stem) if part)
    variant_of = name[: len(name) - len(stem) + stem.index(".")] if "." in stem else None
    return ModuleMember(name=name, path=path, member=member, variant_of=variant_of, abi=suffix.abi)


def other_member(member: ArchiveMember) -> ModuleMember:
    """Return a member that code must load by its path, whatever its name."""
    path = _SITE_PACKAGES.sub("", member.name, count=1)
    return ModuleMember(name=path, path=path, member=member, by_import=False)


def is_library(path: str) -> bool:
    """Return whether a file is named like a shared library: `libspam.so.1.2`, `spam.dylib`, `spam.dll`."""
    return _LIBRARY.search(path.rpartition("/")[2]) is not None


def may_be_image(path: str) -> bool:
    """Return whether a file's name leaves open that it is a shared object."""
    base = path.rpartition("/")[2]
    if not base or find_suffix(base) is not None or is_library(base):
        return bool(base)
    stem, dot, end = base.rpartition(".")
    if _NO_EXTENSION.match(base) or _INFO.match(path):
        return False
    return not (dot and end.lower() in _OTHER_CONTENT) or not stem
