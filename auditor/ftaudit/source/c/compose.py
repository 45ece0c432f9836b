"""From the summaries of all files to accesses: the effects of functions are followed through their calls."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

from ftaudit.model import Location
from ftaudit.source.base import Survey
from ftaudit.source.c.function_effects import CAPSULE
from ftaudit.source.native_names import changes, frees, looks
from ftaudit.source.shared_state import Access, AccessKind, EntryKind, EntryPoint, Lock, State

_LOCK: Final = Lock(name="a lock")
"""One for all: as in RacerD, the locks are not distinguished."""
_CPYTHON: Final = Lock(name="CPython's own")
_LIFECYCLE: Final = re.compile(
    r"(?i)_*(?:init|set_?up|start|open|begin|connect|create|load|build|parse|stop|close|end|shut_?down|disconnect|join|destroy"
    r"|tear_?down|clean_?up|final|release$|move)|.*(?:unlocked|nolock|_locked|locked$|lock_?held|unsafe)"
)
"""Methods that only the owner of an object calls, before or after the threads; and those that the caller locks for."""
_MOVES: Final = frozenset({AccessKind.FREE, AccessKind.REPLACE})
_MOST: Final = 400
"""How many effects of one function are followed to its callers; larger functions do not belong to any one state."""
_DEEPEST: Final = 60
_MOST_CANDIDATES: Final = 4
"""How many functions of one name in other files a call may mean."""


class _Key(NamedTuple):
    root: int
    type: str
    field: str
    kind: AccessKind
    locked: bool


@dataclass(frozen=True, slots=True)
class _Reached:
    """The place of an effect, and the functions on the path to it."""

    path: str
    line: int
    chain: tuple[str, ...]


@dataclass(slots=True)
class _Function:
    name: str
    path: str
    line: int
    static: bool
    touches: list[list[Any]]
    calls: list[list[Any]]
    effects: dict[_Key, _Reached] | None = None


def compose_c(summaries: Mapping[str, Survey], locking: frozenset[str] = frozenset()) -> tuple[Access, ...]:
    """Return every way in which an entry point of the tree reaches a field of an object.

    `locking` are the C++ classes of which only the lock that their objects own shows that threads share them.
    """
    tree = _ComposedTree(summaries)
    found = tuple(tree.accesses())
    guarded = _against_their_lock(access for access in tree.of_locking_classes() if access.state.owner in locking)
    return (*found, *tree.members(frozenset(access.state for access in found)), *guarded)


def _against_their_lock(accesses: Iterable[Access]) -> Iterator[Access]:
    """Yield the accesses to the fields that one function of a class uses under a lock, and another one without.

    A field that only some functions change needs no lock in the others. Numbers that stand for themselves are left out,
    and so is what runs before an object is shared or after it.
    """
    by_state: dict[State, list[Access]] = {}
    for access in accesses:
        if access.locks or not _LIFECYCLE.match(access.entry_point.name):
            by_state.setdefault(access.state, []).append(access)
    for some in by_state.values():
        bare = [access for access in some if not access.locks]
        written = {access.kind for access in some if access.writes}
        if not bare or not written - {AccessKind.SET, AccessKind.COUNT}:
            continue
        if len(bare) < len(some):
            changes = any(access.writes for access in bare) or not written.isdisjoint(_MOVES)
        else:
            # No function takes a lock for it: only a container that two functions move is worth a word.
            some = [access for access in some if access.kind in _MOVES]
            changes = len({access.entry_point.name for access in some}) > 1
        if changes:
            yield from some


class _ComposedTree:
    def __init__(self, summaries: Mapping[str, Survey]) -> None:
        self.summaries = summaries
        self.files: dict[str, list[_Function]] = {}
        self.by_name: dict[str, list[_Function]] = {}
        self.const: dict[str, dict[str, bool]] = {}
        self.hidden: set[str] = set()
        """The private and protected methods of C++ classes."""
        for path, summary in summaries.items():
            for row in summary["functions"]:
                name, static, line, touches, calls = row
                function = _Function(name, path, line, static, touches, calls)
                self.files.setdefault(path, []).append(function)
                self.by_name.setdefault(name, []).append(function)
                if "::" in name:
                    self.by_name.setdefault(name.rpartition("::")[2], []).append(function)
            self.hidden.update(summary.get("hidden", ()))
            for owner, methods in summary.get("classes", {}).items():
                self.const.setdefault(owner, {}).update(methods)

    def accesses(self) -> Iterator[Access]:
        """Yield the accesses of every entry point."""
        seen: set[tuple[str, int, str, EntryKind]] = set()
        for path, summary in self.summaries.items():
            for function_name, index, name, kind, line, locked, only, of_locking in summary["entries"]:
                if of_locking:
                    continue
                if only is not None and function_name in self.hidden and function_name in self.called_in_class:
                    # A private method runs under the locks of those that call it.
                    continue
                functions = self._resolve(function_name, path) if index is None else [self.files[path][index]]
                for function in functions:
                    key = function.path, function.line, name, EntryKind(kind)
                    if key not in seen:
                        seen.add(key)
                        place = Location(path=path, line=line)
                        reached = self._of_entry(function, name, EntryKind(kind), place, locked)
                        yield from (one for one in reached if only is None or one.state.name in only)

    def of_locking_classes(self) -> Iterator[Access]:
        """Yield the accesses of functions to the fields of C++ classes that own a lock.

        A function that others of its class call may be called under their lock: it is followed from there.
        """
        rows = [(path, row) for path, summary in self.summaries.items() for row in summary["entries"] if row[-1]]
        for path, (_, index, name, kind, line, *_) in rows:
            function = self.files[path][index]
            if function.name not in self.called_in_class:
                yield from self._of_entry(function, name, EntryKind(kind), Location(path=path, line=line), locked=False)

    @cached_property
    def called_in_class(self) -> frozenset[str]:
        """The functions that functions of their own class call, and those that are called by full name."""
        found: set[str] = set()
        for functions in self.files.values():
            for function in functions:
                owner = function.name.rpartition("::")[0]
                for callee, *_ in function.calls:
                    found.add(f"{owner}::{callee}" if owner and "::" not in callee else callee)
        return frozenset(found)

    def members(self, used: frozenset[State]) -> Iterator[Access]:
        """Yield the accesses of Python code to exposed fields.

        A store to one that no function of the project uses concerns only code that shares the object without a lock:
        it counts as a plain one, whatever its type.
        """
        for path, summary in self.summaries.items():
            for name, owner, field, line, stored, guarded in summary["members"]:
                for access in _of_member(path, name, owner, field, line, stored, guarded):
                    plain = access.kind is AccessKind.REPLACE and access.state not in used
                    yield replace(access, kind=AccessKind.SET) if plain else access

    def _of_entry(
        self, function: _Function, name: str, kind: EntryKind, place: Location, locked: bool
    ) -> Iterator[Access]:
        entry = EntryPoint(name=name, kind=kind, location=place)
        for key, reached in self._effects(function, 0).items():
            if not key.type:
                continue
            yield Access(
                state=State(owner=key.type, name=key.field),
                kind=key.kind,
                locks=frozenset({_LOCK}) if key.locked or locked else frozenset(),
                entry_point=entry,
                location=Location(path=reached.path, line=reached.line),
                chain=reached.chain,
                field_of_own=key.root == 0,
            )

    def _resolve(self, name: str, path: str) -> list[_Function]:
        """Return the functions that a name may mean in a file: its own, else those of other files."""
        found = self.by_name.get(name, [])
        if not found and "::" in name:
            return []
        own = [function for function in found if function.path == path]
        if own:
            return own[:_MOST_CANDIDATES]
        others = [function for function in found if "::" not in function.name or "::" in name]
        return others if len(others) <= _MOST_CANDIDATES else []

    def _effects(self, function: _Function, depth: int) -> dict[_Key, _Reached]:
        """Return the effects of a function, including its callees, in terms of its own parameters."""
        if function.effects is not None:
            return function.effects
        found: dict[_Key, _Reached] = {}
        # A function whose effects are being computed is not followed again if it calls itself.
        function.effects = found
        for root, kind_type, field, kind, locked, line in function.touches:
            found.setdefault(_Key(root, kind_type, field, AccessKind(kind), locked), _Reached(function.path, line, ()))
        for callee, arguments, handles, locked, line in function.calls if depth < _DEEPEST else ():
            resolved = self._resolve(callee, function.path)
            if not resolved:
                self._unknown(found, function, callee, arguments, handles, locked, line)
            for other in resolved:
                if other is not function:
                    self._follow(found, other, arguments, locked, depth, (function.path, line))
                if len(found) > _MOST:
                    return found
        return found

    def _follow(
        self,
        found: dict[_Key, _Reached],
        other: _Function,
        arguments: list[Any],
        locked: bool,
        depth: int,
        place: tuple[str, int],
    ) -> None:
        for key, reached in list(self._effects(other, depth + 1).items()):
            if key.root < 0:
                root, owner, field = key.root, key.type, key.field
            else:
                value = arguments[key.root] if key.root < len(arguments) else None
                if value is None:
                    continue
                root, owner, field = value[0], key.type, key.field
                if not owner and value[3] and key.kind is AccessKind.FREE:
                    continue
                if not owner:
                    owner, field = value[1], value[2]
                    if owner:
                        # The field is named here; the callee only sees memory.
                        reached = _Reached(*place, ())
            mapped = _Key(root, owner, field, key.kind, key.locked or locked)
            if mapped not in found and len(reached.chain) < 8:
                found[mapped] = _Reached(reached.path, reached.line, (other.name.rpartition("::")[2], *reached.chain))

    def _unknown(
        self,
        found: dict[_Key, _Reached],
        function: _Function,
        callee: str,
        arguments: list[Any],
        handles: list[int],
        locked: bool,
        line: int,
    ) -> None:
        """Classify a call of a function that is not in the tree, by its name."""
        owner, _, method = callee.rpartition("::")
        if owner:
            declared = self.const.get(owner, {}).get(method)
            if declared is False or (declared is None and changes(method)):
                key = _Key(arguments[0][0], owner.rpartition("::")[2], "", AccessKind.WRITE, locked)
                found.setdefault(key, _Reached(function.path, line, ()))
            return
        for index, value in enumerate(arguments):
            if value is None or not value[2] or value[3]:
                continue
            if value[0] == CAPSULE and not callee.lower().endswith("realloc"):
                # A capsule mostly wraps a handle of a library, which may do its own locking.
                continue
            if frees(callee) and index == 0:
                kind = AccessKind.FREE
            elif index in handles and not callee.isupper() and not looks(callee):
                kind = AccessKind.WRITE
            else:
                continue
            key = _Key(value[0], value[1], value[2], kind, locked)
            found.setdefault(key, _Reached(function.path, line, ()))


def _of_member(
    path: str, name: str, owner: str, field: str, line: int, stored: str | None, guarded: bool
) -> Iterator[Access]:
    """Yield the accesses of CPython, or a binding, to a field that a table exposes to Python code."""
    place = Location(path=path, line=line)
    entry = EntryPoint(name=name, kind=EntryKind.PROPERTY, location=place)
    locks = frozenset({_CPYTHON, _LOCK}) if guarded else frozenset()
    kinds = (AccessKind.READ, AccessKind(stored)) if stored else (AccessKind.READ,)
    for kind in kinds:
        yield Access(state=State(owner=owner, name=field), kind=kind, locks=locks, entry_point=entry, location=place)
