"""The one place where reasons become English. Nothing reads these sentences back: what decides is the value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ftaudit.model.reasons import (
    AllOff,
    Contested,
    Declares,
    Excluded,
    Exclusion,
    ImportFails,
    Lack,
    Misfit,
    ModuleFails,
    NothingLookedAt,
    NotLookedUp,
    NoWheel,
    PlainImportOff,
    Plainly,
    Reason,
    Rebuild,
    Refused,
    StartUpFails,
    System,
    TierFailed,
    TiersDisagree,
    TurnsOn,
    TurnsOnAtStartUp,
    TurnsOnUnlisted,
    TurnsOnUnnamed,
    Undetermined,
    Unresolved,
    WhyUndetermined,
    WrongImage,
    WrongSuffix,
)
from ftaudit.model.refusals import describe_refusal
from ftaudit.model.words import GilDeclaration

LISTED: Final = 6
"""How many names a sentence lists before it says how many more there are."""
SEVERAL: Final = "these platforms"
"""Stands for the platform where a sentence is about several."""
_FORMATS: Final = {"elf": "Linux", "macho": "macOS", "pe": "Windows"}
_WOULD_DECLARE: Final = {
    GilDeclaration.USED: "declare that the GIL is used",
    GilDeclaration.UNDECLARED: "declare nothing, which counts as using the GIL",
    GilDeclaration.UNDETERMINED: "could not be determined",
    GilDeclaration.NOT_USED: "declare that it is not used",
}
_REBUILT: Final = {
    GilDeclaration.USED: "would turn the GIL on too",
    GilDeclaration.UNDECLARED: "would turn the GIL on too",
    GilDeclaration.UNDETERMINED: "may or may not leave the GIL off",
    GilDeclaration.NOT_USED: "would leave the GIL off",
}
_PLAINLY: Final = {
    Plainly.FALLBACK: "the target gets the pure-Python wheel although compiled ones exist: it works, slower",
    Plainly.NO_COMPILED_CODE: "no compiled code in any wheel",
    Plainly.SOURCE_TREE: "a source tree without compiled sources",
    Plainly.BUILT_FROM_SOURCE: "built from source: there is no wheel, and nothing in the sdist is compiled",
    Plainly.NO_EXTENSION_MODULE: "compiled code, but no extension module: nothing in it can turn the GIL on",
}


def listed(names: Iterable[str]) -> str:
    """Join names with commas, the first few of many."""
    every = list(names)
    more = f" and {len(every) - LISTED} more" if len(every) > LISTED else ""
    return ", ".join(every[:LISTED]) + more


def sentences(reasons: Iterable[Reason], where: str) -> tuple[str, ...]:
    """Return reasons in words, in their order."""
    return tuple(sentence(reason, where) for reason in reasons)


def sentence(reason: Reason, where: str) -> str:
    """Return a reason in words; `where` names the platform, or the platforms that share it."""
    match reason:
        case Unresolved():
            return reason.problem
        case NotLookedUp():
            return reason.told or "its wheels were not looked up"
        case NoWheel():
            tail = "; there is an sdist to build from" if reason.sdist else ", and no sdist"
            if reason.sdist_excluded is not None:
                tail = f", and its sdist {exclusion(reason.sdist_excluded)}"
            head = "compiled for an older Python: " if reason.older else ""
            return f"{head}{_no_wheel(reason, where)}{tail}"
        case Rebuild():
            return f"a build of it {rebuilt(reason)}"
        case Excluded():
            return f"{reason.filename}: {exclusion(reason)}"
        case Refused():
            return f"installers refuse the wheel: {reason.told}"
        case ModuleFails():
            return f"{reason.module}: {_failure(reason)}"
        case ImportFails():
            return f"import {reason.name}: {reason.told}"
        case StartUpFails():
            return f"{reason.file} runs when an interpreter starts, and ends it: {reason.told}"
        case TurnsOnAtStartUp():
            return f"{reason.file} runs when an interpreter starts, and turns the GIL on"
        case TurnsOnUnlisted():
            return f"its import turns the GIL on through a module that no wheel lists: {listed(reason.modules)}"
        case TurnsOnUnnamed():
            return f"the GIL is on after `import {reason.name}`, and what turned it on could not be named"
        case Contested():
            order = "which of the two is loaded depends on the order of installation"
            return f"{reason.other} has a different {reason.file}: {order}"
        case TiersDisagree():
            return f"{reason.module}: its binary says {reason.declaration}, but its import left the GIL off"
        case TurnsOn():
            which = _of(len(reason.modules), reason.total)
            verb = "turn" if len(reason.modules) > 1 else "turns"
            return f"{which} {verb} the GIL back on: {listed(reason.modules)}"
        case Declares():
            return _declares(reason)
        case PlainImportOff():
            if reason.lazily:
                way = " → ".join(reason.lazily)
                return f"plain `import {reason.name}` leaves the GIL off until a lazy import is resolved: {way}"
            return f"plain `import {reason.name}` leaves the GIL off; the modules above do not"
        case TierFailed():
            return reason.told
        case NothingLookedAt():
            return "no module of it was looked at: " + "; ".join(reason.why or ("every tier was left out",))
        case Undetermined():
            found = f"{len(reason.modules)} of {reason.total} extension modules could not be determined"
            return f"{found}: {listed(reason.modules)}"
        case WhyUndetermined():
            why = "; ".join(_why_undetermined(reason)) or "no tier looked at it"
            return why if reason.module is None else f"{reason.module}: {why}"
        case Plainly():
            return _PLAINLY[reason]
        case AllOff():
            what = "its extension module leaves" if reason.total == 1 else f"all {reason.total} extension modules leave"
            return f"{what} the GIL off ({'imported' if reason.imported else 'read'})"


def names_platform(reason: Reason) -> bool:
    """Return whether the sentence of a reason names the platform, so that nobody has to add it."""
    return isinstance(reason, NoWheel) and reason.there is not Lack.NOTHING


def exclusion(excluded: Excluded) -> str:
    """Return why a file is left out, in a phrase."""
    match excluded.by:
        case Exclusion.REQUIRES_PYTHON:
            return f"requires Python {excluded.wanted}, the target is {excluded.has}"
        case Exclusion.NO_BINARY:
            return "the input allows no wheel of it (--no-binary)"
        case Exclusion.ONLY_BINARY:
            return "is not built, because the input allows wheels alone (--only-binary)"
        case Exclusion.HASH:
            return "its hash is none of those that the input allows"
        case Exclusion.SYSTEM:
            return f"needs {excluded.wanted}, the platform has {excluded.has}"


def misfit_phrase(misfit: Misfit) -> str:
    """Return why a module's file cannot be imported, in a phrase that goes on from its name."""
    match misfit.what:
        case WrongSuffix(suffix=suffix, executable=executable):
            return f"{executable} does not look for {suffix} files"
        case WrongImage(is_for=is_for, wanted=wanted):
            return f"compiled for {_system(is_for)}, in a wheel for {' and '.join(map(_system, wanted))}"


