"""The audited target: a free-threaded CPython on a platform, as PEP 425 tags and PEP 508 markers."""

from __future__ import annotations

import dataclasses
import functools
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms, parse_tag, platform_tags
from packaging.version import Version

from ftaudit.errors import UsageError
from ftaudit.model import WheelKind

TARGETS: Final = ("3.14t", "3.15t", "3.13t")
"""The supported targets, the recommended one first."""
EXPERIMENTAL: Final = frozenset({"3.13t"})
"""Not built by cibuildwheel since version 4, and discouraged by the porting guide."""
DEFAULT_TARGET: Final = "3.14t"
PLATFORMS: Final = (
    "linux-x86_64",
    "linux-aarch64",
    "musllinux-x86_64",
    "musllinux-aarch64",
    "macos-arm64",
    "macos-x86_64",
    "windows-amd64",
    "windows-arm64",
)

BASELINE_GLIBC: Final = (2, 34)
"""The assumed system of a named Linux platform that is not this machine: RHEL 9, Amazon Linux 2023, Debian 12."""
BASELINE_MUSL: Final = (1, 2)
BASELINE_MACOS: Final = (14, 0)
BASELINE_MACOS_X86: Final = (13, 0)

_NOWHERE: Final = ("nowhere",)
"""Represents the platform for which only platform-independent wheels are installed."""
_VERSIONED: Final = re.compile(r"(manylinux|musllinux)_(\d{1,3})_(\d{1,3})_(\w+)")
_ENDLESS: Final = re.compile(r"\d{4}")
"""A number in a platform tag that no system has: its predecessors are not enumerated."""
_LEGACY_MANYLINUX: Final = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Platform:
    """One operating system and machine, with the platform tags that an installer there accepts, best first."""

    name: str
    """One of `PLATFORMS`, or the exact tag that the user gave."""
    tags: tuple[str, ...]
    uv_name: str
    """The value for `uv --python-platform`."""
    sys_platform: str
    machine: str
    """`platform.machine()` there."""
    is_host: bool
    """Whether this machine can run its binaries."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A free-threaded CPython version."""

    name: str
    """`3.14t`."""

    @property
    def version(self) -> tuple[int, int]:
        """`(3, 14)`."""
        return _version_in(self.name)

    @property
    def full_version(self) -> Version:
        """The version that is compared with `requires-python`: the first release of the series."""
        return Version(f"{self.version[0]}.{self.version[1]}.0")

    @property
    def abi(self) -> str:
        """The ABI tag of its wheels, `cp314t` (PEP 703, PEP 425)."""
        return _abi_of(self.name)

    @property
    def executable(self) -> str:
        """`python3.14t`."""
        return f"python{self.name}"


@functools.cache
def _version_in(name: str) -> tuple[int, int]:
    major, minor = name.rstrip("t").split(".")
    return int(major), int(minor)


@functools.cache
def _abi_of(name: str) -> str:
    major, minor = _version_in(name)
    return f"cp{major}{minor}t"


def parse_target(name: str) -> Target:
    """Return the target that the user named; raise `UsageError` for an unknown target."""
    if name not in TARGETS:
        raise UsageError(f"unknown target {name!r}", hint=f"choose one of {', '.join(TARGETS)}")
    return Target(name=name)


def parse_targets(names: Iterable[str]) -> tuple[Target, ...]:
    """Return the targets that the user named, each once; raise `UsageError` for an unknown target or an empty list."""
    targets = tuple(map(parse_target, dict.fromkeys(names)))
    if not targets:
        raise UsageError("no target is named", hint=f"choose one or more of {', '.join(TARGETS)}")
    return targets


def newest_target() -> Target:
    """Return the newest target: the next release for projects."""
    return max(map(parse_target, TARGETS), key=lambda target: target.version)


def supported_tags(target: Target, platform: Platform) -> tuple[Tag, ...]:
    """Return the tags that the target's installer accepts on the platform, best first.

    Installers accept `abi3t` wheels for any free-threaded build that is not older than the wheel's Python tag, although
    builds before 3.15 do not load their content (PEP 803). They accept `abi3` wheels for no free-threaded build.
    """
    return _tags(target.version, target.abi, platform.tags)


def gil_tags(target: Target, platform: Platform) -> tuple[Tag, ...]:
    """Return the tags of the GIL-enabled build of the same version, best first."""
    return _tags(target.version, target.abi.rstrip("t"), platform.tags)


