"""The contents of wheel file names (PEP 425, 600, 656, 703, 803), for the rules that compare wheels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from packaging.tags import Tag

from ftaudit.cpython.suffixes import find_suffix
from ftaudit.model import DistributionFile, PackageFacts, WheelKind
from ftaudit.target import Target, kind_of, parse_target, wheel_tags

_FREE_THREADED: Final = re.compile(r"cp3\d+t")
_ARCHES: Final = {"universal2": ("arm64", "x86_64"), "amd64": ("amd64",), "32": ("x86",)}


def tags_of(files: Iterable[DistributionFile]) -> Iterator[Tag]:
    """Yield the tags of every wheel that is not yanked; a name that cannot be parsed has no tags."""
    for file in files:
        if file.yanked is None:
            yield from wheel_tags(file.filename) or ()


def compiled_tags(facts: PackageFacts) -> tuple[Tag, ...]:
    """Return the tags, each once, of the release's wheels that hold compiled code for CPython, or for any Python."""
    tags = dict.fromkeys(tags_of(facts.index.wheels))
    return tuple(tag for tag in tags if tag.platform != "any" and not tag.interpreter.startswith("pp"))


def target_of(facts: PackageFacts) -> Target:
    """Return the audited target."""
    return parse_target(facts.target)


def is_free_threaded(abi: str) -> bool:
    """Return whether an ABI tag belongs to the free-threaded build of any version."""
    return _FREE_THREADED.fullmatch(abi) is not None


def suits(tag: Tag, target: Target) -> bool:
    """Return whether the target installs such a wheel on some platform."""
    return kind_of(tag, target) is not WheelKind.NONE


def systems(platform: str) -> tuple[str, ...]:
    """Return the kinds of machine that a platform tag means, `linux x86_64`, for any libc version."""
    family, _, rest = platform.partition("_")
    if family == "macosx":
        arch = rest.split("_", 2)[-1]
        return tuple(f"macOS {each}" for each in _ARCHES.get(arch, (arch,)))
    if family.startswith("manylinux"):
        return (f"Linux {_after_version(rest)}",)
    if family.startswith("musllinux"):
        return (f"musl Linux {_after_version(rest)}",)
    if family in ("win", "win32"):
        return (f"Windows {rest or 'x86'}",)
    return (platform,)


def _after_version(rest: str) -> str:
    return re.sub(r"^\d+_\d+_", "", rest)


def suffix_abi(path: str) -> str | None:
    """Return the ABI in an extension module's file name, such as `cp314t`; `None` without one."""
    suffix = find_suffix(path)
    return None if suffix is None or suffix.is_stable else suffix.abi