def rebuilt(rebuild: Rebuild) -> str:
    """Return what a rebuild would do to the GIL, each answer with its count."""
    total = sum(count for _, count in rebuild.counts)
    told = ", ".join(f"{count} of {total} {_WOULD_DECLARE[one]}" for one, count in rebuild.counts)
    return f"{_REBUILT[rebuild.worst]}: of the modules in the ordinary build's wheel, {told}"


def _no_wheel(reason: NoWheel, where: str) -> str:
    if reason.there is Lack.REFUSED:
        return f"a wheel for {where} exists, but the input allows none of it (--no-binary)"
    if reason.there is Lack.HASHES:
        return f"a wheel for {where} exists, but the hashes of the input leave it out"
    if reason.there is Lack.NOTHING:
        return f"no wheel at all for {reason.version}"
    text = f"no {' or '.join(reason.wanted)} wheel for {'any platform' if where == 'any' else where}"
    text += " among the files given" if reason.given else ""
    match reason.there:
        case Lack.ELSEWHERE:
            return f"{text} (there is one for {listed(reason.elsewhere)})"
        case Lack.ORDINARY:
            return f"{text} (the ordinary build has one)"
        case _:
            return text


def _failure(reason: ModuleFails) -> str:
    told = [] if reason.misfit is None else [misfit_phrase(reason.misfit)]
    if reason.gil_build:
        told.append(f"compiled for the build with the GIL ({reason.evidence})")
    if reason.refusal is not None:
        told.append(describe_refusal(reason.refusal, reason.version))
    return "; ".join(told) or reason.told or "crashes"


def _of(number: int, total: int) -> str:
    return f"{number} of {total} extension modules" if total > 1 else "its extension module"


def _declares(reason: Declares) -> str:
    """Say what the guilty module declares, and by which evidence that is known."""
    seen = "seen on import" if reason.seen else "read from the binary"
    by = f" ({reason.made_with})" if reason.made_with else ""
    match reason.declaration:
        case GilDeclaration.USED:
            return f"declares Py_MOD_GIL_USED{by}, {seen}"
        case GilDeclaration.UNDECLARED:
            return f"does not declare Py_MOD_GIL_NOT_USED{by}, {seen}"
        case GilDeclaration.NOT_USED:
            return f"its binary declares Py_MOD_GIL_NOT_USED{by}, yet CPython turns the GIL on when it is imported"
        case GilDeclaration.UNDETERMINED | None:
            return f"does not leave the GIL off{by}, {seen}"


def _why_undetermined(reason: WhyUndetermined) -> Iterator[str]:
    if reason.misfit is not None:
        yield f"{misfit_phrase(reason.misfit)}; left from another build, or missing for this one"
        return
    if reason.binary is not None:
        yield f"binary: {reason.binary}"
    if reason.runtime is not None:
        yield f"import: {reason.runtime}"


def _system(system: System) -> str:
    kind, machine = system
    return f"{_FORMATS.get(kind, kind)} {machine}".rstrip()
