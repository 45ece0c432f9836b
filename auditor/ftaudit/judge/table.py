"""The facts of one package become its verdict: the one table that decides, and nothing else decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ftaudit.judge.misfits import NOT_EMULATED, Misfit, find_misfits
from ftaudit.model import (
    ExtensionModule,
    GilDeclaration,
    ModuleRuntime,
    PackageFacts,
    Status,
    StrEnum,
    Verdict,
    WheelKind,
)
from ftaudit.target import ABI3T_SINCE, parse_target

Reasons = tuple[str, ...]

ORDER: Final = (
    (Verdict.READY, Verdict.PURE),
    (Verdict.FALLBACK,),
    (Verdict.UNKNOWN,),
    (Verdict.REENABLES_GIL,),
    (Verdict.SOURCE_ONLY,),
    (Verdict.UNAVAILABLE,),
    (Verdict.BROKEN,),
)
"""The verdicts from good to bad: as fast as can be, slower, not known, runs with the GIL, needs a build, cannot be had,
fails once it runs."""

IMPORTS_NOTHING: Final = "`ftaudit wheel` imports nothing"
"""Why the runtime tier is left out where no import was to be made."""

NO_HASH: Final = "its hash is none of those that the input allows"
"""How the index tier says that a hash left a file out."""

WORST_FIRST: Final = (
    GilDeclaration.USED,
    GilDeclaration.UNDECLARED,
    GilDeclaration.UNDETERMINED,
    GilDeclaration.NOT_USED,
)
"""What modules declare, from bad to good; the worst of them is the wheel's."""

_WOULD_SAY: Final = {
    GilDeclaration.USED: "declare that the GIL is used",
    GilDeclaration.UNDECLARED: "declare nothing, which counts as using the GIL",
    GilDeclaration.UNDETERMINED: "could not be determined",
    GilDeclaration.NOT_USED: "declare that it is not used",
}

LISTED: Final = 6
"""How many names a sentence lists before it says how many more there are."""


class Gil(StrEnum):
    """What is known of one module's effect on the GIL, all tiers taken together."""

    OFF = "leaves the GIL off"
    ON = "turns the GIL back on"
    CRASHES = "crashes"
    UNKNOWN = "could not be determined"


CRASHES: Final = frozenset({"signal", "timeout", "exit", "memory"})
"""The outcomes of an import that are the module's own fault, unless something outside it was missing."""


def module_gil(module: ExtensionModule) -> Gil:
    """Return what one module does to the GIL. A runtime answer wins over the binary's."""
    runtime, binary = module.runtime, module.binary
    if binary is not None and binary.free_threaded_build is False:
        return Gil.CRASHES
    if runtime is not None and runtime.requires_gil:
        return Gil.ON
    if runtime is not None and runtime.outcome in CRASHES and not runtime.environmental:
        return Gil.CRASHES
    if runtime is not None and runtime.imported and runtime.requires_gil is False:
        return Gil.OFF
    match binary.declaration if binary is not None else GilDeclaration.UNDETERMINED:
        case GilDeclaration.NOT_USED:
            return Gil.OFF
        case GilDeclaration.USED | GilDeclaration.UNDECLARED:
            return Gil.ON
        case GilDeclaration.UNDETERMINED:
            return Gil.UNKNOWN


def gil_of(facts: PackageFacts) -> tuple[tuple[ExtensionModule, Gil], ...]:
    """Return what each module of a package does to the GIL where the package is installed."""
    misfits = find_misfits(facts)
    return tuple(
        (module, _gil_of_misfit(misfits[module.path]) if module.path in misfits else module_gil(module))
        for module in facts.modules
    )


def _gil_of_misfit(misfit: Misfit) -> Gil:
    return Gil.CRASHES if misfit.certain else Gil.UNKNOWN


def rank(verdict: Verdict) -> int:
    """Return how bad a verdict is, from 0; `ready` and `pure` are equally good."""
    return next(number for number, equals in enumerate(ORDER) if verdict in equals)


