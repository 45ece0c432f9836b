"""An extension module's GIL declaration: the answer for one file, and how it was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ftaudit.binary.build_markers import file_name_build, find_build, is_python_library
from ftaudit.binary.dependence import depends
from ftaudit.binary.emulator.budget import Budget
from ftaudit.binary.framework import NO_FRAMEWORK, find_framework
from ftaudit.binary.hook import HookRun, RunEnding, Subject, force, run, search
from ftaudit.binary.image.elf import Holes, file_offset
from ftaudit.binary.image.mapped import AARCH64, X86_64, Image
from ftaudit.binary.loaders import load_images, load_library
from ftaudit.binary.slots import Slots
from ftaudit.binary.stubs.capi.objects_in_memory import Layout
from ftaudit.cpython.exports import missing_symbols
from ftaudit.cpython.hooks import choose_hook, exported_labels, hook_name
from ftaudit.cpython.versions import EXPORT_HOOK_SINCE, Version, gil_is_used
from ftaudit.errors import ImageError
from ftaudit.model import AbiInfo, GilDeclaration, Hook, ModuleBinary, Refusal, RefusalKind
from ftaudit.model.refusals import describe_refusal

Siblings = Mapping[str, bytes] | Callable[[str], "bytes | None"]


def read_declaration(
    image: bytes,
    *,
    module_name: str,
    path: str,
    target_version: tuple[int, int],
    siblings: Siblings | None = None,
    budget: Budget | None = None,
    stable_abi: bool = False,
) -> ModuleBinary:
    """Return what the extension module declares, without running it.

    `module_name` is its dotted import name, `path` its place in the wheel, and `target_version` the CPython that
    would import it. `siblings` gives other extension modules of the same wheel by dotted import name: mypyc's
    modules delegate to one of them. `stable_abi` keeps what the module takes from CPython: its wheel claims a stable
    ABI.

    A pure function of its arguments. Raise `ImageError` for a malformed image; anything else that cannot be found
    out is `undetermined`, with the reason in `how`.
    """
    read = read_module(
        image,
        module_name=module_name,
        path=path,
        target_version=target_version,
        siblings=siblings,
        budget=budget,
        stable_abi=stable_abi,
    )
    return read.binary


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The answer for one file, and what could change it."""

    binary: ModuleBinary
    missing: tuple[str, ...] = ()
    """File names of shared libraries that the initialization may have needed and that were not among the siblings."""
    is_module: bool = True
    """Whether an import can make a module from it: a hook that only returns null never makes one."""
    hooks: tuple[str, ...] = ()
    """Labels of the init hooks that the image exports, its own among them (`ftaudit.cpython.hooks.hook_label`)."""
    partial: bool = False
    """The holes prevented an answer."""
    missed: int | None = None
    """The first unread offset in the file that the initialization reached."""


def read_module(
    image: bytes,
    *,
    module_name: str,
    path: str,
    target_version: tuple[int, int],
    siblings: Siblings | None = None,
    budget: Budget | None = None,
    holes: Holes = (),
    stable_abi: bool = False,
) -> Reading:
    """Return the result of `read_declaration`, and the shared libraries of the wheel that might add to it.

    `siblings` gives those too, by file name. `holes` are ranges of an ELF image that were not read.
    """
    limits = budget or Budget()
    images = load_images(image, limits, holes=holes)
    answers = [
        _with_symbols(_read_one(each, module_name, path, target_version, siblings, limits), each, stable_abi=stable_abi)
        for each in images
    ]
    hooks = exported_labels({name for each in images for name in each.exports})
    if len(answers) == 1:
        return replace(answers[0], hooks=hooks)
    missing = dict.fromkeys(name for answer in answers for name in answer.missing)
    is_module = any(answer.is_module for answer in answers)
    return Reading(
        binary=_agreed([a.binary for a in answers]), missing=tuple(missing), is_module=is_module, hooks=hooks
    )


