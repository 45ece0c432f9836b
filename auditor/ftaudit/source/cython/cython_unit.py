"""The model of one Cython file: module variables, classes, functions, locks; made of logical lines, no grammar."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from ftaudit.source.base import Room, SourceFile, TreeContext, Unit
from ftaudit.source.cython.cdef_classes import CdefClasses, find_classes, together
from ftaudit.source.cython.cython_lines import CythonVariable, declared, function_name, split_commas, stores
from ftaudit.source.cython.cython_modules import CythonContext
from ftaudit.source.cython.tokens import LogicalLine, Token, blank_template, split_lines

LOCKING: Final = re.compile(r"(?i)lock|mutex|critical|synchroni[sz]|\bphil\b|with_phil")
"""Names of functions that hold a lock, if the definition is elsewhere."""
_ACQUIRES: Final = frozenset(
    {"acquire", "lock", "PyThread_acquire_lock", "PyMutex_Lock", "omp_set_lock", "pthread_mutex_lock"}
)
_BLOCK: Final = frozenset({"cdef", "public", "readonly", ":"})
"""The words of the head of a block of declarations: `cdef readonly:`."""
_LOCK_CLASSES: Final = frozenset({"Lock", "RLock", "Condition", "Semaphore", "allocate_lock", "FastRLock"})


@dataclass(kw_only=True, slots=True)
class CythonFunction:
    """A function or method, with the lines of its body."""

    name: str
    kind: str
    """`def`, `cdef` or `cpdef`."""
    head: LogicalLine
    decorators: tuple[str, ...] = ()
    owner: str | None = None
    """The class it is a method of."""
    owner_is_cdef: bool = False
    body: list[LogicalLine] = field(default_factory=list)
    globals: frozenset[str] = frozenset()
    locals: frozenset[str] = frozenset()
    """Parameters, and names bound in the body."""
    self_name: str = "self"


class CythonUnit(Unit):
    """One parsed Cython file."""

    def __init__(self, source: SourceFile, context: TreeContext) -> None:
        super().__init__(source, context)
        self._acquired: dict[int, float] = {}
        self.logical = split_lines(blank_template(source.path, source.text))

    @cached_property
    def classes(self) -> CdefClasses:
        """The `cdef` classes and structures that the file can name."""
        return together(find_classes(self.logical), self.context.of(Room.CYTHON, CythonContext).headers)

    @cached_property
    def functions(self) -> list[CythonFunction]:
        """Every function and method; nested functions count by themselves and as part of the outer body."""
        found: list[CythonFunction] = []
        by_head: dict[int, CythonFunction] = {}
        decorators: list[str] = []
        for line in self.logical:
            words = line.words
            if words[0] == "@":
                decorators.append("".join(words[1:]))
                continue
            for function in self._enclosing(line, by_head):
                function.body.append(line)
            if (named := function_name(line)) is not None:
                name, kind = named
                owner, is_cdef = self._owner(line)
                function = CythonFunction(
                    name=name, kind=kind, head=line, decorators=tuple(decorators), owner=owner, owner_is_cdef=is_cdef
                )
                by_head[line.index] = function
                found.append(function)
            decorators = []
        for function in found:
            _scope(function)
        return found

    @cached_property
    def method_names(self) -> frozenset[str]:
        """The methods of the file's classes: `Pool.take`."""
        return frozenset(f"{function.owner}.{function.name}" for function in self.functions if function.owner)

    @cached_property
    def variables(self) -> list[CythonVariable]:
        """The `cdef` variables at module level, those of `cdef extern` blocks left out."""
        found: list[CythonVariable] = []
        for line in self.logical:
            words = line.words
            if words[0] in ("cdef", "cpdef") and self._is_module_level(line) and not line.opens:
                found.extend(declared(line.tokens[1:]))
            elif line.parent >= 0 and not line.opens:
                head = self.logical[line.parent]
                if head.words[:-1] in (["cdef"], ["cdef", "public"], ["cdef", "readonly"]) and self._is_module_level(
                    head
                ):
                    found.extend(declared(line.tokens))
        return found

    @cached_property
    def module_lines(self) -> list[LogicalLine]:
        """The lines that run when the module is imported: those outside functions and classes."""
        inside = {line.index for function in self.functions for line in (function.head, *function.body)}
        return [line for line in self.logical if line.index not in inside]

    def heads(self, line: LogicalLine) -> Iterator[LogicalLine]:
        """Yield the heads of the blocks around a line, innermost first."""
        while line.parent >= 0:
            line = self.logical[line.parent]
            yield line

    def locked(self, line: LogicalLine, function: CythonFunction) -> bool:
        """Return whether a line runs under a lock: a section, a lock taken earlier, or a locking decorator."""
        if any(LOCKING.search(decorator) for decorator in function.decorators):
            return True
        for head in self.heads(line):
            if self._takes_lock(head):
                return True
            if head is function.head:
                break
        return function.name in self.called_under_lock or self._acquired_at(function) < line.index

    def locks_at(self, line: LogicalLine, function: CythonFunction) -> frozenset[str]:
        """Return the locks that a line of a function runs under, as the source writes them."""
        found = {f"@{decorator}" for decorator in function.decorators if LOCKING.search(decorator)}
        for head in self.heads(line):
            if self._takes_lock(head):
                found.add("".join(head.words[1:-1]))
            if head is function.head:
                break
        if function.name in self.called_under_lock:
            found.add("the caller's lock")
        if self._acquired_at(function) < line.index:
            found.add("a lock taken before")
        return frozenset(found)

    def class_of(self, line: LogicalLine) -> str | None:
        """Return the `cdef` class in whose body a line is, not in a method of it."""
        owner, is_cdef = self._owner(line)
        if owner is None or not is_cdef:
            return None
        return None if any(function_name(head) is not None for head in self.heads(line)) else owner

    def _acquired_at(self, function: CythonFunction) -> float:
        """Return the index of the first line of a function that takes a lock by a call."""
        key = function.head.index
        if key not in self._acquired:
            self._acquired[key] = next(
                (float(line.index) for line in function.body for token in _calls(line) if token.text in _ACQUIRES),
                math.inf,
            )
        return self._acquired[key]

    @cached_property
    def called_under_lock(self) -> frozenset[str]:
        """The `cdef` functions and methods of this file that are only ever called by lines that hold a lock."""
        candidates = {function.name for function in self.functions if function.kind == "cdef"}
        called: set[str] = set()
        unlocked: dict[str, set[str]] = {name: set() for name in candidates}
        for function in self.functions:
            for line in function.body:
                for token in _calls(line):
                    if token.text in candidates:
                        called.add(token.text)
                        if not self._locked_here(line, function):
                            unlocked[token.text].add(function.name)
        users = _inverted(unlocked)
        held: set[str] = set()
        ready = [name for name in sorted(called) if not unlocked[name]]
        while ready:
            name = ready.pop()
            if name not in held:
                held.add(name)
                for user in users.get(name, ()):
                    unlocked[user].discard(name)
                    if not unlocked[user]:
                        ready.append(user)
        return frozenset(held)

    @cached_property
    def init_only(self) -> frozenset[str]:
        """The functions that are called when the module is imported and nowhere else."""
        at_import = {token.text for line in self.module_lines for token in _calls(line)}
        candidates = {
            function.name
            for function in self.functions
            if function.owner is None and (function.kind == "cdef" or function.name.startswith("_"))
        }
        called_by: dict[str, set[str]] = {name: set() for name in candidates}
        for function in self.functions:
            for line in function.body:
                for token in _calls(line):
                    if token.text in called_by:
                        called_by[token.text].add(function.name)
        return _closed({name for name in candidates if name in at_import or called_by[name]}, called_by, set())

    @cached_property
    def setup_only(self) -> frozenset[str]:
        """The `cdef` methods that only `__cinit__`, `__init__` and `__dealloc__` reach."""
        owners = {"__cinit__", "__init__", "__dealloc__", "__del__"}
        candidates = {function.name for function in self.functions if function.kind == "cdef" and function.owner}
        callers: dict[str, set[str]] = {name: set() for name in candidates}
        for function in self.functions:
            for line in function.body:
                for token in _calls(line):
                    if token.text in callers:
                        callers[token.text].add(function.name)
        return _closed({name for name in candidates if callers[name] - {name}}, callers, owners)

    def _locked_here(self, line: LogicalLine, function: CythonFunction) -> bool:
        if any(LOCKING.search(decorator) for decorator in function.decorators):
            return True
        return any(self._takes_lock(head) for head in self.heads(line))

    def _takes_lock(self, head: LogicalLine) -> bool:
        words = head.words
        return words[0] == "with" and (
            LOCKING.search(" ".join(words[1:])) is not None or not self.locks.isdisjoint(words[1:])
        )

    @cached_property
    def locks(self) -> frozenset[str]:
        """The variables and attributes that are bound to a lock, whatever their name."""
        found = {variable.name for variable in self.variables if variable.is_sync}
        for line in self.logical:
            words = line.words
            is_lock = words[0] == "cdef" and "(" not in words and LOCKING.search(" ".join(words[1:-1]))
            if is_lock and self.classes.records.isdisjoint(words[1:-1]):
                found.add(words[-1])
            for target, operator in stores(line):
                if operator == "=" and words[-2:] == ["(", ")"] and words[-3] in _LOCK_CLASSES:
                    found.add(target[-1].text)
        return frozenset(found)

    def _is_module_level(self, line: LogicalLine) -> bool:
        """Return whether a declaration is at the top level, or there under `if`, `IF`, `else` and the like."""
        return all(
            head.words[0] in ("if", "elif", "else", "IF", "ELIF", "ELSE", "try", "except") for head in self.heads(line)
        )

    def _owner(self, line: LogicalLine) -> tuple[str | None, bool]:
        for head in self.heads(line):
            words = head.words
            if "class" in words[:3]:
                position = words.index("class")
                name = words[position + 1] if position + 1 < len(words) else ""
                return name, words[0] in ("cdef", "cpdef") or self._is_cclass(head)
            if words[0] in ("def", "cdef", "cpdef", "async") and not _BLOCK.issuperset(words):
                return None, False
        return None, False

    def _is_cclass(self, head: LogicalLine) -> bool:
        before = head.index - 1
        while before >= 0 and self.logical[before].words[0] == "@":
            if "cclass" in self.logical[before].words:
                return True
            before -= 1
        return False

    def _enclosing(self, line: LogicalLine, by_head: dict[int, CythonFunction]) -> Iterator[CythonFunction]:
        for head in self.heads(line):
            if head.index in by_head:
                yield by_head[head.index]

    def statement_lines(self, line: int) -> tuple[int, int]:
        """Return the first and last line of the logical line that covers a line."""
        for logical in self.logical:
            if logical.number <= line <= logical.last_number:
                return logical.number, logical.last_number
        return line, line