def judge(facts: PackageFacts) -> tuple[Verdict, Reasons]:
    """Return the verdict of a package on one platform, with its reasons, the most important first."""
    for row in TABLE:
        reasons = row.reasons(facts)
        if reasons:
            return row.verdict, reasons
    raise AssertionError("the last row of the table always holds")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of the table: `reasons` returns why the verdict holds, or nothing when it does not."""

    verdict: Verdict
    reasons: Callable[[PackageFacts], Reasons]


def _unresolved(facts: PackageFacts) -> Reasons:
    return (facts.pin.problem,) if facts.pin.problem else ()


def _not_looked_up(facts: PackageFacts) -> Reasons:
    if facts.index.status is Status.DONE:
        return ()
    return (facts.index.reason or "its wheels were not looked up",)


def _has_no_wheel(facts: PackageFacts) -> bool:
    return facts.index.kind is WheelKind.NONE


def _source_only(facts: PackageFacts) -> Reasons:
    if not (_has_no_wheel(facts) and facts.index.sdist):
        return ()
    return (f"{_no_wheel(facts)}; there is an sdist to build from", *_rebuild(facts), *facts.index.excluded)


def _unavailable(facts: PackageFacts) -> Reasons:
    if not _has_no_wheel(facts):
        return ()
    return (f"{_no_wheel(facts)}, and no sdist", *_rebuild(facts), *facts.index.excluded)


def _rebuild(facts: PackageFacts) -> Reasons:
    """Say what a rebuild would do to the GIL, where one of the ordinary build's modules tells."""
    declared = {module.would_declare.declaration for module in facts.modules if module.would_declare is not None}
    return (f"a build of it {rebuilt(facts.modules)}",) if declared - {GilDeclaration.UNDETERMINED} else ()


def rebuild_declares(modules: Iterable[ExtensionModule]) -> GilDeclaration | None:
    """Return the worst that modules of the ordinary build would declare if they were rebuilt; `None` for none read."""
    declared = {module.would_declare.declaration for module in modules if module.would_declare is not None}
    return next((one for one in WORST_FIRST if one in declared), None)


def rebuilt(modules: Sequence[ExtensionModule]) -> str:
    """Say what a rebuild would do to the GIL by the ordinary build's wheel, each answer with its count."""
    read = [module.would_declare.declaration for module in modules if module.would_declare is not None]
    counts = Counter(read)
    told = [f"{counts[one]} of {len(read)} {_WOULD_SAY[one]}" for one in WORST_FIRST if counts[one]]
    match rebuild_declares(modules):
        case GilDeclaration.NOT_USED:
            would = "would leave the GIL off"
        case GilDeclaration.USED | GilDeclaration.UNDECLARED:
            would = "would turn the GIL on too"
        case _:
            would = "may or may not leave the GIL off"
    return f"{would}: of the modules in the ordinary build's wheel, {', '.join(told)}"


def _refused(facts: PackageFacts) -> Reasons:
    return tuple(f"installers refuse the wheel: {reason}" for reason in facts.binary.refused)


def _broken(facts: PackageFacts) -> Reasons:
    misfits = find_misfits(facts)
    crashes = [
        f"{module.name}: {_crash(module, misfits.get(module.path))}"
        for module, gil in gil_of(facts)
        if gil is Gil.CRASHES
    ]
    if facts.binary.status is not Status.DONE or facts.modules:
        crashes += [
            f"import {name}: {runtime.error or runtime.outcome}"
            for name, runtime in facts.runtime.toplevels
            if _fails_by_itself(name, runtime, facts.modules)
        ]
    return tuple(dict.fromkeys(crashes))


def _fails_by_itself(name: str, runtime: ModuleRuntime, modules: Iterable[ExtensionModule]) -> bool:
    """Tell whether a plain `import NAME` of a package with extension modules fails for its own fault."""
    if runtime.imported or runtime.environmental or runtime.outcome == "not-run":
        return False
    return any(module.name == name or module.name.startswith(f"{name}.") for module in modules)