def _with_symbols(reading: Reading, image: Image, *, stable_abi: bool) -> Reading:
    """Add the symbols that the module takes from CPython, if it claims a stable ABI."""
    if not stable_abi:
        return reading
    names = tuple(sorted(name for name in image.imports if name.startswith(("Py", "_Py"))))
    libraries = tuple(library.rpartition("/")[2] for library in image.libraries if is_python_library(library))
    return replace(reading, binary=replace(reading.binary, python_symbols=names, python_libraries=libraries))


def _agreed(answers: list[ModuleBinary]) -> ModuleBinary:
    """Return the answer of a universal file: the common answer of its slices for machines that ftaudit supports."""
    known = [answer for answer in answers if answer.machine in (X86_64, AARCH64)] or answers
    machines = "+".join(str(answer.machine) for answer in known)
    told = {answer.declaration for answer in known}
    first = replace(
        known[0],
        machine=machines,
        refusal=next((answer.refusal for answer in known if answer.refusal is not None), None),
        python_symbols=tuple(sorted({name for answer in known for name in answer.python_symbols})),
        python_libraries=tuple(dict.fromkeys(name for answer in known for name in answer.python_libraries)),
    )
    if len(told) == 1:
        return first
    both = "; ".join(f"{answer.machine}: {answer.declaration} ({answer.how})" for answer in known)
    return replace(
        first, declaration=GilDeclaration.UNDETERMINED, how=f"the slices of this universal file differ: {both}"
    )


def _read_one(
    image: Image,
    module_name: str,
    path: str,
    version: tuple[int, int],
    siblings: Siblings | None,
    budget: Budget,
) -> Reading:
    if image.machine not in (X86_64, AARCH64):
        return Reading(binary=replace(_without_emulation(image, module_name, version), not_emulated=True))
    framework = find_framework(image, module_name)
    if image.absent or image.doubtful:
        return _read_partial(image, module_name, path, version, framework, budget)
    build, evidence = find_build(image.imports, image.libraries)
    hook = choose_hook(image.exports, module_name, version)
    if hook is None:
        return Reading(
            binary=_without_hook(image, module_name, version, framework, (build, evidence)),
            is_module=_names_hook(image, module_name),
        )
    named = file_name_build(path)
    guess = build if build is not None else named if named is not None else True
    subject = Subject(
        image=image,
        hook=hook_name(module_name, hook),
        module_name=module_name,
        layout=Layout(guess, version),
        budget=budget,
        is_plain=framework[0] in NO_FRAMEWORK,
    )
    subject, best, runs = _search(subject)
    if best.idle:
        why = "not a module: its init function only returns null"
        answer = _answer(image, GilDeclaration.UNDETERMINED, why, framework, (build, evidence))
        return Reading(binary=answer, is_module=False)
    if build is None and best.built_free_threaded is not None:
        build, evidence = best.built_free_threaded, "its PyModuleDef is laid out for that build"
        if build is not guess:
            subject = replace(subject, layout=Layout(build, version))
            best, runs = search(subject)
    subject, best, runs = _follow(subject, best, runs, siblings)
    loaded = _with_libraries(subject, best, runs, siblings)
    subject, best, runs = loaded.subject, loaded.best, loaded.runs
    reached = best.ending is not RunEnding.FAILED or best.declared is not None
    if loaded.framework is not None and reached and framework[0] in _PLAIN:
        framework = loaded.framework
    if best.ending is RunEnding.FAILED and best.declared is None and not (best.hands_over_to or best.exhausted):
        subject, best = _beyond_failure(subject, best)
        if best.beyond:
            loaded = replace(loaded, doubt=_doubt_beyond(subject, best))
    elif best.ending is RunEnding.FAILED and best.declared is not None:
        best, doubt = _as_declared(subject, best)
        loaded = replace(loaded, doubt=doubt)
    declaration, how, multi_phase = judge(subject, best, runs, build)
    refusal = _unloadable(image, version)
    if best.built_free_threaded is (not subject.layout.free_threaded):
        declaration, how = (
            GilDeclaration.UNDETERMINED,
            f"its PyModuleDef is laid out for another build than the module, which {evidence}",
        )
    elif loaded.doubt and declaration is not GilDeclaration.UNDETERMINED:
        declaration, how = GilDeclaration.UNDETERMINED, f"its declaration depends on {loaded.doubt}"
    elif refusal is None and _is_certain(best):
        refusal = _refusal_of(best)
    answer = _answer(
        image,
        declaration,
        how,
        framework,
        (build, evidence),
        multi_phase,
        hook=hook,
        refusal=refusal,
        abi_info=best.slots.abi_info if best.slots is not None else None,
    )
    return Reading(binary=answer, missing=loaded.missing if declaration is GilDeclaration.UNDETERMINED else ())


