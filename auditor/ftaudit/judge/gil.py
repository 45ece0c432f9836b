"""The effect of each extension module on the GIL, from all tiers. All code that needs this answer gets it here."""

from __future__ import annotations

from typing import Final

from ftaudit.judge.misfits import find_misfits
from ftaudit.model import ExtensionModule, GilDeclaration, PackageFacts, StrEnum, WheelKind


class Gil(StrEnum):
    """The known effect of one module on the GIL, from all tiers."""

    OFF = "leaves the GIL off"
    ON = "turns the GIL back on"
    CRASHES = "crashes"
    UNKNOWN = "could not be determined"


CRASHES: Final = frozenset({"signal", "timeout", "exit", "memory"})
"""The import outcomes that are the module's own fault, unless something outside it was missing."""


def module_gil(module: ExtensionModule) -> Gil:
    """Return the effect of one module on the GIL wherever it can be loaded.

    A runtime answer overrides the binary's if it is worse. An import that leaves the GIL disabled although the binary
    declares otherwise decides nothing: code in the process may have changed the result.
    """
    runtime, binary = module.runtime, module.binary
    if binary is not None and binary.free_threaded_build is False:
        return Gil.CRASHES
    imported = runtime is not None and runtime.imported
    if binary is not None and binary.refusal is not None and not imported:
        return Gil.CRASHES
    if runtime is not None and runtime.requires_gil:
        return Gil.ON
    if runtime is not None and runtime.outcome in CRASHES and not runtime.environmental:
        return Gil.CRASHES
    if runtime is not None and runtime.imported and runtime.requires_gil is False:
        return Gil.UNKNOWN if tiers_disagree(module) else Gil.OFF
    match binary.declaration if binary is not None else GilDeclaration.UNDETERMINED:
        case GilDeclaration.NOT_USED:
            return Gil.OFF
        case GilDeclaration.USED | GilDeclaration.UNDECLARED:
            return Gil.ON
        case GilDeclaration.UNDETERMINED:
            return Gil.UNKNOWN


def tiers_disagree(module: ExtensionModule) -> bool:
    """Return whether an import left the GIL disabled although the module's binary says that it enables the GIL."""
    on = binary_turns_on(module)
    return on and module.runtime is not None and module.runtime.imported and module.runtime.requires_gil is False


def binary_turns_on(module: ExtensionModule) -> bool:
    """Return whether the module's binary says that it enables the GIL."""
    return module.binary is not None and module.binary.declaration in (GilDeclaration.USED, GilDeclaration.UNDECLARED)


def gil_of(facts: PackageFacts) -> tuple[tuple[ExtensionModule, Gil], ...]:
    """Return the effect of each module of a package on the GIL at the place of installation."""
    misfits = find_misfits(facts)
    # Only one of a module's files is loaded: a file for another build next to it has no effect.
    loaded = {module.name for module in facts.modules if module.path not in misfits}
    # A wheel for every platform contains files that only some platforms can load.
    anywhere = facts.index.kind is WheelKind.PURE
    return tuple(
        (module, (Gil.CRASHES if misfits[module.path].certain else Gil.UNKNOWN))
        if module.path in misfits
        else (module, module_gil(module))
        for module in facts.modules
        if module.path not in misfits or not (module.name in loaded or (anywhere and misfits[module.path].of_image))
    )


def guilty_modules(facts: PackageFacts) -> tuple[ExtensionModule, ...]:
    """Return the modules of a package that enable the GIL again."""
    return tuple(module for module, gil in gil_of(facts) if gil is Gil.ON)
