"""Turns the facts about one package into its verdict: this table is the only place that decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ftaudit.cpython.versions import ABI3T_SINCE
from ftaudit.judge.gil import CRASHES, Gil, gil_of, tiers_disagree
from ftaudit.judge.misfits import find_misfits
from ftaudit.judge.rebuild import find_rebuild
from ftaudit.model import ExtensionModule, ModuleRuntime, PackageFacts, Status, Verdict, WheelKind
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
    Reasons,
    RefusedWheel,
    StartUpFails,
    TierFailed,
    TiersDisagree,
    TurnsOn,
    TurnsOnAtStartUp,
    TurnsOnUnlisted,
    TurnsOnUnnamed,
    Undetermined,
    Unresolved,
    WhyUndetermined,
)
from ftaudit.target import parse_target

ORDER: Final = (
    (Verdict.READY, Verdict.PURE),
    (Verdict.FALLBACK,),
    (Verdict.UNKNOWN,),
    (Verdict.REENABLES_GIL,),
    (Verdict.SOURCE_ONLY,),
    (Verdict.UNAVAILABLE,),
    (Verdict.BROKEN,),
)
"""The verdicts from good to bad: fast, slower, unknown, runs with the GIL, needs a build, unavailable, fails at run
time.
"""


def rank(verdict: Verdict) -> int:
    """Return the rank of a verdict, from 0 for the best; `ready` and `pure` have the same rank."""
    return next(number for number, equals in enumerate(ORDER) if verdict in equals)


def judge(facts: PackageFacts) -> tuple[Verdict, Reasons]:
    """Return the verdict of a package on one platform, with its reasons, the most important first."""
    for row in TABLE:
        reasons = row.reasons(facts)
        if reasons:
            return row.verdict, reasons
    raise AssertionError("the last row of the table always holds")


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    """One row of the table: `reasons` returns why the verdict applies, or nothing if it does not."""

    verdict: Verdict
    reasons: Callable[[PackageFacts], Reasons]


def _unresolved(facts: PackageFacts) -> Reasons:
    return (Unresolved(problem=facts.pin.problem),) if facts.pin.problem else ()


def _not_looked_up(facts: PackageFacts) -> Reasons:
    return () if facts.index.status is Status.DONE else (NotLookedUp(gap=facts.index.reason),)


def _source_only(facts: PackageFacts) -> Reasons:
    return _without_wheel(facts) if facts.index.sdist else ()


def _unavailable(facts: PackageFacts) -> Reasons:
    return _without_wheel(facts)


def _without_wheel(facts: PackageFacts) -> Reasons:
    if facts.index.kind is not WheelKind.NONE:
        return ()
    target, index = parse_target(facts.target), facts.index
    lack = NoWheel(
        there=_what_is_there(facts),
        wanted=(target.abi,) if target.version < ABI3T_SINCE else (target.abi, "abi3t"),
        sdist=index.sdist is not None,
        sdist_excluded=None if index.sdist is not None else _sdist_excluded(facts),
        older=index.sdist is None and _is_older(facts),
        version=None if facts.pin.version is None else str(facts.pin.version),
        elsewhere=index.other_platforms,
        given=index.origin == "file",
    )
    rebuild = find_rebuild(facts.modules)
    excluded = index.excluded if lack.sdist_excluded is None else tuple(e for e in index.excluded if e.is_wheel)
    return (lack, *((rebuild,) if rebuild is not None and rebuild.tells else ()), *excluded)


def _sdist_excluded(facts: PackageFacts) -> Excluded | None:
    return next((excluded for excluded in facts.index.excluded if not excluded.is_wheel), None)


def _is_older(facts: PackageFacts) -> bool:
    """Return whether the sdist is for older versions of Python than the target."""
    excluded = _sdist_excluded(facts)
    return excluded is not None and excluded.by is Exclusion.REQUIRES_PYTHON and excluded.older


def _what_is_there(facts: PackageFacts) -> Lack:
    index = facts.index
    if any(excluded.by is Exclusion.NO_BINARY for excluded in index.excluded):
        return Lack.REFUSED
    if left_out_by_hashes(facts):
        return Lack.HASHES
    if index.other_platforms:
        return Lack.ELSEWHERE
    if index.gil_wheel:
        return Lack.ORDINARY
    return Lack.OTHER if index.wheels else Lack.NOTHING


def left_out_by_hashes(facts: PackageFacts) -> bool:
    """Return whether a wheel would fit if the input's hashes are ignored."""
    return any(excluded.by is Exclusion.HASH for excluded in facts.index.excluded)


