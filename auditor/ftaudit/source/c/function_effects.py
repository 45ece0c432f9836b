"""The effects of one function on its arguments: the fields that it reads and writes, and the calls it passes them to.

The function is read once, from top to bottom. Each local name stands for its last value: a parameter, something
that a field of a parameter leads to, or nothing that other threads can reach. Memory behind a field belongs to the
field: `node->next = x` with `node = self->head` changes `self->head`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ftaudit.source.c.access_kinds import DEREFERENCES, is_number, kind_of_place, locks_itself, tests_pointer
from ftaudit.source.c.callees import Does, filled, what_it_does
from ftaudit.source.c.capsules import capsule_type
from ftaudit.source.c.functions import Function
from ftaudit.source.c.guards import SectionFinder
from ftaudit.source.c.locks import ONCE, SYNC_TYPES
from ftaudit.source.c.meanings import (
    CAST,
    SHARED,
    STATE,
    WORD,
    accessor_names,
    alias_macros,
    calls_getter,
    calls_one_of,
    known_capsule_getters,
    name_before,
    plain_type,
    returned_fields,
    shared_users,
    type_aliases,
)
from ftaudit.source.c.objects import Fields
from ftaudit.source.c.text import KEYWORDS, closing, opening, split_arguments, strip_casts
from ftaudit.source.c.unit import CUnit
from ftaudit.source.shared_state import AccessKind

CAPSULE: Final = -2
"""The root of objects that Python code holds in capsules."""


class Value(NamedTuple):
    """The object that an expression stands for, if other threads may reach it."""

    root: int
    """The index of a parameter, `SHARED` or `CAPSULE`."""
    type: str = ""
    """The type of the object whose field leads there; empty for the root itself."""
    field: str = ""
    made: bool = False
    """A function made it from what the field leads to: freeing it frees nothing behind the field."""


@dataclass(frozen=True, slots=True)
class Touch:
    """One access. `type` and `field` are empty for an access to the object that parameter `root` points to."""

    root: int
    type: str
    field: str
    kind: AccessKind
    locked: bool
    at: int


@dataclass(frozen=True, slots=True)
class Handed:
    """One call with an argument that other threads may reach."""

    callee: str
    """With its class if the receiver's type is known: `Batch::release`."""
    arguments: tuple[Value | None, ...]
    handles: tuple[int, ...]
    """Which arguments are pointers of a library's that a field holds, or memory within an object."""
    locked: bool
    at: int


@dataclass(slots=True)
class Effects:
    """The effects of one function."""

    touches: list[Touch] = field(default_factory=list)
    calls: list[Handed] = field(default_factory=list)