def _inverted(edges: dict[str, set[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for source, ends in edges.items():
        for end in ends:
            found.setdefault(end, []).append(source)
    return found


def _closed(names: set[str], callers: dict[str, set[str]], outsiders: set[str]) -> frozenset[str]:
    """Return the largest subset of the names whose callers are all in it or among the accepted outsiders."""
    found = set(names)
    called = _inverted(callers)
    counted = found | outsiders
    leaving = [name for name in sorted(found) if not callers[name] <= counted]
    while leaving:
        name = leaving.pop()
        if name in found:
            found.discard(name)
            leaving.extend(called.get(name, ()))
    return frozenset(found)


def _scope(function: CythonFunction) -> None:
    """Fill in which names are global and which are local to a function."""
    globals_: set[str] = set()
    locals_: set[str] = set()
    parameters = parameters_of(function.head)
    for parameter in parameters:
        before = [token for token in parameter if token.kind == "name"]
        equals = next((at for at, token in enumerate(parameter) if token.text in ("=", ":")), len(parameter))
        names = [token.text for token in parameter[:equals] if token.kind == "name"]
        if names:
            locals_.add(names[-1])
        elif before:
            locals_.add(before[0].text)
    first = [token.text for token in (parameters[0] if parameters else []) if token.kind == "name"]
    function.self_name = first[-1] if first and function.owner else "self"
    for line in function.body:
        words = line.words
        if words[0] == "global":
            globals_.update(words[1:])
        elif words[0] in ("cdef", "cpdef"):
            locals_.update(variable.name for variable in declared(line.tokens[1:]))
        elif words[0] == "for" and "in" in words:
            locals_.update(token.text for token in line.tokens[1 : words.index("in")] if token.kind == "name")
        elif words[0] == "with" and "as" in words:
            locals_.update(words[words.index("as") + 1 : words.index("as") + 2])
        for target, operator in stores(line):
            if len(target) == 1 and target[0].kind == "name" and operator == "=":
                locals_.add(target[0].text)
            elif operator == "=" and "," in (token.text for token in target):
                locals_.update(piece[0].text for piece in split_commas(target) if len(piece) == 1)
    function.globals = frozenset(globals_)
    function.locals = frozenset(locals_ - globals_)


def parameters_of(head: LogicalLine) -> list[list[Token]]:
    """Return the tokens of each parameter of a function."""
    tokens = head.tokens
    begin = depth = 0
    for at, token in enumerate(tokens):
        if token.kind != "op":
            continue
        if token.text in "([{":
            depth += 1
            # `cdef object[:] f(self)` has a bracket before the parameters.
            begin = begin or (at + 1 if token.text == "(" else 0)
        elif token.text in ")]}":
            depth -= 1
            if begin and depth == 0:
                return split_commas(tokens[begin:at])
    return split_commas(tokens[begin:]) if begin else []


def _calls(line: LogicalLine) -> Iterator[Token]:
    for token, following in zip(line.tokens, line.tokens[1:], strict=False):
        if following.text == "(" and token.kind == "name":
            yield token