def _refused(facts: PackageFacts) -> Reasons:
    return tuple(RefusedWheel(detail=text) for text in facts.binary.refused)


def _broken(facts: PackageFacts) -> Reasons:
    misfits, version = find_misfits(facts), parse_target(facts.target).version
    failing: list[Reason] = [
        StartUpFails(file=file, detail=ran.error or ran.outcome)
        for file, ran in facts.runtime.startup
        if ran.outcome in CRASHES and not ran.environmental
    ]
    failing += [
        _failure(module, misfits.get(module.path), version) for module, gil in gil_of(facts) if gil is Gil.CRASHES
    ]
    if facts.binary.status is not Status.DONE or facts.modules:
        failing += [
            ImportFails(name=name, detail=runtime.error or runtime.outcome)
            for name, runtime in facts.runtime.toplevels
            if _fails_by_itself(name, runtime, facts.modules)
        ]
    return tuple(dict.fromkeys(failing))


def _failure(module: ExtensionModule, misfit: Misfit | None, version: tuple[int, int]) -> ModuleFails:
    gil_build = module.binary is not None and module.binary.free_threaded_build is False
    return ModuleFails(
        module=module.name,
        misfit=misfit,
        gil_build=gil_build,
        evidence=module.binary.free_threaded_evidence if gil_build and module.binary else None,
        refusal=module.binary.refusal if misfit is None and module.binary else None,
        version=version,
        detail=(module.runtime.error or module.runtime.outcome) if module.runtime else None,
    )


def _fails_by_itself(name: str, runtime: ModuleRuntime, modules: Iterable[ExtensionModule]) -> bool:
    """Return whether a plain `import NAME` of a package with extension modules fails through its own fault."""
    if runtime.imported or runtime.environmental or runtime.outcome == "not-run":
        return False
    return any(module.name == name or module.name.startswith(f"{name}.") for module in modules)


def _reenables(facts: PackageFacts) -> Reasons:
    guilty = [module for module, gil in gil_of(facts) if gil is Gil.ON]
    if not guilty:
        return tuple(dict.fromkeys(_turned_on_elsewhere(facts)))
    names = tuple(module.name for module in guilty)
    innocent = [pair for pair in facts.runtime.toplevels if pair[1].imported and not pair[1].gil_enabled_after]
    return (
        TurnsOn(modules=names, total=len(facts.modules)),
        *dict.fromkeys(map(_declared, guilty)),
        *dict.fromkeys(_turned_on_elsewhere(facts)),
        *(PlainImportOff(name=name, lazily=runtime.lazy_chain) for name, runtime in innocent[:1]),
    )


def _turned_on_elsewhere(facts: PackageFacts) -> Iterator[Reason]:
    """Yield how the package enables the GIL, if none of its extension modules does."""
    runtime = facts.runtime
    yield from (TurnsOnAtStartUp(file=file) for file, ran in runtime.startup if ran.gil_enabled_after)
    if runtime.unlisted:
        yield TurnsOnUnlisted(modules=runtime.unlisted)
        return
    modules = ((module.name, module.runtime) for module in facts.modules if module.runtime is not None)
    yield from (TurnsOnUnnamed(name=name) for name, ran in (*runtime.toplevels, *modules) if ran.unexplained)


def _declared(module: ExtensionModule) -> Declares:
    binary = module.binary
    made = f"{binary.framework} {binary.framework_version or ''}".strip() if binary and binary.framework else None
    return Declares(
        declaration=binary.declaration if binary else None,
        made_with=made,
        seen=bool(module.runtime and module.runtime.requires_gil),
    )


def _integrity(facts: PackageFacts) -> Reasons:
    failed = (tier.reason for tier in (facts.runtime, facts.binary) if tier.status is Status.FAILED)
    contested = dict(facts.runtime.contested)
    return (
        *(TierFailed(gap=gap) for gap in dict.fromkeys(failed) if gap is not None),
        *(
            Contested(file=module.path, other=contested[module.path])
            for module in facts.modules
            if module.path in contested
        ),
    )


