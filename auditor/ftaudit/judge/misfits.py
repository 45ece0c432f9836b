"""Whether the target's import system finds an extension module's file, and its system can load the image."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from ftaudit.cpython.suffixes import Suffix, find_suffix, suffix_order
from ftaudit.errors import UsageError
from ftaudit.model import ExtensionModule, IndexFacts, ModuleBinary, PackageFacts, WheelKind
from ftaudit.model.reasons import Misfit, System, WrongImage, WrongSuffix
from ftaudit.target import Target, parse_platform, parse_target

_NEVER: Final = 4
"""The rank of a file that is not loaded: after every suffix in `ftaudit.cpython.suffixes`."""

_TAGS: Final = (
    (re.compile(r"(?:linux|manylinux(?:\d+|_\d+_\d+)|musllinux_\d+_\d+)_(?P<machine>\w+)"), "elf"),
    (re.compile(r"macosx_\d+_\d+_(?P<machine>\w+)"), "macho"),
    (re.compile(r"win_?(?P<machine>32|amd64|arm64)"), "pe"),
)
_SPELT: Final = {"arm64": "aarch64", "amd64": "x86_64", "32": "i686", "i386": "i686"}
_ENDS: Final = {"aarch64": "arm64", "x86_64": "x86_64"}
"""How the names of macOS platforms end."""
_MACHINES: Final = frozenset(
    {"x86_64", "aarch64", "i686", "armv7l", "ppc64le", "ppc64", "s390x", "riscv64", "loongarch64"}
)
"""Machines that cannot run each other's code. A tag with any other name is never rejected."""
_TRIPLETS: Final = {"x86_64": "x86_64-", "aarch64": "aarch64-"}
"""How `Misc/platform_triplet.c` of CPython begins the names of Linux machines. The C library is not specified."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadPlace:
    """Where the modules of a wheel are loaded."""

    target: Target
    systems: frozenset[System]
    """The systems that must all load them; empty if the systems are unknown."""

    def rank(self, module: ExtensionModule) -> int:
        """Return the search position of a file among those of one module, from 0; a file that is not loaded comes last.

        The order is that of `importlib.machinery.EXTENSION_SUFFIXES`.
        """
        suffix = find_suffix(module.path)
        order = None if suffix is None else suffix_order(suffix, self.target.version)
        return _NEVER if order is None or self.misfit(module) is not None else order

    def misfit(self, module: ExtensionModule) -> Misfit | None:
        """Return why the file cannot be imported, or `None` if it can."""
        if module.runtime is not None and module.runtime.imported:
            return None
        suffix = find_suffix(module.path)
        if suffix is None:
            return self.image_misfit(module)
        named_for_target = suffix.abi is not None and not suffix.is_stable
        return self._name(suffix) or self.image_misfit(module, named_for_target=named_for_target)

    def _name(self, suffix: Suffix) -> Misfit | None:
        """Compare the file's suffix with the suffixes that the target looks for."""
        formats = {kind for kind, _ in self.systems}
        wrong_system = bool(formats) and (
            formats.isdisjoint({"pe"}) if suffix.is_windows else formats.isdisjoint({"elf", "macho"})
        )
        if suffix.platform and not suffix.is_windows and self.systems:
            wrong_system = not any(_fits_triplet(suffix.platform, system) for system in self.systems)
        if not wrong_system and suffix_order(suffix, self.target.version) is not None:
            return None
        return Misfit(
            what=WrongSuffix(suffix=suffix.text, executable=self.target.executable),
            certain=not wrong_system and (suffix.is_stable or suffix.abi == self.target.abi.rstrip("t")),
        )

    def image_misfit(self, module: ExtensionModule, *, named_for_target: bool = False) -> Misfit | None:
        """Compare the image's format and machine with the systems of the wheel."""
        if module.binary is None or module.binary.format is None:
            return None
        lacking = tuple(sorted(system for system in self.systems if not _holds(module.binary, system)))
        if not lacking:
            return None
        return Misfit(
            what=WrongImage(is_for=(module.binary.format, module.binary.machine or ""), wanted=lacking),
            certain=named_for_target,
        )


def find_misfits(facts: PackageFacts) -> dict[str, Misfit]:
    """Return why modules cannot be imported where the package is installed, by their paths.

    A module is certainly missing if its file was meant for the target, or if no module of the package can be imported.
    A wheel without an ABI tag may contain files for several builds.
    """
    place = place_of(facts.index, target=parse_target(facts.target), platform=facts.platform)
    if place is None:
        return {}
    found = {module.path: misfit for module in facts.modules if (misfit := place.misfit(module)) is not None}
    if facts.index.kind is WheelKind.PURE:
        # The system of an image is stronger evidence than its name: the wheel is for all of its systems.
        images = ((module.path, place.image_misfit(module)) for module in facts.modules)
        found |= {path: misfit for path, misfit in images if misfit is not None}
    if facts.index.kind in (WheelKind.NATIVE, WheelKind.PURE):
        return {path: replace(m, certain=False) for path, m in found.items()}
    if len(found) == len(facts.modules):
        return {path: replace(m, certain=True) for path, m in found.items()}
    return found


def place_of(index: IndexFacts, *, target: Target, platform: str) -> LoadPlace | None:
    """Return where a package's modules are loaded, or `None` if the target installs no wheel of it."""
    if index.wheel is None or index.kind is WheelKind.NONE:
        return None
    return LoadPlace(target=target, systems=_systems_of(index.wheel.filename, platform))


def chosen_files(modules: Iterable[ExtensionModule], place: LoadPlace | None) -> dict[str, ExtensionModule]:
    """Return by dotted name the file of each module that is found first, if there are several."""
    chosen: dict[str, ExtensionModule] = {}
    for module in modules:
        known = chosen.get(module.name)
        if known is None or place is None or place.rank(module) <= place.rank(known):
            chosen[module.name] = module
    return chosen


@functools.lru_cache(maxsize=1 << 14)
def _systems_of(filename: str, platform: str) -> frozenset[System]:
    """Return the systems that the audited platform selects from a wheel's tags."""
    try:
        tags = {tag.platform for tag in parse_wheel_filename(filename)[3]}
    except InvalidWheelFilename:
        return frozenset()
    if platform not in tags:
        try:
            accepted = set(parse_platform(platform).tags)
        except UsageError:
            return frozenset()
        tags = accepted if "any" in tags else tags & accepted
    return frozenset(system for tag in tags for system in _systems(tag, platform))


def _systems(tag: str, platform: str) -> tuple[System, ...]:
    for pattern, kind in _TAGS:
        match = pattern.fullmatch(tag)
        if match is None:
            continue
        machine = _SPELT.get(match["machine"], match["machine"])
        if machine == "universal2":
            both = ((kind, "aarch64"), (kind, "x86_64"))
            return tuple(system for system in both if platform.endswith(_ENDS[system[1]])) or both
        return ((kind, machine if machine in _MACHINES else ""),)
    return ()


def _fits_triplet(triplet: str, system: System) -> bool:
    kind, machine = system
    if kind == "macho" or "linux" not in triplet:
        return (kind == "macho") == (triplet == "darwin")
    return triplet.startswith(_TRIPLETS.get(machine, ""))


def _holds(binary: ModuleBinary, system: System) -> bool:
    """Return whether an image has the format, and the machine or an unknown one."""
    kind, machine = system
    if binary.format != kind:
        return False
    machines = {_SPELT.get(each, each) for each in (binary.machine or "").split("+")}
    return not machine or machine in machines or not machines <= _MACHINES