def _reenables(facts: PackageFacts) -> Reasons:
    guilty = [module for module, gil in gil_of(facts) if gil is Gil.ON]
    if not guilty:
        return ()
    total = len(facts.modules)
    which = f"{len(guilty)} of {total} extension modules" if total > 1 else "its extension module"
    verb = "turn" if len(guilty) > 1 else "turns"
    reasons = [f"{which} {verb} the GIL back on: {listed(module.name for module in guilty)}"]
    kinds = dict.fromkeys(_how(module) for module in guilty)
    reasons.extend(kinds)
    innocent = [name for name, runtime in facts.runtime.toplevels if runtime.imported and not runtime.gil_enabled_after]
    if innocent:
        reasons.append(f"plain `import {innocent[0]}` leaves the GIL off; the modules above do not")
    return tuple(reasons)


def _integrity(facts: PackageFacts) -> Reasons:
    failed = [
        tier.reason
        for tier in (facts.runtime, facts.binary)
        if tier.status is Status.FAILED and tier.reason is not None
    ]
    return tuple(dict.fromkeys(failed))


def _undetermined(facts: PackageFacts) -> Reasons:
    if not facts.modules and facts.binary.status is not Status.DONE and facts.runtime.status is not Status.DONE:
        skipped = dict.fromkeys(tier.reason for tier in (facts.binary, facts.runtime) if tier.reason is not None)
        return ("no module of it was looked at: " + "; ".join(skipped or ("every tier was left out",)),)
    unknown = [module for module, gil in gil_of(facts) if gil is Gil.UNKNOWN]
    if not unknown:
        return ()
    misfits = find_misfits(facts)
    return (
        f"{len(unknown)} of {len(facts.modules)} extension modules could not be determined: "
        f"{listed(module.name for module in unknown)}",
        *_whys({module.name: _why_unknown(module, misfits.get(module.path)) for module in unknown}),
    )


def _whys(why: Mapping[str, str]) -> Reasons:
    """Return why modules could not be determined, what several have in common once."""
    counts = Counter(why.values())
    told = (text if counts[text] > 1 else f"{name}: {text}" for name, text in why.items())
    return tuple(dict.fromkeys(told))


def only_unemulated(facts: PackageFacts) -> bool:
    """Tell whether all that is unknown of a package is what modules declare whose machine ftaudit does not emulate."""
    if judge(facts)[0] is not Verdict.UNKNOWN or facts.binary.status is not Status.DONE:
        return False
    misfits = find_misfits(facts)
    unknown = [module for module, gil in gil_of(facts) if gil is Gil.UNKNOWN]
    return bool(unknown) and all(module.path not in misfits and is_unemulated(module) for module in unknown)


def is_unemulated(module: ExtensionModule) -> bool:
    """Tell whether the binary tier could not read a module for its machine alone."""
    return module.binary is not None and module.binary.how.startswith(NOT_EMULATED)


def _fallback(facts: PackageFacts) -> Reasons:
    if facts.index.kind is not WheelKind.PURE or not facts.index.compiled or facts.modules:
        return ()
    return ("the target gets the pure-Python wheel although compiled ones exist: it works, slower",)


def _pure(facts: PackageFacts) -> Reasons:
    if facts.index.kind is not WheelKind.PURE or facts.modules:
        return ()
    if facts.index.wheel is None:
        return ("a source tree without compiled sources",)
    return ("no compiled code in any wheel",)


def _ready(facts: PackageFacts) -> Reasons:
    count = len(facts.modules)
    if count == 0:
        return ("compiled code, but no extension module: nothing in it can turn the GIL on",)
    how = "imported" if any(module.runtime and module.runtime.imported for module in facts.modules) else "read"
    what = "its extension module leaves" if count == 1 else f"all {count} extension modules leave"
    return (f"{what} the GIL off ({how})",)