def wheel_tags(filename: str) -> frozenset[Tag] | None:
    """Return the tags in a wheel's file name, or `None` if they are invalid or expand to an absurd number of tags.

    `packaging.utils.parse_wheel_filename` parses the name and the version too, and is several times slower. A lock file
    names thousands of wheels with a few hundred different tag sets.
    """
    return _parse_tags("-".join(filename.removesuffix(".whl").split("-")[-3:]))


@functools.lru_cache(maxsize=16384)
def _parse_tags(text: str) -> frozenset[Tag] | None:
    if text.count(".") > 60:
        return None
    try:
        return parse_tag(text)
    except ValueError:
        return None


@functools.lru_cache(maxsize=32)
def _tags(version: tuple[int, int], abi: str, platforms: tuple[str, ...]) -> tuple[Tag, ...]:
    interpreter = f"cp{version[0]}{version[1]}"
    platforms = platforms or _NOWHERE  # Without platforms, `packaging` uses those of this machine.
    specific = cpython_tags(python_version=version, abis=[abi], platforms=platforms)
    generic = compatible_tags(python_version=version, interpreter=interpreter, platforms=platforms)
    return tuple(dict.fromkeys((*specific, *generic)))


@functools.lru_cache(maxsize=1 << 15)
def kind_of(tag: Tag, target: Target) -> WheelKind:
    """Return the kind of a wheel with this tag for the target; `NONE` if the target installs it on no platform.

    The result depends only on the tags that the target supports.
    """
    if tag not in _accepted(target.version, target.abi, tag.platform):
        return WheelKind.NONE
    if tag.abi == target.abi:
        return WheelKind.FREE_THREADED
    if tag.abi == "abi3t":
        return WheelKind.ABI3T
    return WheelKind.PURE if tag.platform == "any" else WheelKind.NATIVE


def suits_gil_build(tag: Tag, target: Target) -> bool:
    """Return whether the GIL-enabled build of the target's version installs such a wheel on some platform."""
    return tag in _accepted(target.version, target.abi.rstrip("t"), tag.platform)


@functools.lru_cache(maxsize=1024)
def _accepted(version: tuple[int, int], abi: str, platform: str) -> frozenset[Tag]:
    """Return the tags that a build supports for one platform tag, or for `any`."""
    return frozenset(_tags(version, abi, _NOWHERE if platform == "any" else (platform,)))


def marker_environment(target: Target, platform: Platform) -> dict[str, str]:
    """Return the PEP 508 environment of the target on the platform."""
    full = str(target.full_version)
    return {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "nt" if platform.sys_platform == "win32" else "posix",
        "platform_machine": platform.machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[platform.sys_platform],
        "platform_version": "",
        "python_full_version": full,
        "python_version": f"{target.version[0]}.{target.version[1]}",
        "sys_platform": platform.sys_platform,
    }


def host_platform() -> Platform:
    """Return this machine, with the tags of its own libc or system version."""
    system, machine = sys.platform, platform.machine()
    tags = tuple(platform_tags())
    if system == "linux":
        arch = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine.lower(), machine.lower())
        musl = next((tag for tag in tags if tag.startswith("musllinux")), None)
        newest = next((tag for tag in tags if tag.startswith(("manylinux_", "musllinux_"))), f"linux_{arch}")
        family = "musllinux" if musl else "linux"
        uv_name = f"{arch}-unknown-linux-musl" if musl else f"{arch}-{newest.removesuffix('_' + arch)}"
        return Platform(
            name=f"{family}-{arch}",
            tags=tags,
            uv_name=uv_name,
            sys_platform=system,
            machine=machine,
            is_host=True,
        )
    if system == "darwin":
        named = _named(f"macos-{'arm64' if machine == 'arm64' else 'x86_64'}")
    elif system == "win32":
        named = _named(f"windows-{'arm64' if machine.lower() == 'arm64' else 'amd64'}")
    else:
        raise UsageError(
            f"ftaudit does not support this system ({system})", hint=f"specify one: --platform {PLATFORMS[0]}"
        )
    return Platform(
        name=named.name,
        tags=tags,
        uv_name=named.uv_name,
        sys_platform=system,
        machine=machine,
        is_host=True,
    )


def parse_platform(name: str) -> Platform:
    """Return the platform that the user named: one of `PLATFORMS`, or an exact platform tag of PEP 425, 600 or 656.

    The name of this machine's platform means this machine; another name means that platform's common baseline. An exact
    tag (`manylinux_2_28_x86_64`, `macosx_13_0_arm64`, `win_amd64`) means exactly that tag. Raise `UsageError` for
    anything else.
    """
    if name in PLATFORMS:
        try:
            this = host_platform()
        except UsageError:
            return _named(name)
        return this if this.name == name else _named(name)
    found = _exact(name)
    if found is None:
        raise UsageError(
            f"unknown platform {name!r}",
            hint=f"choose one of {', '.join(PLATFORMS)}, or an exact tag such as manylinux_2_28_x86_64",
        )
    return dataclasses.replace(found, is_host=_runs_here(found))