def _without_emulation(image: Image, module_name: str, version: Version) -> ModuleBinary:
    """Return the answer for a machine that is not emulated: what the tables of its symbols say."""
    build = find_build(image.imports, image.libraries)
    hook = choose_hook(image.exports, module_name, version)
    refusal = _unloadable(image, version)
    if hook is None and hook_name(module_name, Hook.EXPORT) in image.exports:
        refusal = Refusal(kind=RefusalKind.NO_HOOK)
    how = f"ftaudit does not emulate {image.machine}"
    return _answer(image, GilDeclaration.UNDETERMINED, how, build=build, hook=hook, refusal=refusal)


def _without_hook(
    image: Image,
    module_name: str,
    version: Version,
    framework: tuple[str | None, str | None],
    build: tuple[bool | None, str | None],
) -> ModuleBinary:
    """Return the answer for an image that exports none of the hooks that the target searches for.

    One with only a `PyModExport_` hook is meant for a later version, and the target certainly refuses it.
    """
    export, init = hook_name(module_name, Hook.EXPORT), hook_name(module_name, Hook.INIT)
    known = (init,) if version < EXPORT_HOOK_SINCE else (export, init)
    refusal = Refusal(kind=RefusalKind.NO_HOOK) if export in image.exports else _unloadable(image, version)
    how = f"it exports no {' and no '.join(known)}"
    return _answer(image, GilDeclaration.UNDETERMINED, how, framework, build, refusal=refusal)


def _names_hook(image: Image, module_name: str) -> bool:
    """Return whether the name of one of a module's hooks is in an image, as in a table of its symbols."""
    return any(b"%s\0" % hook_name(module_name, hook).encode() in image.memory for hook in Hook)


def _unloadable(image: Image, version: Version) -> Refusal | None:
    """Return why the loader cannot load an image: it takes symbols that CPython of this version does not export."""
    strong = (name for name in image.imports - image.weak_imports if name.startswith(("Py", "_Py")))
    missing = missing_symbols(strong, version)
    return Refusal(kind=RefusalKind.MISSING_SYMBOLS, symbols=missing) if missing else None


def _refusal_of(best: HookRun) -> Refusal | None:
    """Return why CPython refuses the hook's definition or result."""
    if best.foreign_definition:
        return Refusal(kind=RefusalKind.FOREIGN_DEFINITION)
    return best.slots.refusal if best.slots is not None else None


def _is_certain(best: HookRun) -> bool:
    """Return whether the slots are free of any stub's answer and of any inverted branch."""
    return best.constant or not (best.questions or best.overrides or best.beyond)


def _as_declared(subject: Subject, best: HookRun) -> tuple[HookRun, str]:
    """Return the run that ends with its declaration, for one that failed later, and what the declaration depends on.

    If the code may declare again, or return another module, that is what it depends on.
    """
    if not subject.is_final:
        return best, f"the rest of its initialization, which the emulation did not reach: {best.problem}"
    declared = run(replace(subject, seals=True), best.overrides, turned=())
    if declared.ending is not RunEnding.MODULE:
        return best, f"the rest of its initialization, which the emulation did not reach: {best.problem}"
    declared = replace(declared, problem="")
    return declared, depends(subject, declared)


def _doubt_beyond(subject: Subject, best: HookRun) -> str:
    """Return the dependency of an answer that was found past a failure."""
    return depends(subject, best) or ("" if best.declared_something else "a failure")