_EVENT: Final = re.compile(r"->\s*([A-Za-z_]\w*)|=(?<![=!<>+\-*/%&|^~]=)(?!=)|\((?<=[\w ]\()")
_EVENT_CPP: Final = re.compile(
    r"->\s*([A-Za-z_]\w*)|=(?<![=!<>+\-*/%&|^~]=)(?!=)|\((?<=[\w ]\()|\.(?<=[\w)\]]\.)\s*([A-Za-z_]\w*)"
)
_STARS: Final = re.compile(r"[*&]+\s*(?:const\s+|restrict\s+|__restrict\s+)?([A-Za-z_]\w*)\s*(?==|;|,)")
_TYPE_END: Final = re.compile(r"([A-Za-z_][\w:]*)\s*(?:<[^;<>]*>)?\s*(?:const\s*)?\Z")
_BASE: Final = re.compile(r"\(*\s*([A-Za-z_]\w*)\s*(?=->|\.|\[|\Z)")
_SMART_POINTER: Final = re.compile(r"\b(?:shared|unique|intrusive)_ptr\s*<\s*(?:const\s+)?(?:\w+\s*::\s*)*(\w+)\s*>")
_DECLARED_BEFORE: Final = re.compile(r"([A-Za-z_]\w*)\s*(?:<[^<>;{}]*>)?\s+\Z")
_FIELD_OF: Final = re.compile(r"([A-Za-z_]\w*)\s*->\s*([A-Za-z_]\w*)\Z")
_STEP: Final = re.compile(r"\s*(?:->|\.)\s*([A-Za-z_]\w*)")
_ALLOCATES: Final = re.compile(
    r"(?i)\b(?:_?PyObject_(?:GC_)?New\w*|\w*alloc\w*|\w*_new\w*|new_?\w*|\w*create\w*|\w*_copy|copy_\w*|\w*clone\w*"
    r"|\w*dup\w*|make_\w*|\w*_make\w*|\w*_build\w*)\s*[(<]|\bnew\s+[A-Za-z_(]|\bPyObject_(?:GC_)?New\b|tp_alloc|tp_new"
)
_NAME_PART: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_ACCESSORS: Final = frozenset(
    {
        *("pop", "first", "last", "next", "prev", "head", "tail", "get", "find", "lookup", "search", "peek", "front"),
        *("back", "root", "top", "remove", "take", "detach", "steal", "begin", "end", "at", "item", "node", "entry"),
        *("data", "ptr", "self", "cast"),
    }
)
"""Words in names of functions that return memory within their arguments; other functions return their own."""
_CALL: Final = re.compile(r"([A-Za-z_]\w*)\s*\(")
_CHAIN_BEFORE: Final = re.compile(r"(?<![\w.>])[A-Za-z_]\w*\s*->\s*[A-Za-z_]\w*\Z")
"""The object whose method is called, if it is a field: `self->cache`."""
_OBJECTS_OWN: Final = frozenset(
    ["ob_type", "ob_refcnt", "ob_base", "ob_size", "weakreflist", "in_weakreflist", "ob_refcnt_local", "ob_tid"]
)
_NO_HANDLE: Final = re.compile(r"\bconst\b|\bPy\w*|\bFILE\b|\b\w+Object\b|\(\*\)|\bvoid\b|\bchar\b")
"""Types of fields that are not a library's handle: constants, objects, files (which lock themselves), text."""
_NO_ARGUMENTS: Final = re.compile(r"(?:([A-Za-z_]\w*)\s*::\s*)?\b([A-Za-z_]\w*)\s*\(\s*\)\s*\Z")
_EMPTY: Final = frozenset({"NULL", "nullptr", "0"})
_NEAR_ALIAS: Final = 4_000
"""How many characters before a bound lambda are searched for the alias of a type."""
_LONGEST_VALUE: Final = 300
_LONGEST_CALL: Final = 3_000
"""How many characters of a right side, and of a call's arguments, are read."""


def find_effects(unit: CUnit, function: Function, objects: Mapping[str, Fields], self_type: str) -> Effects:
    """Return the effects of a function on its arguments. `self_type` is the class of a C++ method, else empty."""
    walk = _FunctionWalk(unit, function, objects, self_type)
    code = unit.code[function.body : function.end]
    reads = walk.values or self_type or walk.reaches or "tate" in code or calls_getter(unit, code)
    return walk.run() if reads or calls_one_of(shared_users(unit), code) else Effects()