def platform_of_tag(tag: str) -> Platform:
    """Return the minimum platform for a wheel's platform tag, including one that users cannot name.

    `any` has no tags of its own; an unknown tag represents itself.
    """
    found = None if _ENDLESS.search(tag.partition("_")[2]) else _exact(tag)
    if found is not None:
        return dataclasses.replace(found, is_host=_runs_here(found))
    match = _VERSIONED.fullmatch(tag)
    if match is not None:
        return _linux(tag, match[4], match[1], (int(match[2]), int(match[3])))
    family, _, machine = tag.partition("_")
    return Platform(
        name=tag,
        tags=() if tag == "any" else (tag,),
        uv_name=tag,
        sys_platform={"macosx": "darwin", "win32": "win32", "win": "win32"}.get(family, "linux"),
        machine=machine,
        is_host=False,
    )


def _runs_here(platform: Platform) -> bool:
    """Return whether this machine accepts every wheel that the platform accepts."""
    try:
        return set(platform.tags) <= set(host_platform().tags)
    except UsageError:
        return False


def _named(name: str) -> Platform:
    family, _, arch = name.partition("-")
    match family:
        case "linux":
            return _linux(name, arch, "manylinux", BASELINE_GLIBC)
        case "musllinux":
            return _linux(name, arch, "musllinux", BASELINE_MUSL)
        case "macos":
            return _macos(name, arch, BASELINE_MACOS if arch == "arm64" else BASELINE_MACOS_X86)
        case _:
            return _windows(name, arch)


def _exact(tag: str) -> Platform | None:
    """Parse `manylinux_2_28_x86_64` and similar tags into a platform of that name, or return `None`."""
    for legacy_version, alias in _LEGACY_MANYLINUX.items():
        if tag.startswith(f"{alias}_"):
            return _linux(tag, tag.removeprefix(f"{alias}_"), "manylinux", legacy_version)
    if tag in ("win_amd64", "win_arm64"):
        return _windows(tag, tag.removeprefix("win_"))
    family, _, rest = tag.partition("_")
    major, _, rest = rest.partition("_")
    minor, _, arch = rest.partition("_")
    if not (major.isdecimal() and minor.isdecimal()):
        return None
    version = int(major), int(minor)
    if family in ("manylinux", "musllinux") and arch in ("x86_64", "aarch64"):
        return _linux(tag, arch, family, version)
    if family == "macosx" and arch in ("arm64", "x86_64", "universal2"):
        return _macos(tag, "arm64" if arch == "universal2" else arch, version)
    return None


def _linux(name: str, arch: str, family: str, libc: tuple[int, int]) -> Platform:
    return Platform(
        name=name,
        tags=(*_linux_tags(arch, family, libc), f"linux_{arch}"),
        uv_name=f"{arch}-manylinux_{libc[0]}_{libc[1]}" if family == "manylinux" else f"{arch}-unknown-linux-musl",
        sys_platform="linux",
        machine=arch,
        is_host=False,
    )


def _linux_tags(arch: str, family: str, libc: tuple[int, int]) -> Iterator[str]:
    """Yield PEP 600 or PEP 656 tags from the given libc version down, including the legacy aliases."""
    lowest = 0 if family == "musllinux" else 5 if arch == "x86_64" else 17
    for minor in range(libc[1], lowest - 1, -1):
        yield f"{family}_{libc[0]}_{minor}_{arch}"
        if family == "manylinux" and (alias := _LEGACY_MANYLINUX.get((libc[0], minor))):
            yield f"{alias}_{arch}"


def _macos(name: str, arch: str, version: tuple[int, int]) -> Platform:
    return Platform(
        name=name,
        tags=tuple(mac_platforms(version, arch)),
        uv_name="aarch64-apple-darwin" if arch == "arm64" else "x86_64-apple-darwin",
        sys_platform="darwin",
        machine=arch,
        is_host=False,
    )


def _windows(name: str, arch: str) -> Platform:
    return Platform(
        name=name,
        tags=(f"win_{arch}",),
        uv_name="aarch64-pc-windows-msvc" if arch == "arm64" else "x86_64-pc-windows-msvc",
        sys_platform="win32",
        machine="ARM64" if arch == "arm64" else "AMD64",
        is_host=False,
    )
