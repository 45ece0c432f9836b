"""Run a module's init hook in the emulator, and search for the run in which it succeeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial

from ftaudit.binary.emulator.attach import asks_addresses, attach, cover, is_imported, own_code_that_ran
from ftaudit.binary.emulator.branches import Block, candidates, patched
from ftaudit.binary.emulator.budget import Budget
from ftaudit.binary.emulator.emulated_process import Exhausted, Halt, HandOver, Linked, Process, Sealed, Thrown
from ftaudit.binary.emulator.machine import Machine, MemoryFault, NeedsVex
from ftaudit.binary.emulator.oracle import Guess, Oracle
from ftaudit.binary.emulator.taint.constructor_state import Joins
from ftaudit.binary.emulator.taint.flow import Decision, FastFailed, Flow, TooLong
from ftaudit.binary.finality import is_final
from ftaudit.binary.image.call_sites import is_written_only_by
from ftaudit.binary.image.mapped import Image
from ftaudit.binary.slots import Slots, read_definition_slots, read_exported_slots
from ftaudit.binary.stubs.capi.attributes import SPEC
from ftaudit.binary.stubs.capi.emulated_python import Python, new_python
from ftaudit.binary.stubs.capi.objects_in_memory import Layout
from ftaudit.binary.stubs.capi.values_and_errors import ERROR_OCCURRED, invert_error
from ftaudit.binary.stubs.certain import CERTAIN
from ftaudit.binary.stubs.symbols import foreign, resolve
from ftaudit.cpython.layouts import DEFINITION


class RunEnding(Enum):
    """The end of a run of the hook."""

    SLOTS = "slots"
    """It returned a module definition (multi-phase initialization) or a slot array."""
    MODULE = "module"
    """It returned a module object (single-phase initialization)."""
    FAILED = "failed"
    """It did not get that far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HookRun:
    """The result of one run of the hook."""

    ending: RunEnding
    problem: str = ""
    """Why it failed, or why CPython would refuse what it returned."""
    slots: Slots | None = None
    constant: bool = False
    """Whether the slots are in the image as the compiler left them: no code changed them."""
    creates_module: bool | None = None
    """Whether the create slot returned a module object; `None` if there is no such slot or it did not return."""
    gil: int | None = None
    """Single-phase: the value that `PyUnstable_Module_SetGIL` was last called with, `None` if it was not."""
    origin: str = ""
    questions: tuple[Guess, ...] = ()
    asked_before: int = 0
    """How many of them were asked before the hook was called: by static constructors."""
    asked_by_start: int = 0
    """The same, also for a run that failed or was ended."""
    overrides: Mapping[int, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    """The calls of the hook itself, and of the create slot, if it returned."""
    errors: tuple[str, ...] = ()
    exhausted: bool = False
    """It ran longer than its budget: that is final."""
    needs_vex: bool = False
    """It failed for an AVX instruction."""
    hands_over_to: str = ""
    """The extension module that it needs and that was not loaded."""
    built_free_threaded: bool | None = None
    """The build that its definition was laid out for, if known."""
    foreign_definition: bool = False
    """It passed a `PyModuleDef` that the free-threaded build refuses."""
    way: tuple[Block, ...] = ()
    """The last stretches of code that ran before it failed, if it was followed."""
    beyond: str = ""
    """The failure of the emulated run that `force` bypassed for this one."""
    thrown: bool = False
    """It failed because it throws a C++ exception."""
    unsettled: bool = False
    """It failed for what is not emulated: a real machine may go on."""
    missed: int | None = None
    """The first touched address in the unread part of the image."""
    faulted: bool = False
    """It failed because of unmapped memory."""
    foreign: str = ""
    """The last unknown function that was called: another library's."""
    declared: int | None = None
    """A run that failed: the last `PyUnstable_Module_SetGIL` declaration of the only module that it made."""
    idle: bool = False
    """The hook of an image that takes nothing from CPython returned null without a call: it makes no module."""
    guesses: tuple[str, ...] = ()
    """The answers that the run guessed, in order."""
    declared_after: int | None = None
    """How many of these were made when `PyUnstable_Module_SetGIL` was called last; `None` if it was not."""
    asked_processor: bool = False
    """Whether code ran that asks the processor something."""
    asked_addresses: bool = False
    """Whether code ran that may see bits of an address; determined only without another unknown."""
    opaque: str = ""
    """An action before the declaration that is not emulated and may run the module's code. For people."""
    decisions: tuple[Decision, ...] = ()
    """A run that was followed: the branches that unknowns decided."""
    hooked: int | None = None
    """How many of them were made when the hook returned; those after it are the create slot's."""
    trace: Sequence[int] = ()
    """A run that was followed: the addresses of its instructions."""
    by_python: int = 0
    """Which of the labels are answers of the C API, one bit each."""
    weakly: int = 0
    """Which of the labels are of what an unknown decided, one bit each; the others are computed from one."""
    by_constructors: int = 0
    """Which of the labels are of what static constructors may have written that were not followed, one bit each."""
    labels: tuple[str, ...] = ()
    """The names of those unknowns."""
    comes_from: str = ""
    """A run that was followed: the unknown that the declaration is computed from."""
    too_long: bool = False
    """It was followed for too long."""
    too_large: bool = False
    """It was too long because it has very many different instructions, and not because it repeats few of them."""
    created: bool = False
    """Whether it made a module with `PyModule_Create2`, and no definition for multi-phase initialization."""

    @property
    def declared_something(self) -> bool:
        """Whether it succeeded and the module said something of the GIL."""
        return self.gil is not None or (
            self.slots is not None and self.slots.gil is not None and self.slots.refusal is None
        )

    @property
    def declaration(self) -> tuple[object, ...]:
        """The values that must agree for two runs to agree."""
        if self.slots is not None:
            return (self.ending, self.slots.gil, self.slots.refusal, self.creates_module is False)
        return (self.ending, self.gil, self.origin == "create" or self.origin == "cffi")


_CONSTRUCTORS = "the static constructors"
"""The unknown that everything is which static constructors may have written, if they are not followed."""
_FOLLOWED_INSTRUCTIONS = 1_000_000
_LONG_START = 1_000
"""Instructions of static constructors from which on they are followed in one run for all."""
_FOLLOWED = 256
"""How many of the last stretches of code of a failing run are kept."""

_DECLARATIONS = frozenset(
    {"PyUnstable_Module_SetGIL", "PyModuleDef_Init", "dlsym", "dlvsym", "GetProcAddress", "dlopen"}
)
_MAKE_DECLARED = frozenset({"PyModule_FromDefAndSpec2", "PyModule_FromSlotsAndSpec"})
"""Functions that make a module with the declaration of its slots."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """The module to be examined."""

    image: Image
    hook: str
    module_name: str
    layout: Layout
    budget: Budget
    vex: bool = False
    """It was compiled only for processors with AVX: its code is followed instruction by instruction."""
    null_objects: bool = False
    """Memory at null is mapped, as an object: the run continues if a stub left a pointer unset."""
    groups: tuple[tuple[str, Image], ...] = ()
    """The modules that it delegates to, loaded with it, by import name."""
    libraries: tuple[tuple[str, Image], ...] = ()
    """Plain shared libraries that it calls into, loaded with it, by file name."""
    seals: bool = False
    """Whether a run ends with the declaration, because nothing after it can change it."""
    starts_unfollowed: bool = False
    """Whether static constructors are run without following them: all that they may write is unknown."""
    starts_libraries: bool = False
    """Whether the libraries' static constructors are run, of which there may be thousands."""
    is_plain: bool = True
    """Whether no framework made it. A framework's own code compares addresses, and turns exceptions into Python's."""

    @property
    def is_final(self) -> bool:
        """Whether nothing that the module does after its declaration can change it (`ftaudit.binary.finality`)."""
        return is_final(self.image, self.hook, [image for _, image in (*self.groups, *self.libraries)])

    @property
    def cannot_declare(self) -> bool:
        """Whether no code of the module can declare anything, however its initialization continues."""
        images = (self.image, *(image for _, image in (*self.groups, *self.libraries)))
        return not any(image.imports & (_DECLARATIONS | _MAKE_DECLARED) for image in images)


def run(
    subject: Subject,
    overrides: Mapping[int, int],
    *,
    follow: bool = False,
    turned: Collection[int] | None = None,
    joins: Joins | None = None,
    merges: Mapping[int, Collection[int]] | None = None,
    contrary: Collection[str] = (),
) -> HookRun:
    """Run the hook once, with other answers to the questions that `overrides` numbers.

    With `follow`, a failing run returns the stretches of code that led to its failure. With `turned`, the decisions of
    the unknowns are tracked, and those with these numbers are inverted.
    """
    oracle = Oracle(overrides)
    notes: list[str] = []
    python: Python | None = None
    flow: Flow | None = None
    before: int | None = None
    try:
        python = _new_process(subject, oracle)
        if turned is not None:
            flow = attach(
                python.process, python.objects.known, turned, joins or Joins(), follow_addresses=subject.is_plain
            )
            flow.merges = merges or {}
            flow.contrary = contrary
            flow.inverted = partial(_invert, python)
            python.seals = subject.seals
        if subject.null_objects:
            python.objects.map_null()
        for name, image in subject.libraries:
            linked = python.process.link(image)
            python.process.provide(image.exports)
            if subject.vex:
                python.process.machine.interpret_vex(linked.image.base, linked.image.end)
            if subject.starts_libraries:
                python.process.start(linked, notes)
            elif image.initializers or image.entry:
                notes.append(f"the static constructors of {name} were not run")
        for name, image in subject.groups:
            _import_group(python, name, image, notes)
        linked = python.process.link(subject.image)
        if subject.vex:
            python.process.machine.interpret_vex(subject.image.base, subject.image.end)
        if flow is None:
            python.process.start(linked, notes)
        else:
            _start_followed(subject, python, linked, notes, flow)
        before = len(oracle.questions)
        if flow is not None:
            flow.paused = False
        if follow:
            python.blocks = []
            python.process.machine.follow(subject.image.base, subject.image.end, python.blocks, _FOLLOWED)
        return _finished(subject, python, notes, overrides, flow)
    except (Halt, MemoryFault, TooLong, FastFailed) as error:
        sealed = error.gil if isinstance(error, Sealed) else None
        return HookRun(
            ending=RunEnding.FAILED if sealed is None else RunEnding.MODULE,
            gil=sealed,
            origin="" if sealed is None else "create",
            guesses=_guesses(python) if python else (),
            declared_after=_declared_after(python) if python else None,
            asked_processor=python.process.machine.asks_processor() if python else False,
            asked_addresses=sealed is not None and flow is None and _asked_addresses(subject, python),
            opaque=_opaque(python),
            decisions=tuple(flow.decisions) if flow else (),
            labels=tuple(flow.names) if flow else (),
            by_python=flow.by_python if flow else 0,
            weakly=flow.weakly if flow else 0,
            by_constructors=flow.not_run if flow else 0,
            trace=flow.trace if flow else (),
            comes_from=python.declared_by if python else "",
            too_long=isinstance(error, TooLong),
            too_large=isinstance(error, TooLong) and bool(error.args[0]),
            problem=f"{error}{_after(python)}",
            questions=tuple(oracle.questions),
            asked_by_start=len(oracle.questions) if before is None else before,
            overrides=overrides,
            notes=tuple(notes),
            calls=tuple(python.process.trace) if python else (),
            errors=tuple(python.errors) if python else (),
            created=python.created and not python.definitions if python else False,
            built_free_threaded=python.built_free_threaded if python else None,
            foreign_definition=python.foreign_definition if python else False,
            declared=_declared(python) if python else None,
            foreign=python.process.foreign if python else "",
            way=tuple(python.way_to_error or python.blocks or ()) if python else (),
            exhausted=isinstance(error, Exhausted),
            # What is not emulated may keep the code from ending the process.
            faulted=isinstance(error, MemoryFault) or (isinstance(error, FastFailed) and bool(_opaque(python))),
            thrown=isinstance(error, Thrown),
            unsettled=type(error) is Halt,
            missed=python.process.machine.missed if python else None,
            needs_vex=isinstance(error, NeedsVex),
            hands_over_to=error.name if isinstance(error, HandOver) else "",
        )
    finally:
        if python is not None:
            python.process.machine.close()


def _start_followed(subject: Subject, python: Python, linked: Linked, notes: list[str], flow: Flow) -> None:
    """Run the static constructors, and follow their labels, unless another run has shown what these are after them."""
    process, joins = python.process, flow.joins
    if subject.starts_unfollowed and process.calls_flow is not None:
        flow.paused = process.calls_flow.silent = True
        process.start(linked, notes)
        flow.paused = process.calls_flow.silent = False
        process.leave_open(_CONSTRUCTORS)
        process.machine.forget_code()
        cover(process, flow)
        return
    same = not (subject.vex or subject.null_objects or flow.contrary)
    calls = process.calls_flow
    if same and joins.started is not None and calls is not None:
        flow.paused = calls.silent = True
        process.start(linked, notes)
        flow.paused = calls.silent = False
        flow.resume(joins.started)
        process.machine.forget_code()
        cover(process, flow)
        return
    cover(process, flow)
    process.start(linked, notes)
    declares = python.guessed is not None or python.declared_by
    if same and not declares and (joins.constructors or flow.constructing >= _LONG_START):
        joins.started = flow.state()


def _invert(python: Python, name: str) -> None:
    if name == ERROR_OCCURRED:
        invert_error(python)


def _guesses(python: Python) -> tuple[str, ...]:
    """Return the unknowns, including an optional symbol if one was looked up."""
    missing = python.process.missing_symbol()
    found = tuple(python.process.oracle.guesses)
    return (f"whether {missing} exists", *found) if missing else found


def _declared_after(python: Python) -> int | None:
    """Return how many of the guesses were made before the last declaration; a symbol that is missing is one of them."""
    return None if python.guessed is None else python.guessed + bool(python.process.missing_symbol())


def _asked_addresses(subject: Subject, python: Python | None) -> bool:
    if python is None or not subject.is_plain or python.process.oracle.guesses:
        return False
    return asks_addresses(python.process)


def _opaque(python: Python | None) -> str:
    if python is None:
        return ""
    flow = python.process.calls_flow
    return python.process.opaque or (flow.flow.opaque if flow is not None else "")


def _new_process(subject: Subject, oracle: Oracle) -> Python:
    holder: list[Python] = []
    process = Process(
        Machine(subject.image.machine, subject.image.format),
        subject.budget,
        oracle,
        subject.image.format,
        lambda _process, name: resolve(holder[0], name),
        certain=CERTAIN,
        foreign_answer=foreign,
    )
    python = new_python(process, subject.layout, subject.module_name)
    holder.append(python)
    return python


def _finished(
    subject: Subject, python: Python, notes: list[str], overrides: Mapping[int, int], flow: Flow | None
) -> HookRun:
    """Call the hook, and check its result as `_PyImport_RunModInitFunc` and `PyModule_FromDefAndSpec2` do."""
    process = python.process
    python.error = 0
    before, calls, called = len(process.oracle.questions), process.calls, len(process.trace)
    if flow is not None:
        flow.hook_begins = len(flow.trace)
    result = process.call(subject.image.exports[subject.hook])
    asked = tuple(process.oracle.questions)
    calls_flow = process.calls_flow
    returned = calls_flow.labels_of_result() if calls_flow is not None else 0
    hooked = len(flow.decisions) if flow else None

    def ended(ending: RunEnding, **details: object) -> HookRun:
        return HookRun(
            ending=ending,
            questions=asked,
            asked_before=before,
            asked_by_start=before,
            overrides=overrides,
            notes=tuple(notes),
            calls=tuple(process.trace),
            called=tuple(process.trace[called:]),
            errors=tuple(python.errors),
            created=python.created and not python.definitions,
            way=tuple(python.way_to_error or python.blocks or ()),
            built_free_threaded=python.built_free_threaded,
            foreign_definition=python.foreign_definition,
            foreign=process.foreign,
            missed=process.machine.missed,
            guesses=_guesses(python),
            declared_after=_declared_after(python),
            asked_processor=process.machine.asks_processor(),
            asked_addresses=flow is None and _asked_addresses(subject, python),
            opaque=_opaque(python),
            decisions=tuple(flow.decisions) if flow else (),
            labels=tuple(flow.names) if flow else (),
            by_python=flow.by_python if flow else 0,
            weakly=flow.weakly if flow else 0,
            by_constructors=flow.not_run if flow else 0,
            trace=flow.trace if flow else (),
            hooked=hooked,
            **details,  # type: ignore[arg-type]
        )

    if not result:
        problem = f"the initialization returns null{_after(python)}"
        takes_nothing = not subject.image.imports & _DECLARATIONS and not any(
            name.startswith(("Py", "_Py")) for name in subject.image.imports
        )
        idle = takes_nothing and process.calls == calls and not notes and process.machine.missed is None
        # Whether it really returns null, static constructors that were not followed may have decided.
        written = flow.name(returned & flow.not_run) if flow is not None else ""
        return ended(RunEnding.FAILED, problem=problem, declared=_declared(python), idle=idle, comes_from=written)
    if python.error and flow is not None and (flow.turned or overrides):
        # CPython refuses it: "raised unreported exception" (Python/import.c, `_PyImport_RunModInitFunc`).
        return ended(RunEnding.FAILED, problem="the initialization returns with an exception set")
    if subject.hook.startswith("PyModExport"):
        slots = read_exported_slots(process.machine, result, subject.layout)
        constant, origin = _is_constant(python, slots), _origin(python, returned, slots, plain=subject.is_plain)
        created = _created(python, slots, 0)
        return ended(RunEnding.SLOTS, slots=slots, constant=constant, comes_from=origin, creates_module=created)
    if result in python.definitions:
        slots = read_definition_slots(process.machine, result, subject.layout)
        constant, origin = _is_constant(python, slots), _origin(python, returned, slots, result, plain=subject.is_plain)
        created = _created(python, slots, result)
        return ended(RunEnding.SLOTS, slots=slots, constant=constant, comes_from=origin, creates_module=created)
    known = python.objects.get(result)
    if known is None or known.kind != "module":
        return ended(RunEnding.FAILED, problem="the initialization does not return a module")
    if known.origin not in ("create", "cffi"):
        return ended(RunEnding.FAILED, problem="the initialization returns a module that it did not create")
    by = python.declared_by if known.origin == "cffi" else _origin(python, returned)
    return ended(RunEnding.MODULE, gil=known.gil, origin=known.origin, comes_from=by)


def _origin(
    python: Python, returned: int, slots: Slots | None = None, definition: int = 0, *, plain: bool = True
) -> str:
    """Return the unknown that a declaration is computed from: `returned` are the labels of what the hook returned."""
    calls = python.process.calls_flow
    if calls is None or python.declared_by:
        return python.declared_by
    flow, labels = calls.flow, 0
    if slots is not None:
        for address, size in _spans(slots, plain=plain):
            labels |= flow.of_memory(address, size)
        if slots.abi_span is not None:
            labels |= flow.of_written(*slots.abi_span)
        if definition:
            labels |= flow.of_memory(definition + python.objects.layout.head + DEFINITION["m_slots"], 8)
        left = sum({label for _, _, label in flow.regions if labels & label})
        if left and _is_left_alone(python, slots, definition, plain=plain):
            labels &= ~left
    return flow.name(flow.strong(labels | returned))


def _spans(slots: Slots, *, plain: bool) -> tuple[tuple[int, int], ...]:
    """Return the memory that must not change.

    CPython loads a module or refuses it as its `PyABIInfo` says, and the GIL does not depend on that. A framework's
    modules share one, and do not change it.
    """
    return slots.spans if plain else tuple(span for span in slots.spans if span != slots.abi_span)


_AROUND = 64
"""Bytes before slots, in a module that no framework made, in which an object may begin that the slots are a part of."""


def _is_left_alone(python: Python, slots: Slots, definition: int, *, plain: bool) -> bool:
    """Return whether only the hook's own code can write a definition or its slots: no other code names their addresses.

    The definition and the slots may have pointers to each other and to other parts of them. If `plain`, code may also
    reach them from what is next to them.
    """
    calls = python.process.calls_flow
    size = python.objects.layout.head + 9 * 8
    whole = (definition, definition + size) if definition else (0, 0)
    ranges = [
        *([whole] if definition else []),
        *((start, start + length) for start, length in _spans(slots, plain=plain)),
    ]
    for linked in python.process.images:
        image = linked.image
        if calls is not None and all(image.base <= start < end <= image.end for start, end in ranges):
            own = own_code_that_ran(image, calls.flow)
            margins = (_AROUND, 1) if plain else (0, 0)
            return all(
                not is_imported(python.process, image, *place)
                and is_written_only_by(image, place, own, except_in=ranges, margins=margins)
                for place in ranges
            )
    return False


def _after(python: Python | None) -> str:
    """Name the foreign function that a failing run called last: its answer may be wrong."""
    return f" after {python.process.foreign}() of another library" if python and python.process.foreign else ""


def _declared(python: Python) -> int | None:
    """Return the module's declaration before its run failed, if it made one module and no definition."""
    made = [known for known in python.objects.known.values() if known.kind == "module" and known.origin == "create"]
    return made[0].gil if len(made) == 1 and not python.definitions else None


def _is_constant(python: Python, slots: Slots) -> bool:
    """Return whether slots, with entries in them, are the same as in the image before any of its code ran."""
    if not slots.spans or slots.spans[0][1] < 2 * 16:
        return False
    images = [linked.image for linked in python.process.images]
    return all(any(_holds_still(python, image, *span) for image in images) for span in slots.spans)


def _holds_still(python: Python, image: Image, address: int, size: int) -> bool:
    if not (image.base <= address and address + size <= image.end):
        return False
    start = address - image.base
    return python.process.machine.read(address, size) == bytes(image.memory[start : start + size])


def _created(python: Python, slots: Slots, definition: int) -> bool | None:
    """Call the create slot and return whether it makes a module: any other object needs the GIL in any case."""
    if not slots.create or not slots.gil:
        return None
    spec = python.objects.new("object", name=SPEC)
    try:
        created = python.process.call(slots.create, spec, definition)
    except (Halt, MemoryFault):
        return None
    calls = python.process.calls_flow
    if not created or (calls is not None and calls.flow.strong(calls.labels_of_result())):
        return None
    return python.objects.kind_of(created) == "module"


def _import_group(python: Python, name: str, image: Image, notes: list[str]) -> None:
    """Load a group module and run its initialization, as its import would: it leaves capsules with functions."""
    process = python.process
    linked = process.link(image)
    process.start(linked, notes)
    hook = image.exports.get(f"PyInit_{name.rpartition('.')[2]}")
    if hook is None:
        return
    result = process.call(hook)
    if result in python.definitions:
        slots = read_definition_slots(process.machine, result, python.objects.layout)
        definition, result = result, python.module(name, origin="create")
        python.objects.known[result].definition = definition
        for function in slots.executes:
            process.call(function, result)
        python.definitions.discard(definition)
    python.modules[name] = result
    python.loaded.add(name)
    python.created = False
    python.error = 0


def search(subject: Subject) -> tuple[HookRun, int]:
    """Run the hook until it succeeds, with other answers to the questions of the failing run.

    Return the run that got furthest and the number of runs. If no later action of the module can
    change the answer, or another module is needed first, there is one run only.
    """
    best = run(subject, {})
    runs = [best]
    if best.ending is not RunEnding.FAILED or best.exhausted or best.idle or best.hands_over_to:
        return best, 1
    if (best.declared is not None and subject.is_final) or (best.created and subject.cannot_declare):
        return best, 1
    tried: set[tuple[tuple[int, int], ...]] = {()}
    calls = len(best.calls)
    while best.ending is RunEnding.FAILED and len(runs) < subject.budget.tries and calls < subject.budget.calls:
        following = _next_overrides(best, tried)
        if following is None:
            break
        tried.add(tuple(sorted(following.items())))
        attempt = run(subject, following)
        runs.append(attempt)
        calls += len(attempt.calls) + attempt.exhausted * subject.budget.calls // 4
        if attempt.ending is not RunEnding.FAILED or len(attempt.calls) > len(best.calls):
            best = attempt
    return best, len(runs)


def force(subject: Subject, best: HookRun) -> tuple[HookRun, Image]:
    """Invert the branches that led a failing run to its failure, one after the other, until a run succeeds.

    Only branches that an unknown decided: at any other, no machine takes another path.

    Such an answer counts only if the code itself declares something: a missing declaration
    may be the result of the branch.
    """
    patches: list[tuple[int, bytes]] = []
    few = min(subject.budget.instructions, _FOLLOWED_INSTRUCTIONS)
    subject = replace(subject, budget=replace(subject.budget, instructions=few))
    best = run(subject, best.overrides, follow=True, turned=())
    left = subject.budget.branches
    while best.ending is RunEnding.FAILED and left > 0 and not best.exhausted:
        furthest = best
        decided = {decision.address for decision in best.decisions}
        for patch in candidates(subject.image, best.way):
            if patch[0] not in decided:
                continue
            if left <= 0 or furthest is not best:
                break
            left -= 1
            attempt = replace(subject, image=patched(subject.image, [*patches, patch]))
            other = run(attempt, best.overrides, follow=True, turned=())
            # A run that does not end, or calls without end, uses the whole budget.
            left -= 8 * (other.exhausted or len(other.calls) > subject.budget.calls // 4)
            if other.declared_something or (len(other.calls) > len(best.calls) and other.ending is RunEnding.FAILED):
                patches.append(patch)
                many = "es" if len(patches) > 1 else ""
                furthest = replace(other, beyond=f"{len(patches)} branch{many} that led to a failure")
        if furthest is best:
            break
        best = furthest
    return best, patched(subject.image, patches)


def _next_overrides(best: HookRun, tried: set[tuple[tuple[int, int], ...]]) -> dict[int, int] | None:
    """Return the next answers to try: the last question of the best run first, each with its other answers."""
    for number in range(len(best.questions) - 1, -1, -1):
        for choice in range(best.questions[number].choices):
            candidate = {k: v for k, v in best.overrides.items() if k < number}
            if choice:
                candidate[number] = choice
            if tuple(sorted(candidate.items())) not in tried:
                return candidate
    return None
