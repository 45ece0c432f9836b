"""The only place that turns reasons and steps into English. No code parses the sentences: decisions use the values."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from typing import Final

from ftaudit.model.build_sentences import WOULD, in_source
from ftaudit.model.facts import PackageFacts, StoreOrigin
from ftaudit.model.gaps import Gap, GapKind
from ftaudit.model.plans import Candidate, Fate
from ftaudit.model.reasons import (
    AllOff,
    Contested,
    Declares,
    Excluded,
    Exclusion,
    ImportFails,
    InSource,
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
    RefusedWheel,
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
from ftaudit.model.steps import (
    Download,
    GoodRelease,
    ImportThere,
    Lead,
    MakeWheel,
    NoGoodRelease,
    NoLead,
    NothingLater,
    Remedy,
    Simply,
    Step,
    Upgrade,
)
from ftaudit.model.stress_facts import StressEnd, StressFacts, StressFailure, StressFailureKind
from ftaudit.model.words import GilDeclaration, Status, Verdict

LISTED: Final = 6
"""How many names a sentence lists before it only counts the rest."""
THESE: Final = "these platforms"
"""Replaces the platform if a sentence is about several."""
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
    Plainly.FALLBACK: "installers choose the pure-Python wheel, although compiled wheels exist: it works, but slower",
    Plainly.NO_COMPILED_CODE: "no compiled code in any wheel",
    Plainly.SOURCE_TREE: "a source tree without compiled sources",
    Plainly.BUILT_FROM_SOURCE: "built from source: no wheel, and nothing in the sdist is compiled",
    Plainly.NO_EXTENSION_MODULE: "compiled code, but no extension module: nothing in it can turn the GIL on",
}

_GAPS: Final = {
    GapKind.NO_WHEEL: "there is no wheel to read",
    GapKind.NOTHING_COMPILED: "no compiled code in the wheel",
    GapKind.NOT_OPENED: "no compiled code by the wheel's tags; the wheel could not be opened",
    GapKind.STATIC: "imports were skipped (--static)",
    GapKind.IMPORTS_NOTHING: "`ftaudit wheel` imports nothing",
    GapKind.LATER_RELEASE: "later releases are not imported",
    GapKind.INSTALLED: "the installed files were read, but not imported",
    GapKind.CONDA_PACKAGE: "conda packages are read, but not imported",
    GapKind.NO_SANDBOX: "modules are imported only on Linux and macOS: ftaudit has no sandbox for Windows",
    GapKind.SOURCE_NOT_ASKED: "source not requested (--source)",
    GapKind.STRESS_NOT_ASKED: "stress not requested (--stress)",
    GapKind.STRESS_NOT_READY: "only packages that run without the GIL are stressed",
    GapKind.NO_VERSION: "no version to scan",
    GapKind.NOT_ASKED: "no index was queried",
    GapKind.NO_PLACE: "the input has no URL of the wheel",
}
_SIMPLY: Final = {
    Simply.LOCK_AGAIN: "lock again, and include the hashes of all files of the release",
    Simply.REPORT: "report the failure upstream, with the lines above",
    Simply.BUILD_TREE: "build a wheel, and pass the wheel to ftaudit",
    Simply.FILL_CACHE: "run `ftaudit` once with network access and without --offline to fill the cache",
    Simply.CHECK_NETWORK: "check the network, the proxy and the index URL, then run it again",
    Simply.BUILD_AGAIN: "build the wheel again; installers reject this one",
}
SLOWER: Final = "falls back to pure Python: it works, but slower"


def listed(names: Iterable[str]) -> str:
    """Join names with commas; shorten a long list."""
    every = list(names)
    more = f" and {len(every) - LISTED} more" if len(every) > LISTED else ""
    return ", ".join(every[:LISTED]) + more


def sentences(reasons: Iterable[Reason], where: str) -> tuple[str, ...]:
    """Return reasons as sentences, in order."""
    return tuple(sentence(reason, where) for reason in reasons)


def sentence(reason: Reason, where: str) -> str:
    """Return a reason as a sentence; `where` names the platform, or the platforms that share it."""
    match reason:
        case Unresolved():
            return reason.problem
        case NotLookedUp():
            return "its wheels were not looked up" if reason.gap is None else gap_phrase(reason.gap, where)
        case NoWheel():
            tail = "; there is an sdist to build from" if reason.sdist else ", and no sdist"
            if reason.sdist_excluded is not None:
                tail = f", and its sdist {exclusion(reason.sdist_excluded)}"
            head = "compiled for an older Python: " if reason.older else ""
            return f"{head}{_no_wheel(reason, where)}{tail}"
        case Rebuild():
            return f"a build from source {rebuilt(reason)}"
        case InSource():
            return f"a build from source {WOULD[reason.declares]}: {in_source(reason)}"
        case Excluded():
            return f"{reason.filename}: {exclusion(reason)}"
        case RefusedWheel():
            return f"installers reject the wheel: {reason.detail}"
        case ModuleFails():
            return f"{reason.module}: {_failure(reason)}"
        case ImportFails():
            return f"import {reason.name}: {reason.detail}"
        case StartUpFails():
            return f"{reason.file} runs when the interpreter starts, and terminates it: {reason.detail}"
        case TurnsOnAtStartUp():
            return f"{reason.file} runs when the interpreter starts, and turns the GIL on"
        case TurnsOnUnlisted():
            return f"importing it turns the GIL on because of a module that no wheel lists: {listed(reason.modules)}"
        case TurnsOnUnnamed():
            return f"the GIL is on after `import {reason.name}`; ftaudit could not find the module that turned it on"
        case Contested():
            order = "the installation order decides which one is loaded"
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
            return gap_phrase(reason.gap, where)
        case NothingLookedAt():
            left_out = [gap_phrase(gap, where) for gap in reason.why]
            return "none of its modules was checked: " + "; ".join(left_out or ("all tiers were skipped",))
        case Undetermined():
            found = f"{len(reason.modules)} of {reason.total} extension modules could not be determined"
            return f"{found}: {listed(reason.modules)}"
        case WhyUndetermined():
            why = "; ".join(_why_undetermined(reason)) or "no tier checked it"
            return why if reason.module is None else f"{reason.module}: {why}"
        case Plainly():
            return _PLAINLY[reason]
        case AllOff():
            evidence = "seen on import" if reason.imported else "read from the binaries"
            return f"{_all_of(reason.total)} the GIL off ({evidence})"


def step_sentence(step: Step, where: str) -> str:
    """Return what to do next, in one sentence."""
    match step:
        case Simply():
            return _SIMPLY[step]
        case Upgrade():
            by = "" if step.decided_by is None else f" ({step.decided_by} decides which version is installed)"
            return f"{_lead(step.lead, where)}{by}"
        case NothingLater():
            return _nothing_later(step)
        case ImportThere():
            return f"import it under {step.target} on {where}: run `ftaudit check` there, without --static"
        case Download():
            return f"the index has a wheel for this version: `{step.command}`"
        case Remedy():
            return f"{step.text} (`ftaudit explain {step.rule}`)"
        case MakeWheel():
            build = f"build one with {step.executable}: `python -m build --wheel`"
            return (
                build if step.release is None else (f"{build}; `ftaudit wheel {step.release}` shows what the index has")
            )


def step_names_platform(step: Step) -> bool:
    """Return whether the sentence of a step names the platform, so that the caller does not add it."""
    match step:
        case Upgrade(lead=GoodRelease()) | ImportThere():
            return True
        case Upgrade(lead=NoGoodRelease(newest=newest)):
            return newest is not None
        case _:
            return False


def candidate_phrase(candidate: Candidate, where: str) -> str:
    """Return why a later release is chosen or skipped, as a phrase."""
    if candidate.explanation is not None:
        return candidate.explanation
    if candidate.fate is Fate.PRE_RELEASE:
        if candidate.why:
            return f"a pre-release: {_static(candidate, where)}"
        return f"a pre-release, {'with' if candidate.wheel else 'without'} a wheel for {where}"
    match candidate.fate:
        case Fate.YANKED:
            why = f": {candidate.yanked}" if candidate.yanked else ""
            return "yanked" if candidate.yanked is None else f"its wheel for {where} was yanked{why}"
        case Fate.REQUIRES_PYTHON if candidate.excluded is not None:
            return exclusion(candidate.excluded)
        case Fate.NO_WHEEL:
            there = f" (there is one for {', '.join(candidate.elsewhere[:3])})" if candidate.elsewhere else ""
            return "no wheel at all" if candidate.has_no_wheel else f"no free-threaded wheel for {where}{there}"
        case Fate.NOT_LOOKED_INTO:
            return f"has a wheel for {where} that was not read"
        case Fate.FALLBACK:
            return SLOWER
        case _:
            return _static(candidate, where)


def candidate_names_platform(candidate: Candidate) -> bool:
    """Return whether the phrase of a release names the platform."""
    if candidate.explanation is not None or candidate.why or candidate.has_no_wheel:
        return False
    return candidate.fate in (Fate.PRE_RELEASE, Fate.YANKED, Fate.NO_WHEEL, Fate.NOT_LOOKED_INTO)


def _static(candidate: Candidate, where: str) -> str:
    """Return the first reason of a verdict that is based only on the binaries."""
    if candidate.verdict is Verdict.PURE:
        return "pure Python: no compiled code in any wheel"
    match candidate.why[:1]:
        case (TurnsOn() as reason,):
            verb = "turn" if len(reason.modules) > 1 else "turns"
            return f"{_of(len(reason.modules), reason.total)} {verb} the GIL on (read from the binaries)"
        case (Undetermined() as reason,):
            off = reason.total - len(reason.modules)
            return (
                f"{off} of {reason.total} extension modules leave the GIL off, {len(reason.modules)} could not be "
                "determined from the binaries"
            )
        case (AllOff(total=total),):
            return f"{_all_of(total)} the GIL off (read from the binaries)"
        case (TierFailed() as reason,):
            return f"its wheel could not be read: {gap_phrase(reason.gap, where)}"
        case (reason,):
            return sentence(reason, where)
        case _:
            return str(candidate.fate)


def _lead(lead: Lead, where: str) -> str:
    match lead:
        case NoLead():
            return f"later versions could not be looked up: {gap_phrase(lead.gap, where)}"
        case GoodRelease():
            text = f"{lead.first} is the first later version whose wheel for {where} leaves the GIL off"
            text += f", and {lead.newest} is the newest" if lead.newest != lead.first else ""
            text += f" ({lead.slower} falls back to pure Python)" if lead.slower is not None else ""
            return f"{text}; `ftaudit plan` shows what else must change"
        case NoGoodRelease():
            return "; ".join(_without_good(lead, where))


def _without_good(lead: NoGoodRelease, where: str) -> Iterator[str]:
    """Yield the alternatives if no final release leaves the GIL disabled."""
    if lead.newest is not None:
        yield f"{lead.newest.version}, the newest with a wheel for {where}, {_BAD[lead.newest.fate]}"
    if lead.slower is not None:
        yield f"{lead.slower} is the first with a pure-Python wheel: it works, but slower"
    if lead.early is not None:
        version = lead.early.version
        yield f"{version} is {candidate_phrase(lead.early, where)}; to try it: {lead.name}=={version}"
    if lead.slower is None and lead.early is None:
        yield "ask upstream"


_BAD: Final = {
    Fate.REENABLES_GIL: "also turns the GIL on",
    Fate.BROKEN: "cannot be loaded by the target",
    Fate.UNDETERMINED: "could not be determined",
    Fate.NOT_LOOKED_INTO: "was not checked",
}


def _nothing_later(step: NothingLater) -> str:
    match step.verdict:
        case Verdict.REENABLES_GIL:
            return "no later version to try: ask upstream, and name the modules above"
        case Verdict.UNAVAILABLE:
            return "no later version has such a wheel: ask upstream for one"
        case _:
            pass
    none = "no later version has such a wheel"
    match step.rebuild:
        case GilDeclaration.NOT_USED:
            return f"{none}: build one from the sdist, which would leave the GIL off"
        case GilDeclaration.USED | GilDeclaration.UNDECLARED:
            return f"{none}, and a build from the sdist would turn the GIL on too: ask upstream"
        case GilDeclaration.UNDETERMINED | None:
            return f"{none}: ask upstream; `ftaudit build` shows what a build from the sdist would do"


def names_platform(reason: Reason) -> bool:
    """Return whether the sentence of a reason names the platform, so that the caller does not add it."""
    return isinstance(reason, NoWheel) and reason.there is not Lack.NOTHING


def stored_facts(origin: StoreOrigin, wheels: int) -> str:
    """Return a sentence about what a facts store contributed, and who made it."""
    return _stored(origin, "facts for", wheels)


def stored_files(origin: StoreOrigin, wheels: int) -> str:
    """Return a sentence about the wheels of which a facts store had what `--reach` reads."""
    return _stored(origin, "Python files of", wheels)


def _stored(origin: StoreOrigin, what: str, wheels: int) -> str:
    number = "1 wheel" if wheels == 1 else f"{wheels} wheels"
    made = f"made by {origin.by} with ftaudit {origin.ftaudit}, {origin.created}"
    return f"the facts store {origin.name} provided the {what} {number} ({made})"


def gap_phrase(gap: Gap, where: str = "the platform") -> str:
    """Return why a tier has no answer, as a phrase."""
    return _about(gap, where, gap.subject)


def gap_of_many(gap: Gap, where: str = "the platform") -> str:
    """Return the shared part of a gap that several packages have, each for its own page or file."""
    return _about(gap, where, None)


def _about(gap: Gap, where: str, subject: str | None) -> str:
    match gap.kind:
        case GapKind.REBUILD_NOT_READ:
            return f"{_GAPS[GapKind.NO_WHEEL]}; the wheel of the GIL-enabled build was not read: {gap.detail}"
        case GapKind.OTHER_MACHINE:
            return f"this machine cannot run code for {where}"
        case GapKind.NO_INTERPRETER:
            return f"no {gap.detail} is available to import with"
        case GapKind.LOCAL_PROJECT:
            return f"a local project: {subject}" if subject else "a local project"
        case GapKind.NOT_LISTED:
            return f"the input does not say where {subject or 'its wheel'} is: {gap.detail}"
        case GapKind.OTHER_HASH:
            return f"the index's {subject or 'wheel'} has a different hash than the one in the input"
        case GapKind.HASH_UNCHECKED:
            return f"its hash, which the input requires, could not be checked: {gap.detail}"
        case GapKind.NO_PROJECT:
            return f"{gap.detail} has no project {subject or 'of its name'}"
        case GapKind.NO_RELEASE:
            return f"version {subject or 'of it'} is not on the index ({gap.detail})"
        case GapKind.NO_ANSWER:
            return f"the index did not answer within {gap.detail} s"
        case GapKind.NOTHING_DRIVEN:
            return f"it has nothing that several threads could call: {gap.detail}"
        case GapKind.OFFLINE:
            return f"{gap.detail} ({subject})" if subject else gap.detail
        case GapKind.UNRESOLVED | GapKind.SOURCE_TREE | GapKind.TOO_LARGE | GapKind.UNCONNECTED | GapKind.FAILED:
            return f"{subject}: {gap.detail}" if subject else gap.detail
        case _:
            return _GAPS[gap.kind]


def exclusion(excluded: Excluded) -> str:
    """Return why a file is excluded, as a phrase."""
    match excluded.by:
        case Exclusion.REQUIRES_PYTHON:
            return f"requires Python {excluded.wanted}, but the target is {excluded.has}"
        case Exclusion.NO_BINARY:
            return "the input does not allow its wheels (--no-binary)"
        case Exclusion.ONLY_BINARY:
            return "is not built, because the input allows only wheels (--only-binary)"
        case Exclusion.HASH:
            return "its hash is not among those that the input allows"
        case Exclusion.SYSTEM:
            return f"needs {excluded.wanted}, but the platform has {excluded.has}"


def misfit_phrase(misfit: Misfit) -> str:
    """Return why a module's file cannot be imported, as a phrase that follows the file's name."""
    match misfit.what:
        case WrongSuffix(suffix=suffix, executable=executable):
            return f"{executable} does not look for {suffix} files"
        case WrongImage(is_for=is_for, wanted=wanted):
            return f"compiled for {_system(is_for)}, but the wheel is for {' and '.join(map(_system, wanted))}"


def rebuilt(rebuild: Rebuild) -> str:
    """Return the effect of a rebuild on the GIL, each answer with its count."""
    total = sum(count for _, count in rebuild.counts)
    text = ", ".join(f"{count} of {total} {_WOULD_DECLARE[one]}" for one, count in rebuild.counts)
    return f"{_REBUILT[rebuild.worst]}: of the modules in the wheel of the GIL-enabled build, {text}"


def _no_wheel(reason: NoWheel, where: str) -> str:
    if reason.there is Lack.REFUSED:
        return f"a wheel for {where} exists, but the input does not allow wheels of this package (--no-binary)"
    if reason.there is Lack.HASHES:
        return f"a wheel for {where} exists, but its hash is not in the input"
    if reason.there is Lack.NOTHING:
        return f"no wheel at all for {reason.version}{' among the files given' if reason.given else ''}"
    text = f"no {' or '.join(reason.wanted)} wheel for {'any platform' if where == 'any' else where}"
    text += " among the files given" if reason.given else ""
    match reason.there:
        case Lack.ELSEWHERE:
            return f"{text} (there is one for {listed(reason.elsewhere)})"
        case Lack.ORDINARY:
            return f"{text} (the GIL-enabled build has one)"
        case _:
            return text


def _failure(reason: ModuleFails) -> str:
    parts = [] if reason.misfit is None else [misfit_phrase(reason.misfit)]
    if reason.gil_build:
        parts.append(f"compiled for the GIL-enabled build ({reason.evidence})")
    if reason.refusal is not None:
        parts.append(describe_refusal(reason.refusal, reason.version))
    return "; ".join(parts) or reason.detail or "crashes"


def _of(number: int, total: int) -> str:
    return f"{number} of {total} extension modules" if total > 1 else "its extension module"


def _all_of(total: int) -> str:
    return "its extension module leaves" if total == 1 else f"all {total} extension modules leave"


def _declares(reason: Declares) -> str:
    """Return what the module declares, and which evidence shows it."""
    seen = "seen on import" if reason.seen else "read from the binary"
    by = f" ({reason.made_with})" if reason.made_with else ""
    match reason.declaration:
        case GilDeclaration.USED:
            return f"declares Py_MOD_GIL_USED{by}, {seen}"
        case GilDeclaration.UNDECLARED:
            return f"does not declare Py_MOD_GIL_NOT_USED{by}, {seen}"
        case GilDeclaration.NOT_USED:
            return f"its binary declares Py_MOD_GIL_NOT_USED{by}, but CPython turns the GIL on when it is imported"
        case GilDeclaration.UNDETERMINED | None:
            return f"does not leave the GIL off{by}, {seen}"


def _why_undetermined(reason: WhyUndetermined) -> Iterator[str]:
    if reason.misfit is not None:
        yield f"{misfit_phrase(reason.misfit)}; left over from another build, or missing for this one"
        return
    if reason.binary is not None:
        yield f"binary: {reason.binary}"
    if reason.runtime is not None:
        yield f"import: {reason.runtime}"


def _system(system: System) -> str:
    kind, machine = system
    return f"{_FORMATS.get(kind, kind)} {machine}".rstrip()


def failure_sentence(failure: StressFailure) -> str:
    """Return what failed under threads, and how often, as one sentence."""
    what = {
        StressFailureKind.CRASH: "crashes",
        StressFailureKind.HANG: "hangs",
        StressFailureKind.WRONG_RESULT: "gives a wrong result",
        StressFailureKind.ERROR: "raises an error",
        StressFailureKind.GROWTH: "leaks memory",
    }[failure.kind]
    if failure.kind is StressFailureKind.CRASH and failure.signal:
        what += f" ({signal_name(failure.signal)})"
    calls = " and ".join(f"`{operation}`" for operation in failure.unit.operations)
    threads = f"{failure.threads} threads"
    detail = f": {failure.message}" if failure.message else ""
    often = f"{failure.failed} of {failure.tries} runs without the GIL, {failure.control} of {failure.tries} with it"
    return f"{failure.unit.target} {what} when {threads} call {calls} ({often}){detail}"


def signal_name(number: int) -> str:
    """Return the name of a signal: `SIGSEGV`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def stress_sentence(facts: StressFacts) -> str:
    """Return what was driven and the result, as one sentence. It never claims that something is safe."""
    calls, total = f"{facts.calls:,} calls", len(facts.callables)
    count = len(facts.failures)
    found = "no failure" if not count else "1 failure" if count == 1 else f"{count} failures"
    time = f"{facts.cpu_seconds:.0f} s of processor time"
    if facts.ended is StressEnd.CLOCK:
        time = f"{facts.cpu_seconds:.0f} of {facts.budget:.0f} s of processor time; it stopped at the wall-clock limit"
    return f"{found} in {facts.driven} of {total} callables, {calls}, {time}"


def unstressed_sentence(facts: PackageFacts) -> str | None:
    """Return why a package was not stressed, or not completely; `None` if it was, or was not selected."""
    if facts.stress.status is not Status.FAILED or facts.stress.reason is None:
        return None
    version = "" if facts.pin.version is None else f" {facts.pin.version}"
    return f"the stress test of {facts.pin.name}{version}: {gap_phrase(facts.stress.reason)}"