def _beyond_failure(subject: Subject, best: HookRun) -> tuple[Subject, HookRun]:
    """Search for a run that gets past a failure which the emulation may have caused; return it, else the given run.

    Such a run counts only if the code itself declares something in it: a missing declaration may be the
    result of the change.
    """
    if best.faulted:
        lenient = replace(subject, null_objects=True)
        past, _ = search(lenient)
        if past.declared_something and past.gil in (None, 0, 1):
            return lenient, replace(past, beyond="a null pointer that no stub had set")
    forced, patched = force(subject, best)
    if not forced.declared_something:
        return subject, best
    return replace(subject, image=patched), forced


def _read_partial(
    image: Image,
    module_name: str,
    path: str,
    version: tuple[int, int],
    framework: tuple[str | None, str | None],
    budget: Budget,
) -> Reading:
    """Read a module with holes: a certain answer counts; any other answer needs the whole module.

    Certain answers are slots with `Py_mod_gil`, or without it as the compiler left them, without a failure or a second
    try, and a framework that more data could not change.
    """
    build, evidence = find_build(image.imports, image.libraries)
    hook = choose_hook(image.exports, module_name, version)
    missed: int | None = None
    if hook is Hook.INIT and build is not None:
        layout = Layout(build, version)
        subject = Subject(
            image=image, hook=hook_name(module_name, hook), module_name=module_name, layout=layout, budget=budget
        )
        best = run(subject, {})
        missed = None if best.missed is None else file_offset(image, best.missed)
        if missed is None and framework[1] is None and image.doubtful:
            # The mark of a framework, or its version, may be in the data that is missing.
            missed = file_offset(image, image.doubtful[0][0])
        laid_out_otherwise = best.built_free_threaded is (not build)
        guesses = any(question.environment for question in best.questions) or len(best.questions) > best.asked_before
        if missed is None and _is_sure(best) and not (best.notes or laid_out_otherwise or guesses):
            declaration, how, multi_phase = judge(subject, best, 1, build)
            known = _answer(
                image,
                declaration,
                how,
                framework,
                (build, evidence),
                multi_phase,
                hook=hook,
                refusal=_unloadable(image, version) or _refusal_of(best),
                abi_info=best.slots.abi_info if best.slots is not None else None,
            )
            return Reading(binary=known)
    why = "some parts were not read"
    answer = _answer(image, GilDeclaration.UNDETERMINED, why, framework, (build, evidence))
    return Reading(binary=answer, partial=True, missed=missed)


def _is_sure(best: HookRun) -> bool:
    """Return whether a run reached slots that no further code can change, and a module if one is created."""
    slots = best.slots
    if slots is None or slots.refusal or (slots.gil is None and not best.constant):
        return False
    return not (slots.create and slots.gil) or best.creates_module is True


def _answer(
    image: Image,
    declaration: GilDeclaration,
    how: str,
    framework: tuple[str | None, str | None] = (None, None),
    build: tuple[bool | None, str | None] = (None, None),
    multi_phase: bool | None = None,
    *,
    hook: Hook | None = None,
    refusal: Refusal | None = None,
    abi_info: AbiInfo | None = None,
) -> ModuleBinary:
    return ModuleBinary(
        declaration=declaration,
        how=how,
        framework=framework[0],
        framework_version=framework[1],
        format=image.format,
        machine=image.machine,
        free_threaded_build=build[0],
        free_threaded_evidence=build[1],
        multi_phase=multi_phase,
        hook=hook,
        refusal=refusal,
        abi_info=abi_info,
    )


def _follow(subject: Subject, best: HookRun, runs: int, siblings: Siblings | None) -> tuple[Subject, HookRun, int]:
    """Load the modules that this one delegates to, one after the other: mypyc's shims delegate to a group module."""
    find = siblings if callable(siblings) else (siblings or {}).get
    while best.hands_over_to and len(subject.groups) < _MAX_GROUPS:
        data = find(best.hands_over_to)
        if data is None:
            break
        slices = load_images(data, subject.budget, beside=len(subject.groups) + 1)
        matching = [image for image in slices if image.machine == subject.image.machine]
        if not matching:
            break
        groups = (*subject.groups, (best.hands_over_to, matching[0]))
        subject = replace(subject, groups=groups)
        best, more = search(subject)
        runs += more
    return subject, best, runs


