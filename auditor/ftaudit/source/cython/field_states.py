"""The fields of `cdef class` objects: which functions read, write, free and replace them, and under which locks.

Cython's part of the model in `ftaudit.source.shared_state`. A field is a plain C field: nothing guards it when there is
no GIL. A reference that is replaced while another thread reads it is used after it was freed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ftaudit.source.cython.cdef_classes import CdefClasses, is_native
from ftaudit.source.cython.cython_unit import CythonUnit
from ftaudit.source.cython.field_uses import FieldUse, FunctionBody, read_body
from ftaudit.source.cython.lent_fields import Lending, pointer_parameter
from ftaudit.source.method_calls import reach
from ftaudit.source.shared_state import ALONE, Access, AccessKind, EntryKind, EntryPoint, Lock, State

_CONSTRUCTORS: Final = frozenset(
    {"__cinit__", "__init__", "__set_name__", "__setstate__", "__setstate_cython__", "__reduce__", "__reduce_cython__"}
)
_SETS_UP: Final = re.compile(r"^_{0,2}(?:c_|cy_)?(?:init|initiali[sz]e|setup|populate|build|fill|from)(?:_|$)")
"""Names of `cdef` methods that finish a new object which a function has made with `__new__`."""
_MOST_LENDINGS: Final = 2000
"""Calls with fields of objects that are followed in one file."""
_INITIALIZERS: Final = frozenset({"initialize", "initialise", "_initialize", "_initialise", "_init", "_setup"})
_DESTRUCTORS: Final = frozenset({"__dealloc__", "__del__"})


@dataclass(frozen=True, slots=True)
class FieldState:
    """One field of the objects of a `cdef class`."""

    state: State
    type: str
    """The declaration; empty if none is known."""
    accesses: tuple[Access, ...]
    uses: tuple[FieldUse, ...]
    """The kind of each access, in the same order."""
    heirs: frozenset[str] = frozenset()
    """The class and every known class that inherits the field."""

    @property
    def is_native(self) -> bool:
        """Whether it is a pointer or a C++ object: a freed one is gone."""
        return is_native(self.type)


def find_fields(unit: CythonUnit) -> tuple[FieldState, ...]:
    """Return the fields of `cdef` classes that any function of the file touches after construction."""
    return unit.once(_find)


def _find(unit: CythonUnit) -> tuple[FieldState, ...]:
    classes = unit.classes
    if not classes.classes:
        return ()
    bodies: dict[str, list[FunctionBody]] = defaultdict(list)
    for function in unit.functions:
        if function.name not in unit.init_only:
            key = f"{function.owner}.{function.name}" if function.owner else function.name
            bodies[key].append(read_body(unit, classes, function))
    _follow_lendings(unit, classes, bodies)
    by_state: dict[State, list[tuple[Access, FieldUse]]] = defaultdict(list)
    for access, use in _accesses(unit, bodies):
        by_state[access.state].append((access, use))
    nulled = {(use.owner, use.name) for some in bodies.values() for body in some for use in body.uses if use.nulls}
    found: list[FieldState] = []
    for state, pairs in sorted(by_state.items()):
        if any(not access.alone for access, _ in pairs):
            if not any(access.locks for access, _ in pairs if access.writes):
                # A project that locks its writes has chosen what Python code may read without the lock.
                pairs += _exposed(unit, classes, state)
            found.append(
                FieldState(
                    state=state,
                    type=classes.type_of(state.owner, state.name.partition(".")[0])
                    or ("void *" if (state.owner, state.name) in nulled else ""),
                    accesses=tuple(access for access, _ in pairs),
                    uses=tuple(use for _, use in pairs),
                    heirs=classes.heirs(state.owner),
                )
            )
    return tuple(found)


def _follow_lendings(unit: CythonUnit, classes: CdefClasses, bodies: dict[str, list[FunctionBody]]) -> None:
    """Add what functions do to the fields to which they get pointers."""
    functions = {key: some[0].function for key, some in bodies.items()}
    waiting = [body for some in bodies.values() for body in some]
    seen: set[Lending] = set()
    while waiting and len(seen) < _MOST_LENDINGS:
        for lending in waiting.pop().lendings:
            function = functions.get(lending.function)
            if function is None or function.kind == "def" or lending in seen:
                continue
            seen.add(lending)
            parameter = pointer_parameter(function, lending.position)
            if parameter is not None:
                body = read_body(unit, classes, function, {parameter: lending.field})
                bodies[lending.function].append(body)
                waiting.append(body)


def _accesses(unit: CythonUnit, bodies: dict[str, list[FunctionBody]]) -> Iterator[tuple[Access, FieldUse]]:
    """Yield each way in which an entry point reaches a field."""
    methods = {key: some for key, some in bodies.items() if some[0].function.owner}
    entries = list(_entries(unit, bodies))
    # What a constructor hands its object to works on an object that no other thread has.
    alone = [(key, entry) for key, entry in entries if entry.kind in ALONE]
    others = [(key, entry) for key, entry in entries if entry.kind not in ALONE]
    for followed, some in ((methods, alone), (bodies, others)):
        for body, entry, locks, chain in reach(followed, some):
            for use in body.uses:
                yield (
                    Access(
                        state=State(owner=use.owner, name=use.name),
                        kind=use.kind,
                        locks=frozenset(Lock(name=name, owner=use.owner) for name in use.locks | locks),
                        entry_point=entry,
                        location=unit.location(use.line, use.column),
                        chain=chain,
                        field_of_own=use.of_own,
                    ),
                    use,
                )


def _exposed(unit: CythonUnit, classes: CdefClasses, state: State) -> list[tuple[Access, FieldUse]]:
    """Return the reads of Python code of a `public` or `readonly` field, which take no lock."""
    line = classes.classes[state.owner].exposed.get(state.name, 0) if state.owner in classes.classes else 0
    if not line:
        return []
    place = unit.location(line)
    entry = EntryPoint(name=f"the attribute {state.name}", kind=EntryKind.PROPERTY, location=place)
    access = Access(state=state, kind=AccessKind.READ, locks=frozenset(), entry_point=entry, location=place)
    return [(access, FieldUse(state.owner, state.name, AccessKind.READ, line, 1, frozenset()))]


def _entries(unit: CythonUnit, bodies: dict[str, list[FunctionBody]]) -> Iterator[tuple[str, EntryPoint]]:
    called = {name for some in bodies.values() for body in some for name, _ in body.calls}
    for key, some in bodies.items():
        function = some[0].function
        name = function.name
        kind = EntryKind.METHOD if function.owner else EntryKind.FUNCTION
        sets_up = name in _INITIALIZERS or (function.kind == "cdef" and _SETS_UP.match(name))
        if function.owner and (name in _CONSTRUCTORS or sets_up):
            kind = EntryKind.CONSTRUCTOR
        elif function.owner and name in _DESTRUCTORS:
            kind = EntryKind.DESTRUCTOR
        elif function.kind == "cdef" and (not function.owner or key in called or name in unit.setup_only):
            continue
        elif function.owner and name.startswith("__") and name.endswith("__"):
            kind = EntryKind.SLOT
        elif function.kind == "cdef":
            # Functions that only Cython code can call are separate functions.
            kind = EntryKind.FUNCTION
        place = unit.location(function.head.number, function.head.tokens[0].column)
        yield key, EntryPoint(name=name, kind=kind, location=place)
