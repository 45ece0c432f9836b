"""What each tier of evidence says about a package, as sentences that several formats print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ftaudit.model import (
    BinaryFacts,
    DistributionFile,
    ExtensionModule,
    Finding,
    Gap,
    GilDeclaration,
    IndexFacts,
    ModuleRuntime,
    Package,
    PackageFacts,
    RuntimeFacts,
    SourceFacts,
    Status,
    StressFacts,
    WheelKind,
)
from ftaudit.model.sentences import exclusion, failure_sentence, gap_phrase, stress_sentence
from ftaudit.report.package.agreeing_rows import counted

_KINDS = {
    WheelKind.FREE_THREADED: "a free-threaded wheel",
    WheelKind.ABI3T: "a stable-ABI wheel for free-threaded builds",
    WheelKind.NATIVE: "a wheel with compiled code that is not bound to an ABI",
    WheelKind.PURE: "a pure-Python wheel",
    WheelKind.NONE: "no wheel that fits the target",
}
_DECLARES = {
    GilDeclaration.NOT_USED: "leaves the GIL off",
    GilDeclaration.USED: "declares that it uses the GIL",
    GilDeclaration.UNDECLARED: "does not declare anything, which counts as using the GIL",
    GilDeclaration.UNDETERMINED: "could not be determined",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tier:
    """One tier's answer."""

    name: str
    """`index`, `binary`, `import`, `source` or `stress`."""
    status: Status
    lines: tuple[str, ...]
    """Sentences, the most important first. Never empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleGroup:
    """The extension modules with the same answer from every tier."""

    names: tuple[str, ...]
    binary: str
    runtime: str
    would_declare: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """The findings of one rule on one package whose text differs only in the module."""

    finding: Finding
    count: int


def tiers(facts: PackageFacts) -> tuple[Tier, ...]:
    """Return the answer of each tier, from cheap to certain; a tier that was not used reports that."""
    return (
        Tier(name="index", status=facts.index.status, lines=tuple(_index(facts.index))),
        Tier(name="binary", status=facts.binary.status, lines=tuple(_binary(facts.binary))),
        Tier(name="import", status=facts.runtime.status, lines=tuple(_runtime(facts.runtime))),
        Tier(name="source", status=facts.source.status, lines=tuple(_source(facts.source))),
        Tier(name="stress", status=facts.stress.status, lines=tuple(_stress(facts.stress))),
    )


def module_groups(modules: Iterable[ExtensionModule]) -> tuple[ModuleGroup, ...]:
    """Return the modules grouped by their text, the largest group last, so that exceptions come first."""
    groups: dict[tuple[str, str, str | None], list[str]] = {}
    for module in modules:
        would = None if module.would_declare is None else _DECLARES[module.would_declare.declaration]
        groups.setdefault((_declared(module), _ran(module.runtime, module.name), would), []).append(module.name)
    made = [
        ModuleGroup(names=tuple(names), binary=binary, runtime=runtime, would_declare=would)
        for (binary, runtime, would), names in groups.items()
    ]
    return tuple(sorted(made, key=lambda group: len(group.names)))


def remarks(package: Package) -> tuple[Remark, ...]:
    """Return what the rules report about the package, each rule once; the source tier summarizes the sdist's scan."""
    scanned = set(package.facts.source.findings)
    groups: dict[str, list[Finding]] = {}
    for finding in package.findings:
        if finding not in scanned:
            groups.setdefault(finding.code, []).append(finding)
    return tuple(Remark(finding=found[0], count=len(found)) for _, found in sorted(groups.items()))


def _not_asked(status: Status, reason: Gap | None) -> str:
    why = "no reason given" if reason is None else gap_phrase(reason)
    return f"{'failed' if status is Status.FAILED else 'not checked'}: {why}"


def _index(facts: IndexFacts) -> Iterator[str]:
    if facts.status is not Status.DONE:
        yield _not_asked(facts.status, facts.reason)
        return
    what = _KINDS[facts.kind] + (f": {facts.wheel.filename}" if facts.wheel else "")
    yield what + (f" (from the {facts.origin})" if facts.origin and facts.wheel else "")
    if facts.kind is WheelKind.NONE:
        yield f"an sdist: {facts.sdist.filename}" if facts.sdist else "no sdist"
        yield from _gil_wheel(facts.gil_wheel)
    if facts.other_platforms:
        yield f"free-threaded wheels for {', '.join(facts.other_platforms[:8])}"
    yield from (f"skipped: {file.filename}: {exclusion(file)}" for file in facts.excluded[:8])
    yield from facts.warnings


def _gil_wheel(file: DistributionFile | None) -> Iterator[str]:
    if file is not None:
        yield f"the GIL-enabled build has {file.filename}"


def _binary(facts: BinaryFacts) -> Iterator[str]:
    if facts.status is not Status.DONE:
        yield _not_asked(facts.status, facts.reason)
        return
    declared: dict[GilDeclaration, int] = {}
    for module in facts.modules:
        if module.binary is not None:
            declared[module.binary.declaration] = declared.get(module.binary.declaration, 0) + 1
    text = ", ".join(f"{count} {declaration.value}" for declaration, count in declared.items())
    yield f"{counted(len(facts.modules), 'extension module')} read" + (f": {text}" if text else "")
    if facts.classifiers:
        yield f"claims {'; '.join(facts.classifiers)}"
    yield from facts.problems


def _runtime(facts: RuntimeFacts) -> Iterator[str]:
    if facts.status is not Status.DONE:
        yield _not_asked(facts.status, facts.reason)
        return
    ran = [module.runtime for module in facts.modules if module.runtime is not None]
    guilty = sum(bool(runtime.requires_gil) for runtime in ran)
    done = sum(runtime.imported for runtime in ran)
    yield f"{done} of {counted(len(ran), 'module')} imported, {guilty} of them requiring the GIL" if ran else "imported"
    for name, runtime in facts.toplevels[:8]:
        yield f"import {name}: {_ran(runtime, name)}"
    yield from facts.notes


def _source(facts: SourceFacts) -> Iterator[str]:
    if facts.status is not Status.DONE:
        yield _not_asked(facts.status, facts.reason)
        return
    unread = f", {counted(facts.unread, 'file')} could not be read" if facts.unread else ""
    yield f"{counted(len(facts.findings), 'finding')} in {facts.sdist}{unread}"


def _stress(facts: StressFacts) -> Iterator[str]:
    if facts.status is not Status.DONE:
        yield _not_asked(facts.status, facts.reason)
        if not facts.callables:
            return
    yield stress_sentence(facts)
    yield from map(failure_sentence, facts.failures)


def _declared(module: ExtensionModule) -> str:
    if module.binary is None:
        return "not read"
    binary = module.binary
    made = f"{binary.framework} {binary.framework_version or ''}".strip() if binary.framework else ""
    why = f": {binary.how}" if binary.declaration is GilDeclaration.UNDETERMINED else ""
    return _DECLARES[binary.declaration] + why + (f" ({made})" if made else "")


def _ran(runtime: ModuleRuntime | None, name: str) -> str:
    if runtime is None:
        return "not imported"
    if not runtime.imported:
        return f"{runtime.outcome}: {runtime.error}" if runtime.error else runtime.outcome
    if runtime.requires_gil:
        return "turns the GIL back on"
    if runtime.gil_enabled_after:
        through = [culprit for culprit in runtime.culprits if culprit != name][:3]
        return "the GIL is on" + (f" through {', '.join(through)}" if through else "")
    return "leaves the GIL off"