def _undetermined(facts: PackageFacts) -> Reasons:
    if not facts.modules and facts.binary.status is not Status.DONE and facts.runtime.status is not Status.DONE:
        skipped = dict.fromkeys(tier.reason for tier in (facts.binary, facts.runtime) if tier.reason is not None)
        return (NothingLookedAt(why=tuple(skipped)),)
    unknown = [module for module, gil in gil_of(facts) if gil is Gil.UNKNOWN]
    if not unknown:
        return ()
    names = tuple(module.name for module in unknown)
    disagree = [module for module in unknown if tiers_disagree(module)]
    others = [module for module in unknown if module not in disagree]
    return (
        Undetermined(modules=names, total=len(facts.modules)),
        *(
            TiersDisagree(module=module.name, declaration=module.binary.declaration)
            for module in disagree
            if module.binary is not None
        ),
        *_whys(others, find_misfits(facts)),
    )


def _whys(unknown: Iterable[ExtensionModule], misfits: Mapping[str, Misfit]) -> Iterator[Reason]:
    """Yield why modules could not be determined; a shared reason appears once."""
    why = {module.name: _why_unknown(module, misfits.get(module.path)) for module in unknown}
    counts = Counter(why.values())
    shared = (one if counts[one] > 1 else replace(one, module=name) for name, one in why.items())
    yield from dict.fromkeys(shared)


def _why_unknown(module: ExtensionModule, misfit: Misfit | None) -> WhyUndetermined:
    return WhyUndetermined(
        module=None,
        misfit=misfit,
        binary=None if module.binary is None else module.binary.how,
        runtime=None if module.runtime is None else module.runtime.error or module.runtime.outcome,
    )


def only_unemulated(facts: PackageFacts) -> bool:
    """Return whether a package is unknown only because ftaudit does not emulate the machine of its modules."""
    if judge(facts)[0] is not Verdict.UNKNOWN or facts.binary.status is not Status.DONE:
        return False
    misfits = find_misfits(facts)
    unknown = [module for module, gil in gil_of(facts) if gil is Gil.UNKNOWN]
    return bool(unknown) and all(module.path not in misfits and is_unemulated(module) for module in unknown)


def is_unemulated(module: ExtensionModule) -> bool:
    """Return whether the binary tier could not read a module only because of its machine."""
    return module.binary is not None and module.binary.not_emulated


def _fallback(facts: PackageFacts) -> Reasons:
    if facts.index.kind is not WheelKind.PURE or not facts.index.compiled or gil_of(facts):
        return ()
    return (Plainly.FALLBACK,)


def _pure(facts: PackageFacts) -> Reasons:
    if facts.index.kind is not WheelKind.PURE or gil_of(facts):
        return ()
    if facts.index.built_from_source:
        return (Plainly.BUILT_FROM_SOURCE,)
    is_tree = facts.index.wheel is None and facts.pin.on_disk is None
    return (Plainly.SOURCE_TREE if is_tree else Plainly.NO_COMPILED_CODE,)


def _ready(facts: PackageFacts) -> Reasons:
    if not facts.modules:
        return (Plainly.NO_EXTENSION_MODULE,)
    imported = any(module.runtime and module.runtime.imported for module in facts.modules)
    return (AllOff(total=len(facts.modules), imported=imported),)


TABLE: Final = (
    TableRow(verdict=Verdict.UNKNOWN, reasons=_unresolved),
    TableRow(verdict=Verdict.UNKNOWN, reasons=_not_looked_up),
    TableRow(verdict=Verdict.SOURCE_ONLY, reasons=_source_only),
    TableRow(verdict=Verdict.UNAVAILABLE, reasons=_unavailable),
    TableRow(verdict=Verdict.BROKEN, reasons=_refused),
    TableRow(verdict=Verdict.BROKEN, reasons=_broken),
    TableRow(verdict=Verdict.REENABLES_GIL, reasons=_reenables),
    TableRow(verdict=Verdict.UNKNOWN, reasons=_integrity),
    TableRow(verdict=Verdict.FALLBACK, reasons=_fallback),
    TableRow(verdict=Verdict.PURE, reasons=_pure),
    TableRow(verdict=Verdict.UNKNOWN, reasons=_undetermined),
    TableRow(verdict=Verdict.READY, reasons=_ready),
)
"""The first row with reasons determines the verdict; `ready` remains if no row applies."""