_MAX_GROUPS = 4


def _search(subject: Subject) -> tuple[Subject, HookRun, int]:
    """Search as `search` does, and again instruction by instruction if the code is for AVX processors."""
    best, runs = search(subject)
    if best.needs_vex and not subject.vex:
        limited = replace(subject.budget, constructor_instructions=100_000, instructions=1_000_000)
        subject = replace(subject, vex=True, budget=limited)
        best, runs = search(subject)
    return subject, best, runs


_PLAIN = ("C", "C++")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Loaded:
    """The result of loading shared libraries together with a module."""

    subject: Subject
    best: HookRun
    runs: int
    missing: tuple[str, ...] = ()
    """Names of linked libraries that are not available."""
    framework: tuple[str, str | None] | None = None
    """Of the first library that was loaded."""
    doubt: str = ""
    """The guess on which the declaration still depends."""


def _with_libraries(subject: Subject, best: HookRun, runs: int, siblings: Siblings | None) -> _Loaded:
    """Load the wheel's plain shared libraries that a hook calls into and that decide its result.

    A failing hook may be only a shim of a library, and the declaration of a successful one may depend on a library.
    """
    find = siblings if callable(siblings) else (siblings or {}).get
    missing: dict[str, None] = {}
    framework: tuple[str, str | None] | None = None
    on = _doubt(subject, best)
    while _fails_in_another(best) or (on and best.foreign):
        loaded = {name for name, _ in subject.libraries}
        linked = (subject.image, *(image for _, image in subject.libraries))
        names = dict.fromkeys(library.rpartition("/")[2] for image in linked for library in image.libraries)
        new: list[tuple[str, Image]] = []
        for name in names:
            if name in loaded or len(loaded) + len(new) >= _MAX_LIBRARIES:
                continue
            data = find(name)
            if data is None:
                missing[name] = None
                continue
            beside = _MAX_GROUPS + 1 + len(loaded) + len(new)
            try:
                library = load_library(data, subject.budget, subject.image.machine, beside)
            except ImageError:
                library = None
            if library is not None:
                new.append((name, library.image))
                framework = framework or library.framework
        if not new:
            break
        subject = replace(subject, libraries=(*subject.libraries, *new))
        few = sum(len(library.initializers) for _, library in subject.libraries) <= _FEW_CONSTRUCTORS
        if framework is not None and framework[0] not in NO_FRAMEWORK and _takes_nothing(subject.image):
            subject = replace(subject, is_plain=False)
        subject, best, more = _search(replace(subject, starts_libraries=few or subject.starts_libraries))
        runs += more
        if best.ending is RunEnding.FAILED and best.declared is None and not few:
            started, other, more = _search(replace(subject, starts_libraries=True))
            runs += more
            if other.ending is not RunEnding.FAILED or other.declared is not None or len(other.calls) > len(best.calls):
                subject, best = started, other
        on = _doubt(subject, best)
    return _Loaded(subject=subject, best=best, runs=runs, missing=tuple(missing), framework=framework, doubt=on)


def _fails_in_another(best: HookRun) -> bool:
    """Return whether a run failed after it called into an unknown library."""
    failed = best.ending is RunEnding.FAILED and best.declared is None
    return failed and bool(best.foreign) and not best.hands_over_to


def _doubt(subject: Subject, best: HookRun) -> str:
    """Return the guess on which a successful run's declaration depends, or nothing."""
    return "" if best.ending is RunEnding.FAILED else depends(subject, best)


_MAX_LIBRARIES = 3
_FEW_CONSTRUCTORS = 64
"""Static constructors of a module's libraries that are run in any case."""


def _takes_nothing(image: Image) -> bool:
    """Return whether an image takes nothing from CPython itself: a shim, whose libraries do all the work."""
    return not any(name.startswith(("Py", "_Py")) for name in image.imports)