class _FunctionWalk:
    """One reading of one function."""

    def __init__(self, unit: CUnit, function: Function, objects: Mapping[str, Fields], self_type: str) -> None:
        self.unit = unit
        self.function = function
        self.code = unit.code
        self.objects = objects
        self.self_type = self_type
        self.types: dict[str, str] = {}
        self.values: dict[str, Value] = {}
        self.effects = Effects()
        self.released: set[tuple[str, str]] = set()
        self.ignored = -1
        """The end of a call whose arguments touch nothing: an atomic operation, an assertion."""
        self._sections: SectionFinder | None = None
        self._made_once = function.end
        self.made_here: dict[tuple[str, str], bool] = {}
        self.reaches = False
        """It uses an object that exists once."""
        first = 0
        if self_type:
            self.types["this"] = self_type
            self.values["this"] = Value(0)
            first = 1
        self.by_reference = bool(self_type)
        for index, parameter in enumerate(function.parameters):
            kind = parameter.type
            smart = _SMART_POINTER.search(kind) if "_ptr" in kind else None
            if smart is not None or "*" in kind or "&" in kind or "Object" in kind:
                self.values[parameter.name] = Value(index + first)
                self.types[parameter.name] = self._meant(smart[1] if smart is not None else plain_type(kind))
                self.by_reference = self.by_reference or "&" in kind
        self._single_objects()
        for name, (meant, cast) in alias_macros(unit).items():
            if meant in self.values:
                self.values[name] = self.values[meant]
                self.types[name] = cast or self.types[meant]

    def _meant(self, kind: str) -> str:
        """Return the type that a name means in this function, after `using Self = Batch;`."""
        if kind in self.objects or not self.function.bound:
            return kind
        last = None
        for at, name, meant in type_aliases(self.unit):
            if name == kind and self.function.start - _NEAR_ALIAS < at < self.function.start:
                last = meant
        return last if last in self.objects and last is not None else kind

    def _single_objects(self) -> None:
        """Give values to the variables that hold an object which exists once."""
        tree = self.unit.tree
        if not self.unit.cpp or not (tree.globals or tree.accessors):
            return
        words = set(WORD.findall(self.code, self.function.body, self.function.end))
        for name in words & tree.globals.keys():
            if not self.unit.is_local(self.function, name):
                self.values[name] = Value(SHARED)
                self.types[name] = tree.globals[name]
                self.reaches = self.by_reference = True
        if words & accessor_names(self.unit):
            self.reaches = self.by_reference = True

    def _accessed(self, text: str) -> str:
        """Return the class of the object that a call without arguments returns, if it exists once; else nothing."""
        if not self.reaches or not (call := _NO_ARGUMENTS.search(text)):
            return ""
        accessors = self.unit.tree.accessors
        return accessors.get(f"{call[1]}::{call[2]}") or accessors.get(call[2], "")

    def run(self) -> Effects:
        """Read the function."""
        code, start, end = self.code, self.function.body, self.function.end
        if code.find("->", start, end) >= 0 or self.by_reference:
            self._declared_types()
        pattern = _EVENT_CPP if self.by_reference else _EVENT
        pending: list[tuple[int, int]] = []
        inner = self._inner_lambdas()
        for found in self._events(pattern):
            at = found.start()
            while pending and pending[-1][0] <= at:
                self._assign(*pending.pop())
            if inner and any(begin <= at < stop for begin, stop in inner):
                continue
            char = code[at]
            if char == "=":
                semicolon = code.find(";", at, end)
                pending.append((semicolon if semicolon > 0 else end, at))
                if len(pending) > 1:
                    pending.sort(reverse=True)
            elif char == "(":
                self._call(at)
            elif at < self.ignored:
                continue
            elif char in "-.":
                self._chain(found)
            else:
                self._member(found)
        while pending:
            self._assign(*pending.pop())
        self._settle()
        return self.effects

    # Reads

    def _events(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        start, end = self.function.body, self.function.end
        members = self._members() if self.self_type else None
        if members is None:
            return pattern.finditer(self.code, start, end)
        return iter(
            sorted(
                (*pattern.finditer(self.code, start, end), *members.finditer(self.code, start, end)), key=re.Match.start
            )
        )

    def _inner_lambdas(self) -> list[tuple[int, int]]:
        if not self.unit.cpp or self.function.bound:
            return []
        start, end = self.function.body, self.function.end
        return [(f.start, f.end) for f in self.unit.bound_functions if start < f.start < end]

    def _members(self) -> re.Pattern[str] | None:
        """Return a pattern of the bare names of members: those that the class declares, `x_` and `m_x`."""
        fields = self.objects.get(self.self_type, {})
        names = [re.escape(name) for name in fields if not self.unit.is_local(self.function, name)]
        return re.compile(
            rf"(?<![\w.>:&])\b({'|'.join([*names, r'[a-zA-Z][a-zA-Z0-9_]*_', r'm_[a-zA-Z0-9_]+'])})\b(?!\s*\(|\s*::)"
        )

    def _declared_types(self) -> None:
        code, last = self.code, ""
        for found in _STARS.finditer(code, self.function.body, self.function.end):
            before = code[max(self.function.body, found.start() - 80) : found.start()].rstrip()
            if before.endswith(",") and last:
                self.types.setdefault(found[1], last)
                continue
            if before.endswith((">", " const")):
                kind = _TYPE_END.search(before)
                word = kind[1].rpartition("::")[2] if kind else ""
            else:
                begin, end = name_before(before, len(before), 0)
                word = before[begin:end]
            if word and word not in KEYWORDS:
                last = word
                self.types.setdefault(found[1], word)

    # Values of expressions

    def _expression(self, text: str) -> tuple[Value | None, str]:
        """Return the value of an expression and its type: a name, a field, an element, a cast, an address of one."""
        text = text.strip()
        if text in self.values:
            return self.values[text], self.types.get(text, "")
        if (
            self.self_type
            and text in self.objects.get(self.self_type, {})
            and not self.unit.is_local(self.function, text)
        ):
            # A bare member in a method.
            return Value(0, self.self_type, text), plain_type(self.objects[self.self_type][text])
        if self.values.keys().isdisjoint(WORD.findall(text)):
            return self._of_another_object(text)
        plain, kind = text.lstrip("&* "), ""
        if "(" in text:
            cast = CAST.match(text.lstrip("(& "))
            kind = plain_type(cast[1] or cast[2]) if cast else ""
            plain = strip_casts(plain).lstrip("&* ")
        if plain.startswith("("):
            close = closing(plain, 0)
            if close < 0:
                return None, kind
            inner, inner_type = self._expression(plain[1:close])
            rest = plain[close + 1 :]
        else:
            base = _BASE.match(plain)
            if base is None:
                return None, kind
            inner, inner_type = self.values.get(base[1]), self.types.get(base[1], "")
            rest = plain[base.end() :]
        if inner is None:
            return self._of_another_object(text)
        step = _STEP.match(rest)
        if step is None:
            return inner, kind or inner_type
        value = self._through(inner, inner_type, step[1])
        return value, kind or plain_type(self.objects.get(inner_type, {}).get(step[1], ""))

    def _own_member(self, text: str) -> str | None:
        """Return the type of a member that a method names without an object."""
        if not self.self_type or self.unit.is_local(self.function, text):
            return None
        return self.objects.get(self.self_type, {}).get(text)

    def _of_another_object(self, text: str) -> tuple[Value | None, str]:
        """Return the object that a field of an unknown object leads to, if other objects can lead there too.

        A new object that was given a reference to an old one: `made->owner`, but not what was made for it here.
        """
        found = _FIELD_OF.match(text)
        if found is None or found[1] not in self.types:
            return None, ""
        declared = self.objects.get(self.types[found[1]], {}).get(found[2], "")
        kind = plain_type(declared)
        if kind not in self.objects or "*" not in declared:
            return None, ""
        if self._is_made_here(found[1], found[2]):
            return None, ""
        return Value(SHARED), kind

    def _is_made_here(self, base: str, name: str) -> bool:
        """Return whether the function stores a new object in a field."""
        known = self.made_here.get((base, name))
        if known is None:
            stored = re.compile(rf"\b{base}\s*->\s*{name}\s*=(?!=)([^;]*)")
            sites = stored.finditer(self.code, self.function.body, self.function.end)
            known = self.made_here[base, name] = any(_ALLOCATES.search(made[1]) for made in sites)
        return known

    def _through(self, value: Value, kind: str, name: str) -> Value | None:
        """Return the object that a field leads to."""
        if kind in self.objects or (value.root == SHARED and not value.field):
            return Value(value.root, kind, name)
        if value.field:
            return value
        return value if kind and not kind.startswith("Py") else None

    # Events

    def _assign(self, semicolon: int, at: int) -> None:
        code = self.code
        begin, end = name_before(code, at, self.function.body)
        if begin == end:
            if code[end - 1] == "]":
                self._element(end, at)
            return
        name = code[begin:end]
        head = code[max(self.function.body, begin - 12) : begin].rstrip()
        if head.endswith((".", "->")):
            return
        if name in self.values and head.endswith("*") and DEREFERENCES.search(head):
            self._add(self.values[name], AccessKind.WRITE, at)
            return
        text = code[at + 1 : min(semicolon, at + _LONGEST_VALUE)].strip()
        declared = self.types.get(name, "")
        kind = capsule_type(text, declared, known_capsule_getters(self.unit)) if "(" in text else ""
        if kind in self.objects:
            self.values[name] = Value(CAPSULE)
            self.types[name] = kind
            return
        if "tate" in text and STATE.search(text):
            self.values[name] = Value(SHARED)
            return
        if "(" in text and (call := _CALL.match(text)) and (got := returned_fields(self.unit).get(call[1])):
            value, kind = self._returned(text[call.end() :], *got)
            if value is not None:
                self.values[name] = value
                self.types.setdefault(name, kind)
                return
        if accessed := self._accessed(text):
            self.values[name] = Value(SHARED)
            self.types[name] = accessed
            return
        if self.values.keys().isdisjoint(WORD.findall(text)):
            if name in self.values and text not in _EMPTY:
                del self.values[name]
            return
        value, kind = (None, "") if _ALLOCATES.search(text) else self._right_side(text, declared)
        if value is not None:
            self.values[name] = value
            if kind:
                self.types.setdefault(name, kind)
        elif name in self.values:
            del self.values[name]

    def _element(self, end: int, at: int) -> None:
        """A store into an element of what a name stands for: `buffer[i] = x`."""
        bracket = opening(self.code, end - 1, max(self.function.body, end - 120))
        if bracket < 0:
            return
        begin, stop = name_before(self.code, bracket, self.function.body)
        value = self.values.get(self.code[begin:stop])
        if value is not None and value.field and not self.code[begin - 3 : begin].rstrip().endswith((".", "->")):
            self._add(value, AccessKind.WRITE, at)

    def _right_side(self, text: str, declared: str) -> tuple[Value | None, str]:
        value, kind = self._expression(text)
        if value is None and "?" in text:
            for part in re.split(r"[?:]", text)[1:]:
                value, kind = self._expression(part)
                if value is not None:
                    break
        plain = strip_casts(text)
        call = _CALL.match(plain) if value is None and "(" in text else None
        if call is None:
            return value, kind
        if (returned := returned_fields(self.unit).get(call[1])) is not None:
            return self._returned(plain[call.end() :], *returned)
        # A returned part of an argument leads to the same memory.
        given, given_type = self._expression(plain[call.end() :].split(",")[0].rstrip(") "))
        if given is None or not (given.field or declared in self.objects) or call[1].startswith("Py"):
            return None, ""
        if given.field and _ACCESSORS.isdisjoint(part.lower() for part in _NAME_PART.findall(call[1])):
            given = given._replace(made=True)
        return given, declared or given_type

    def _returned(self, rest: str, index: int, owner: str, name: str) -> tuple[Value | None, str]:
        """Return the value of a call of a function that returns a field of one of its arguments, or of the module."""
        root = Value(SHARED)
        if index >= 0:
            given = rest.rstrip(") ").split(",")
            value, kind = self._expression(given[index]) if index < len(given) else (None, "")
            if value is None:
                return None, ""
            root, owner = value, owner or kind
        field_type = self.objects.get(owner, {}).get(name, "")
        return self._through(root, owner, name), plain_type(field_type)

    def _chain(self, found: re.Match[str]) -> None:
        name = found[1] or found[2]
        value, kind, begin = self._base(found.start())
        if value is None or name in _OBJECTS_OWN:
            return
        through = self._through(value, kind, name)
        if through is not None and plain_type(self.objects.get(kind, {}).get(name, "")) in self.objects:
            # A struct that begins with another object's struct: the next name is a field of that.
            declared = self.objects[kind][name]
            step = _STEP.match(self.code, found.end())
            if "*" not in declared and step is not None and self.code[found.end() : step.start(1)].strip() == ".":
                through = Value(through.root, plain_type(declared), step[1])
                self._touch(through, begin, step.end(), deep=False)
                return
        if through is not None:
            self._touch(through, begin, found.end(), deep=through == value and bool(value.field))

    def _base(self, at: int) -> tuple[Value | None, str, int]:
        """Return the expression before an arrow or dot: its value, its type and where it begins."""
        code = self.code
        begin, end = name_before(code, at, self.function.body)
        if begin == end:
            bracket = opening(code, end - 1, max(self.function.body, end - 200)) if code[end - 1] == ")" else -1
            if bracket < 0:
                return None, "", at
            if accessed := self._accessed(code[max(self.function.body, bracket - 80) : end]):
                return Value(SHARED), accessed, name_before(code, bracket, self.function.body)[0]
            value, kind = self._expression(code[bracket:end])
            return value, kind, bracket
        name = code[begin:end]
        if name not in self.values or code[begin - 3 : begin].rstrip().endswith((".", "->")):
            return None, "", at
        return self.values[name], self.types.get(name, ""), begin

    def _member(self, found: re.Match[str]) -> None:
        """A bare name in a method of a class: `count_ += 1`."""
        if not self.unit.is_local(self.function, found[1]):
            self._touch(Value(0, self.self_type, found[1]), found.start(), found.end(), deep=False)

    def _touch(self, value: Value, begin: int, end: int, *, deep: bool) -> None:
        fields = self.objects.get(value.type, {})
        declared = fields.get(value.field, "")
        if declared and SYNC_TYPES.search(declared):
            return
        if not declared and value.type in self.objects and self.code[end : end + 20].lstrip().startswith("("):
            return
        kind = kind_of_place(
            self.code,
            begin,
            end,
            declared,
            deep=deep,
            cpp=self.unit.cpp,
            # The methods of a class of the tree are read themselves.
            locks_itself=plain_type(declared) in self.objects or locks_itself(declared),
        )
        if kind is AccessKind.READ and not deep and tests_pointer(self.code, begin, end, declared):
            return
        self._add(value, kind, begin)

    def _call(self, bracket: int) -> None:
        code = self.code
        at, stop = name_before(code, bracket, self.function.body)
        if at == stop:
            return
        callee = code[at:stop]
        does = what_it_does(callee)
        if does is Does.NOTHING:
            return
        end = closing(code, bracket, min(self.function.end, bracket + _LONGEST_CALL))
        if end < 0:
            return
        if does is Does.IGNORES:
            self.ignored = max(self.ignored, end)
            return
        arguments: list[Value | None] = []
        before = code[max(self.function.body, at - 3) : at].rstrip()
        if before.endswith((".", "->")):
            if not self.unit.cpp:
                return
            operator = at - (1 if before.endswith(".") else 2) - (code[at - 1] == " ")
            receiver, kind, _ = self._base(operator)
            if receiver is None:
                chain = _CHAIN_BEFORE.search(code, max(self.function.body, operator - 80), operator)
                receiver, kind = self._expression(chain[0]) if chain else (None, "")
            if receiver is None or kind not in self.objects:
                return
            callee = f"{kind}::{callee}"
            arguments.append(receiver)
        elif callee in self.objects:
            # A constructor: the new object is not the one at hand.
            return
        elif self.self_type and not before.endswith("::"):
            # A plain call in a method may call another method of the same object.
            arguments.append(Value(0))
        elif self.values.keys().isdisjoint(WORD.findall(code, bracket, end)) and callee not in shared_users(self.unit):
            return
        handles: list[int] = []
        made = _DECLARED_BEFORE.search(code, max(self.function.body, at - 80), at) if self.self_type else None
        keeps = made is not None and made[1] not in KEYWORDS
        for begin, stop in split_arguments(code, bracket + 1, end):
            text = code[begin:stop] if stop - begin < 200 else ""
            value, _ = self._expression(text)
            if value is not None and value.field and self._is_handle(value, text):
                handles.append(len(arguments))
                if keeps:
                    # `Visitor visitor(cache_);` gives a new object the field to work with.
                    self._add(value, AccessKind.WRITE, at)
            arguments.append(value)
        if any(value is not None for value in arguments) or callee in shared_users(self.unit):
            self._handed(does, callee, arguments, tuple(handles), at)

    def _is_handle(self, value: Value, text: str) -> bool:
        declared = self.objects.get(value.type, {}).get(value.field, "")
        if declared.startswith("mutable ") and not is_number(declared.removeprefix("mutable ")):
            # That a const method lends it to another function is the reason why it is mutable.
            return "const" not in declared
        if not declared or _NO_HANDLE.search(declared) or plain_type(declared) in self.objects:
            return False
        return "*" in declared or (text.lstrip("( ").startswith("&") and not is_number(declared))

    def _handed(
        self, does: Does, callee: str, arguments: list[Value | None], handles: tuple[int, ...], at: int
    ) -> None:
        first = arguments[0] if arguments else None
        match does:
            case Does.REPLACES if first is not None and first.field:
                self._add(first, AccessKind.REPLACE, at)
            case Does.RELEASES if first is not None and first.field:
                self.released.add((first.type, first.field))
            case Does.FILLS:
                index = filled(callee)
                if index < len(arguments) and (target := arguments[index]) is not None:
                    self._add(target, AccessKind.WRITE, at)
            case Does.INDEXES if len(arguments) > 1 and (number := arguments[1]) is not None:
                if number.field:
                    self._add(number, AccessKind.INDEX, at)
            case Does.FREES if first is not None and not first.made:
                self._add(first, AccessKind.FREE, at)
            case Does.CALLS:
                self.effects.calls.append(Handed(callee, tuple(arguments), handles, self._locked(at), at))
            case _:
                pass

    # The result

    def _locked(self, at: int) -> bool:
        if self._sections is None:
            self._sections = self.unit.sections(self.function)
            start, end = self.function.body, self.function.end
            once = ONCE.search(self.code, start, end) if "nce" in self.code[start:end] else None
            self._made_once = end if once is None else once.start()
        # What comes after a call that runs its argument once finds the result complete.
        return at > self._made_once or (bool(self._sections.sections) and bool(self._sections.at(at)))

    def _add(self, value: Value, kind: AccessKind, at: int) -> None:
        self.effects.touches.append(Touch(value.root, value.type, value.field, kind, self._locked(at), at))

    def _settle(self) -> None:
        """Distinguish replaced references from plain stores, and numbers that stand for themselves from others."""
        touches = self.effects.touches
        plain = (AccessKind.READ, AccessKind.INDEX)
        written = {(touch.type, touch.field) for touch in touches if touch.kind not in plain}
        if not written:
            return
        for index, touch in enumerate(touches):
            if touch.kind is not AccessKind.WRITE:
                continue
            declared = self.objects.get(touch.type, {}).get(touch.field, "")
            if (touch.type, touch.field) in self.released:
                kind = AccessKind.REPLACE
            elif is_number(declared) and sum(owner == touch.type for owner, _ in written) == 1:
                kind = AccessKind.SET
            else:
                continue
            touches[index] = Touch(touch.root, touch.type, touch.field, kind, touch.locked, touch.at)