TABLE: Final = (
    Row(verdict=Verdict.UNKNOWN, reasons=_unresolved),
    Row(verdict=Verdict.UNKNOWN, reasons=_not_looked_up),
    Row(verdict=Verdict.SOURCE_ONLY, reasons=_source_only),
    Row(verdict=Verdict.UNAVAILABLE, reasons=_unavailable),
    Row(verdict=Verdict.BROKEN, reasons=_refused),
    Row(verdict=Verdict.BROKEN, reasons=_broken),
    Row(verdict=Verdict.REENABLES_GIL, reasons=_reenables),
    Row(verdict=Verdict.UNKNOWN, reasons=_integrity),
    Row(verdict=Verdict.FALLBACK, reasons=_fallback),
    Row(verdict=Verdict.PURE, reasons=_pure),
    Row(verdict=Verdict.UNKNOWN, reasons=_undetermined),
    Row(verdict=Verdict.READY, reasons=_ready),
)
"""The first row whose reasons hold gives the verdict; `ready` is what is left when nothing stands against it."""


def listed(names: Iterable[str]) -> str:
    """Join names with commas, the first few of many."""
    every = list(names)
    more = f" and {len(every) - LISTED} more" if len(every) > LISTED else ""
    return ", ".join(every[:LISTED]) + more


def left_out_by_hashes(facts: PackageFacts) -> bool:
    """Tell whether a wheel would fit, but for the hashes that the input allows."""
    return any(reason.endswith(NO_HASH) for reason in facts.index.excluded)


def _no_wheel(facts: PackageFacts) -> str:
    target = parse_target(facts.target)
    wanted = target.abi if target.version < ABI3T_SINCE else f"{target.abi} or abi3t"
    if left_out_by_hashes(facts):
        return f"a wheel for {facts.platform} exists, but the hashes of the input leave it out"
    text = f"no {wanted} wheel for {'any platform' if facts.platform == 'any' else facts.platform}"
    if facts.index.origin == "file":
        text += " among the files given"
    if facts.index.other_platforms:
        text += f" (there is one for {listed(facts.index.other_platforms)})"
    elif facts.index.gil_wheel:
        text += " (the ordinary build has one)"
    elif not facts.index.wheels:
        text = f"no wheel at all for {facts.pin.version}"
    return text


def _crash(module: ExtensionModule, misfit: Misfit | None) -> str:
    told = [misfit.reason] if misfit is not None else []
    if module.binary is not None and module.binary.free_threaded_build is False:
        told.append(f"compiled for the build with the GIL ({module.binary.free_threaded_evidence})")
    if told:
        return "; ".join(told)
    return (module.runtime.error or module.runtime.outcome) if module.runtime else "crashes"


def _how(module: ExtensionModule) -> str:
    """Say in one sentence what the guilty module declares, and by which evidence that is known."""
    binary = module.binary
    seen = "seen on import" if module.runtime and module.runtime.requires_gil else "read from the binary"
    made = f"{binary.framework} {binary.framework_version or ''}".strip() if binary and binary.framework else None
    by = f" ({made})" if made else ""
    match binary.declaration if binary else None:
        case GilDeclaration.USED:
            return f"declares Py_MOD_GIL_USED{by}, {seen}"
        case GilDeclaration.UNDECLARED:
            return f"does not declare Py_MOD_GIL_NOT_USED{by}, {seen}"
        case GilDeclaration.NOT_USED:
            return f"its binary declares Py_MOD_GIL_NOT_USED{by}, yet CPython turns the GIL on when it is imported"
        case _:
            return f"does not leave the GIL off{by}, {seen}"


def _why_unknown(module: ExtensionModule, misfit: Misfit | None) -> str:
    if misfit is not None:
        return f"{misfit.reason}; left from another build, or missing for this one"
    told = []
    if module.binary is not None:
        told.append(f"binary: {module.binary.how}")
    if module.runtime is not None:
        told.append(f"import: {module.runtime.error or module.runtime.outcome}")
    return "; ".join(told) or "no tier looked at it"