def judge(subject: Subject, best: HookRun, tries: int, build: bool | None) -> tuple[GilDeclaration, str, bool | None]:
    """Turn the best run into the answer, how it was reached, and whether the initialization is multi-phase."""
    version = subject.layout.version
    again = f", on try {tries}" if tries > 1 else ""
    if best.beyond:
        again = f", past {best.beyond}"
    if best.slots is not None:
        return (*_judge_slots(best, best.slots, again, build, subject.layout.version), True)
    if best.ending is RunEnding.FAILED:
        if best.created and subject.cannot_declare:
            again = ", which it does not import"
            return (*_judge_single_phase(None, again, build, version), False)
        if best.declared is not None:
            again = f"; the rest of its initialization was not reached: {best.problem}"
            return (*_judge_single_phase(best.declared, again, build, version), False)
        error = f" ({best.errors[-1]})" if best.errors else ""
        return GilDeclaration.UNDETERMINED, f"{best.problem}{error}; tries: {tries}", None
    if best.origin == "cffi":
        return GilDeclaration.NOT_USED, "emulated: calls _cffi_backend, which calls SetGIL for it", False
    return (*_judge_single_phase(best.gil, again, build, version), False)


def _judge_slots(
    best: HookRun, slots: Slots, again: str, build: bool | None, version: Version
) -> tuple[GilDeclaration, str]:
    if slots.refusal is not None and not slots.complete:
        return GilDeclaration.UNDETERMINED, f"CPython refuses it: {describe_refusal(slots.refusal, version)}"
    if slots.gil is None and build is False:
        # Cython, pybind11 and many hand-written modules fill the slot in only under Py_GIL_DISABLED.
        return (
            GilDeclaration.UNDETERMINED,
            (
                "its slots have no Py_mod_gil, but it was compiled for the GIL-enabled build, for which source code "
                "often omits it"
            ),
        )
    if slots.gil is None and best.notes and not best.constant:
        return GilDeclaration.UNDETERMINED, f"its slots have no Py_mod_gil, but {best.notes[0]}"
    if slots.gil is None:
        return GilDeclaration.UNDECLARED, f"emulated: its slots have no Py_mod_gil{again}"
    if gil_is_used(slots.gil, version):
        return GilDeclaration.USED, f"emulated: Py_mod_gil is Py_MOD_GIL_USED{again}"
    if slots.exported:
        # CPython acts on the slot before it calls the create slot, whatever that creates.
        return GilDeclaration.NOT_USED, f"emulated: Py_mod_gil is Py_MOD_GIL_NOT_USED{again}"
    if slots.create and best.creates_module is False:
        return GilDeclaration.USED, "emulated: Py_mod_gil is Py_MOD_GIL_NOT_USED, but its create slot creates no module"
    if slots.create and best.creates_module is None:
        return (
            GilDeclaration.UNDETERMINED,
            (
                "Py_mod_gil is Py_MOD_GIL_NOT_USED, but the emulation did not reach the module that its create slot "
                "creates"
            ),
        )
    return GilDeclaration.NOT_USED, f"emulated: Py_mod_gil is Py_MOD_GIL_NOT_USED{again}"


def _judge_single_phase(
    gil: int | None, again: str, build: bool | None, version: Version
) -> tuple[GilDeclaration, str]:
    if gil is None and build is False:
        # The function is declared only under Py_GIL_DISABLED (Include/moduleobject.h).
        return (
            GilDeclaration.UNDETERMINED,
            "single-phase, and compiled for the GIL-enabled build, where PyUnstable_Module_SetGIL does not exist",
        )
    if gil is None:
        return GilDeclaration.UNDECLARED, f"emulated: single-phase, never calls PyUnstable_Module_SetGIL{again}"
    if gil_is_used(gil, version):
        return GilDeclaration.USED, f"emulated: calls PyUnstable_Module_SetGIL with Py_MOD_GIL_USED{again}"
    return GilDeclaration.NOT_USED, f"emulated: calls PyUnstable_Module_SetGIL with Py_MOD_GIL_NOT_USED{again}"
