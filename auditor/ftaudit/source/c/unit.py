"""`CUnit`: one C or C++ file as rules see it, with everything computed once, on first use."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property
from operator import itemgetter
from typing import Final

from ftaudit.source.base import SourceFile, TreeContext
from ftaudit.source.c.c_declarations import Variable, declared_names
from ftaudit.source.c.c_tree import changed_names, classify_functions, lockers_of, thread_local_words
from ftaudit.source.c.escape import ContainerOrigin, origin_of
from ftaudit.source.c.file import Call, CFile
from ftaudit.source.c.functions import Function
from ftaudit.source.c.guards import LockedSection, SectionFinder, find_sections
from ftaudit.source.c.locks import SYNC_TYPES, means_thread_local
from ftaudit.source.c.reach import Reach, find_reach
from ftaudit.source.c.text import find_words, normalized
from ftaudit.source.c.uses import VariableUse, classify_use

_MOST_OF_A_NAME: Final = 200
"""Variables in one file that share a name (static ones of functions) and are kept apart."""
HELD: Final = re.compile(
    r"(?i)(?:_lock_held|_locked|_with_lock|_under_lock|_lockheld|Locked|LockHeld)(?:_\w+)?$|^(?:unlocked_|nolock_|locked_)|(?:_unlocked|_nolock)$"
)


class CUnit(CFile):
    """One C or C++ file with its models: guards, reach, variables and escapes."""

    def __init__(self, source: SourceFile, context: TreeContext) -> None:
        super().__init__(source, context)
        self.memory: dict[str, object] = {}
        """The place where the models of `ftaudit.source.c` keep their results for this unit."""
        self._depth = 0

    # Guards

    @cached_property
    def _lockers(self) -> tuple[frozenset[str], frozenset[str]]:
        takes, gives = lockers_of(self.preprocessed.macros)
        if any(word in self.code for word in ("utex_", "_lock", "Lock(", "lock(", "LOCK", "CRITICAL")):
            classify_functions(self.code, self.functions, takes, gives)
        return self.tree.takes | takes, self.tree.gives | gives

    @cached_property
    def _sections(self) -> dict[int, SectionFinder]:
        return {}

    def sections(self, function: Function) -> SectionFinder:
        """Return the stretches of a function that run under a lock."""
        finder = self._sections.get(function.body)
        if finder is None:
            takes, gives = self._lockers
            finder = SectionFinder(find_sections(self.code, self.text, function, takes, gives, cpp=self.cpp))
            self._sections[function.body] = finder
        return finder

    def sections_at(self, offset: int) -> list[LockedSection]:
        """Return the locked stretches around a place."""
        function = self.function_at(offset)
        return [] if function is None else self.sections(function).at(offset)

    def guarded(self, offset: int) -> bool:
        """Return whether a place runs under a lock or in a function that is called only under one."""
        function = self.function_at(offset)
        if function is None:
            return False
        return bool(self.sections(function).at(offset)) or self.held_by_callers(function)

    @cached_property
    def _held(self) -> dict[int, bool]:
        return {}

    def held_by_callers(self, function: Function) -> bool:
        """Return whether every caller in this file holds a lock, or the name says that callers must."""
        known = self._held.get(function.body)
        if known is not None:
            return known
        self._held[function.body] = False
        places = self.reach.callers.get(function.short_name, ())
        held = (
            bool(HELD.search(function.short_name))
            or function.body in self.clinic_locked
            or (
                bool(places)
                and len(self._held) < 5000
                and self._depth < 6
                and all(self._guarded_call(place) for place in places)
            )
        )
        self._held[function.body] = held
        return held

    @cached_property
    def clinic_locked(self) -> frozenset[int]:
        """Functions that Argument Clinic calls under a critical section, as the comment before them asks."""
        places = [c.start for c in self.comments if "@critical_section" in c.text and "[clinic input]" in c.text]
        starts = [function.start for function in self.functions]
        following = {bisect_right(starts, place) for place in places}
        return frozenset(self.functions[index].body for index in following if index < len(starts))

    def _guarded_call(self, place: int) -> bool:
        self._depth += 1
        try:
            return self.guarded(place)
        finally:
            self._depth -= 1

    # Reach

    @cached_property
    def reach(self) -> Reach:
        """The callers of each function."""
        return find_reach(
            self.code,
            self.functions,
            self.syntax.variables,
            self.tree.called_at_import,
            self.tree.entry_macros,
            self._finder,
            self.syntax.classes,
        )

    def at_import(self, function: Function | None) -> bool:
        """Return whether only the import of the module (or its end) runs the function."""
        return function is not None and function.body in self.reach.at_import

    def maybe_at_import(self, function: Function) -> bool:
        """Return whether no caller of the function is in this file and its name says that it initializes something."""
        return function.body in self.reach.named_init

    # Variables

    @cached_property
    def thread_local_words(self) -> frozenset[str]:
        """The words that make a declaration thread-local here."""
        return thread_local_words(self.tree, self.preprocessed.macros)

    def is_thread_local(self, variable: Variable) -> bool:
        """Return whether each thread has its own copy."""
        words_ = variable.words
        declspec = {"__declspec", "thread"} <= words_
        return declspec or bool(words_ & self.thread_local_words) or any(map(means_thread_local, words_))

    def is_synchronized(self, variable: Variable) -> bool:
        """Return whether it is a lock, an atomic or a similar object that threads share on purpose."""
        return bool(SYNC_TYPES.search(variable.type))

    @cached_property
    def shared_variables(self) -> dict[str, list[Variable]]:
        """The variables of this file that all threads see, by name; extern declarations are not among them."""
        found: dict[str, list[Variable]] = {}
        for variable in self.syntax.variables:
            if "extern" in variable.words and variable.initializer is None:
                continue
            if not self.is_thread_local(variable):
                found.setdefault(variable.name, []).append(variable)
        return {name: _defined(variables) for name, variables in found.items()}

    def is_shared_variable(self, name: str, function: Function | None) -> bool:
        """Return whether a name in a function means a variable that all threads see."""
        for variable in self.shared_variables.get(name, ()):
            if variable.function is None:
                if function is None or not self.is_local(function, name):
                    return True
            elif function is not None and variable.function == function.body:
                return True
        return False

    @cached_property
    def _locals(self) -> dict[int, frozenset[str]]:
        return {}

    def is_local(self, function: Function, name: str) -> bool:
        """Return whether a name is a parameter or an automatic variable of a function."""
        names = self._locals.get(function.body)
        if names is None:
            found: set[str] = {p.name for p in function.parameters}
            for start, end in self.syntax.declarations_in(function):
                if "static" not in self.code[start : start + 60]:
                    found.update(declared_names(self.code[start:end].rstrip(";")))
            names = frozenset(found)
            self._locals[function.body] = names
        if name not in names and function.bound:
            outer = self.function_at(function.start)
            return outer is not None and self.is_local(outer, name)
        return name in names

    @cached_property
    def _identifiers(self) -> dict[str, list[tuple[int, Function]]]:
        """The places inside functions of the names of all shared variables, in order."""
        places: dict[str, list[tuple[int, Function]]] = {name: [] for name in self.shared_variables}
        for found in find_words(self.code, places):
            if (function := self.function_at(found.start())) is not None:
                places[found[0]].append((found.start(), function))
        return places

    def uses(
        self, variable: Variable, wanted: Callable[[VariableUse], bool] = lambda _: True
    ) -> Iterator[tuple[VariableUse, Function]]:
        """Yield the wanted ones of the uses of a shared variable inside functions, in order.

        Resolving a name costs more than classifying its use, so `wanted` is called first.
        """
        places = self._identifiers.get(variable.name, [])
        if variable.function is not None:
            first, last = (
                bisect_right(places, offset, key=itemgetter(0))
                for offset in (variable.start, self._end_of(variable.function))
            )
            places = places[first:last]
        for at, function in places:
            if at == variable.start:
                continue
            use = classify_use(self.code, at, at + len(variable.name))
            if use is None or not wanted(use):
                continue
            if variable.function is None and (
                self.is_local(function, variable.name) or self._static_of_same_name(variable, function)
            ):
                continue
            if variable.owner and not self._belongs(variable.owner, at, function):
                continue
            yield use, function

    def _belongs(self, owner: str, at: int, function: Function) -> bool:
        """Return whether a name used in a function can mean a static member of a class."""
        before = re.search(r"(\w+)\s*(?:<[^<>]*>\s*)?::\s*$", self.code[max(0, at - 80) : at])
        if before:
            return before[1] == owner
        if f"{owner}::" in function.name.replace(" ", "") or f"{owner}<" in function.name:
            return True
        return any(start < function.start < end for start, end, name in self.syntax.classes if name == owner)

    def _end_of(self, body: int) -> int:
        return next((function.end for function in self.functions_at(body)), body)

    @cached_property
    def bound_functions(self) -> tuple[Function, ...]:
        """The lambdas that bindings pass to Python."""
        return tuple(function for function in self.functions if function.bound)

    @cached_property
    def _by_body(self) -> dict[int, Function]:
        return {function.body: function for function in self.functions}

    def functions_at(self, body: int) -> tuple[Function, ...]:
        """Return the function whose body begins at a place, if any."""
        found = self._by_body.get(body)
        return () if found is None else (found,)

    @cached_property
    def _by_name(self) -> dict[str, list[Function]]:
        found: dict[str, list[Function]] = {}
        for function in self.functions:
            found.setdefault(function.short_name, []).append(function)
        return found

    def functions_named(self, name: str) -> list[Function]:
        """Return the functions of this file with a name; several if conditions choose."""
        return self._by_name.get(name, [])

    def _static_of_same_name(self, variable: Variable, function: Function) -> bool:
        return any(
            v.function == function.body for v in self.shared_variables.get(variable.name, ()) if v is not variable
        )

    def assigned(self, function: Function, name: str, before: int) -> list[str]:
        """Return what a function assigns to a name before a place, in order, without casts."""
        pattern = re.compile(rf"(?<![\w.>])\b{re.escape(name)}\s*=(?!=)\s*")
        values: list[str] = []
        for found in pattern.finditer(self.code, function.body, before):
            end = _expression_end(self.code, found.end(), function.end)
            if end <= before:
                values.append(self.code[found.end() : end].strip())
        return values

    @cached_property
    def has_atomics(self) -> bool:
        """Whether the file uses atomic operations at all."""
        code = self.code.lower()
        return "atomic" in code or "__sync_" in code or "interlocked" in code

    # Escapes

    @property
    def mutated_members(self) -> frozenset[str]:
        """Members that hold a container which the tree changes, see `CTree.mutated_members`."""
        return self.tree.mutated_members

    @cached_property
    def _changed_members(self) -> frozenset[str]:
        """Names that a method of a C++ class changes the container of and that are neither its own nor a variable."""
        places = {
            (name, function)
            for name, place in (changed_names(self.code) if self.cpp else ())
            if (function := self.function_at(place)) is not None
        }
        return frozenset(name for name, function in places if self._means_member(name, function))

    def _means_member(self, name: str, function: Function) -> bool:
        method = "::" in function.name or any(start < function.start < end for start, end, _ in self.syntax.classes)
        return method and not self.is_local(function, name) and not self.is_shared_variable(name, function)

    def is_held_by_objects(self, kind: str) -> bool:
        """Return whether a type is one of objects, or objects of the tree have a field of it; unknown means yes."""
        name = re.sub(r"\b(?:const|struct|volatile)\b|[*\s]", "", kind)
        if not self.tree.objects or name in self.tree.objects:
            return True
        return name in self.tree.held_types

    def is_changed_member(self, name: str, function: Function) -> bool:
        """Return whether a plain name in a method is a member (without `this->`) whose container the file changes."""
        return name in self._changed_members and self._means_member(name, function)

    def origin(self, call: Call, argument: int = 0) -> ContainerOrigin:
        """Return the origin of the container that a call receives."""
        if argument >= len(call.arguments):
            return ContainerOrigin.UNKNOWN
        return origin_of(self, call.function, call.arguments[argument], call.start)

    def passed_arguments(self, function: Function, index: int) -> list[ContainerOrigin]:
        """Return where the arguments of a static function come from, call by call; empty when others may call it."""
        if not function.is_static or self._depth >= 3:
            return []
        found: list[ContainerOrigin] = []
        self._depth += 1
        try:
            for place in self.reach.callers.get(function.short_name, ())[:20]:
                call = self._call(function.short_name, place)
                if call is None or index >= len(call.arguments):
                    return []
                found.append(origin_of(self, call.function, call.arguments[index], call.start))
        finally:
            self._depth -= 1
        return found

    def passed_locals(self, function: Function, index: int) -> bool:
        """Return whether every caller of a static function passes the address of an automatic variable there."""
        places = self.reach.callers.get(function.short_name, ())
        if not function.is_static or not places:
            return False
        for place in places[:50]:
            call = self._call(function.short_name, place)
            argument = call.arguments[index].strip() if call and index < len(call.arguments) else ""
            name = argument.lstrip("& ")
            if call is None or not name.isidentifier():
                return False
            if self.is_shared_variable(name, call.function):
                return False
            if not argument.startswith("&") and not self._handed_on(call.function, name):
                return False
        return True

    def _handed_on(self, function: Function | None, name: str) -> bool:
        """Return whether a name is a parameter that is itself the address of an automatic variable of every caller."""
        names = [] if function is None else [parameter.name for parameter in function.parameters]
        if function is None or name not in names or self._depth >= 4:
            return False
        self._depth += 1
        try:
            return self.passed_locals(function, names.index(name))
        finally:
            self._depth -= 1

    def same(self, left: str, right: str) -> bool:
        """Return whether two expressions are the same except for casts and blanks."""
        return normalized(left) == normalized(right)


def _defined(variables: list[Variable]) -> list[Variable]:
    """Leave out the declaration of a static member in its class if the file also has its definition."""
    defined = {variable.owner for variable in variables if variable.owner and not variable.member}
    kept = [variable for variable in variables if not (variable.member and variable.owner in defined)]
    return kept[:_MOST_OF_A_NAME]


def _expression_end(code: str, start: int, limit: int) -> int:
    depth = 0
    for found in re.compile(r"[()\[\]{},;]").finditer(code, start, limit):
        char = found[0]
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth < 0:
                return found.start()
        elif depth == 0:
            return found.start()
    return limit
