"""The effects of one function on its arguments: the fields that it reads and writes, and the calls it passes them to.

The function is read once, from top to bottom. Each local name stands for its last value: a parameter, something
that a field of a parameter leads to, or nothing that other threads can reach. Memory behind a field belongs to the
field: `node->next = x` with `node = self->head` changes `self->head`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ftaudit.source.c.callees import Does, filled, what_it_does
from ftaudit.source.c.capsules import capsule_getters, capsule_type
from ftaudit.source.c.functions import Function
from ftaudit.source.c.guards import SectionFinder
from ftaudit.source.c.locks import ONCE, SYNC_TYPES
from ftaudit.source.c.objects import Fields
from ftaudit.source.c.text import KEYWORDS, closing, opening, split_arguments, strip_casts
from ftaudit.source.c.unit import CUnit
from ftaudit.source.shared_state import AccessKind

SHARED: Final = -1
"""The root of objects that belong to the module and not to a parameter."""
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
_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_STARS: Final = re.compile(r"[*&]+\s*(?:const\s+|restrict\s+|__restrict\s+)?([A-Za-z_]\w*)\s*(?==|;|,)")
_TYPE_END: Final = re.compile(r"([A-Za-z_][\w:]*)\s*(?:<[^;<>]*>)?\s*(?:const\s*)?\Z")
_CAST: Final = re.compile(
    r"\(\s*(?:const\s+|struct\s+)*([A-Za-z_][\w:]*)\s*(?:const\s*)?\*\s*\)"
    r"|_cast\s*<\s*(?:const\s+|struct\s+)*([A-Za-z_][\w:]*)\s*[*&]\s*>"
)
_BASE: Final = re.compile(r"\(*\s*([A-Za-z_]\w*)\s*(?=->|\.|\[|\Z)")
_SMART_POINTER: Final = re.compile(r"\b(?:shared|unique|intrusive)_ptr\s*<\s*(?:const\s+)?(?:\w+\s*::\s*)*(\w+)\s*>")
_DECLARED_BEFORE: Final = re.compile(r"([A-Za-z_]\w*)\s*(?:<[^<>;{}]*>)?\s+\Z")
_FIELD_OF: Final = re.compile(r"([A-Za-z_]\w*)\s*->\s*([A-Za-z_]\w*)\Z")
_STEP: Final = re.compile(r"\s*(?:->|\.)\s*([A-Za-z_]\w*)")
_ALLOCATES: Final = re.compile(
    r"(?i)\b(?:_?PyObject_(?:GC_)?New\w*|\w*alloc\w*|\w*_new\w*|new_?\w*|\w*create\w*|\w*_copy|copy_\w*|\w*clone\w*"
    r"|\w*dup\w*|make_\w*|\w*_make\w*|\w*_build\w*)\s*[(<]|\bnew\s+[A-Za-z_(]|\bPyObject_(?:GC_)?New\b|tp_alloc|tp_new"
)
_STATE: Final = re.compile(
    r"(?i)(?:get_?\w*state|module_?state\w*|\w*_state|PyModule_GetState|PyType_GetModuleState|state_from\w*)\s*\("
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
_GROWS: Final = re.compile(
    r"\s*(?:\.|->)\s*(?:push_back|push_front|push|emplace\w*|insert\w*|erase|clear|pop_back|pop_front|pop|resize|reserve"
    r"|assign|swap|reset|append|merge|extract|splice|try_emplace|shrink_to_fit|release)\s*\("
)
_FILLS: Final = re.compile(
    r"\s*(?:\.|->)\s*(?:push_back|push_front|emplace\w*|insert\w*|erase|clear|pop_back|pop_front|resize|try_emplace"
    r"|shrink_to_fit)\s*\("
)
"""Methods that only containers have, whatever the alias of the type."""
_SAFE_TYPE: Final = re.compile(r"(?i)concurrent|thread_?safe|sync|lock|atomic|\btbb\b")
_MOVES: Final = re.compile(r"\s*std\s*::\s*move\s*\(")
_CONTAINERS: Final = re.compile(
    r"\b(?:vector|map|unordered_\w+|set|list|deque|string|queue|stack|unique_ptr|shared_ptr|multimap|optional|function"
    r"|any|variant|\w*(?:Map|Set|Vector|List|Deque|Queue)|\w+_(?:map|set|vector|list)(?:_t)?)\b"
)
_REFERENCE: Final = re.compile(
    r"\b(?:py|nb|pybind11|nanobind|python|bp)\s*::\s*(?:object|function|callable|list|dict|set|tuple|str|bytes|type|module_?)\b"
    r"|\b(?:intrusive_ptr|scoped_ptr|scoped_refptr|RefPtr|PyObjectPtr|OwnedRef|Ref)\s*<|\bOwnedRef\b"
)
"""Types whose assignment releases the old reference."""
_MAPS: Final = re.compile(r"\b(?:map|unordered_map|multimap)\b")
_NUMBER: Final = re.compile(
    r"(?:(?:const|volatile|unsigned|signed|enum)\s+)*(?:int|bool|_Bool|char|short|long(?:\s+(?:long|int))*|size_t|ssize_t"
    r"|Py_ssize_t|Py_hash_t|Py_UCS4|u?int\d*_t|double|float|time_t|off_t|unsigned|signed|npy_\w+|\w*(?:[Mm]ode|[Kk]ind|flags"
    r"|_enum))\Z"
)
_CHAIN_BEFORE: Final = re.compile(r"(?<![\w.>])[A-Za-z_]\w*\s*->\s*[A-Za-z_]\w*\Z")
"""The object whose method is called, if it is a field: `self->cache`."""
_TRAILER: Final = re.compile(r"\s*(?:(\[)|(?:\.|->)\s*~?\w+(?!\w|\s*\())")
_ASSIGNS: Final = re.compile(r"\s*(?:(=)(?!=)|(?:<<|>>|[-+*/%&|^])=|\+\+|--)")
_POINTER_PLUS: Final = re.compile(r"(?i)(?:buf|data|ptr|str|mem|block|start|base)\w*\s*\+\Z")
_DEREFERENCES: Final = re.compile(r"(?:\A|[^\w)\]\s*])\s*\*\Z")
_OPENED: Final = re.compile(r"\(\s*\*\s*\Z")
_CLOSED: Final = re.compile(r"\s*\)")
_NULL_TEST: Final = re.compile(r"\s*[!=]=\s*(?:NULL|nullptr)\b")
_TEST_BEGINS: Final = re.compile(
    r"(?:\bif\s*\(|\bwhile\s*\(|!|&&|\|\||\b(?:un)?likely\s*\(|\b(?:UN)?LIKELY\s*\()\s*\(?\s*\Z"
)
_TEST_ENDS: Final = re.compile(r"\s*(?:\)|&&|\|\||\?)")
_OBJECTS_OWN: Final = frozenset(
    ["ob_type", "ob_refcnt", "ob_base", "ob_size", "weakreflist", "in_weakreflist", "ob_refcnt_local", "ob_tid"]
)
_NO_HANDLE: Final = re.compile(r"\bconst\b|\bPy\w*|\bFILE\b|\b\w+Object\b|\(\*\)|\bvoid\b|\bchar\b")
"""Types of fields that are not a library's handle: constants, objects, files (which lock themselves), text."""
_NO_ARGUMENTS: Final = re.compile(r"(?:([A-Za-z_]\w*)\s*::\s*)?\b([A-Za-z_]\w*)\s*\(\s*\)\s*\Z")
_EMPTY: Final = frozenset({"NULL", "nullptr", "0"})
_MOST_ALIASES: Final = 100
_NEAR_ALIAS: Final = 4_000
"""How many characters before a bound lambda are searched for the alias of a type."""
_LONGEST_VALUE: Final = 300
_LONGEST_CALL: Final = 3_000
"""How many characters of a right side, and of a call's arguments, are read."""


def find_effects(unit: CUnit, function: Function, objects: Mapping[str, Fields], self_type: str) -> Effects:
    """Return the effects of a function on its arguments. `self_type` is the class of a C++ method, else empty."""
    walk = _FunctionWalk(unit, function, objects, self_type)
    code = unit.code[function.body : function.end]
    reads = walk.values or self_type or walk.reaches or "tate" in code or _calls_getter(unit, code)
    return walk.run() if reads or _calls_one_of(shared_users(unit), code) else Effects()


def _calls_getter(unit: CUnit, code: str) -> bool:
    getters = [name for name, (owner, _, _) in returned_fields(unit).items() if owner == SHARED]
    return any(name in code for name in getters[:_MOST_GETTERS])


def _calls_one_of(names: frozenset[str], code: str) -> bool:
    return bool(names) and not names.isdisjoint(_WORD.findall(code))


def _accessor_names(unit: CUnit) -> frozenset[str]:
    """Return the names of the functions that return an object which exists once, without their classes."""
    return unit.once(_find_accessor_names)


def _find_accessor_names(unit: CUnit) -> frozenset[str]:
    return frozenset(name.rpartition("::")[2] for name in unit.tree.accessors)


def _capsule_getters(unit: CUnit) -> dict[str, str]:
    """Return the macros and functions of a file that return the pointer of a capsule, with its type."""
    return unit.once(_find_capsule_getters)


def _find_capsule_getters(unit: CUnit) -> dict[str, str]:
    return capsule_getters(unit.code, unit.preprocessed.macros, unit.functions)


def shared_users(unit: CUnit) -> frozenset[str]:
    """Return the functions of a file that use an object which exists once: their callers use it too."""
    return unit.once(_find_shared_users)


def _find_shared_users(unit: CUnit) -> frozenset[str]:
    names = _accessor_names(unit) | unit.tree.globals.keys()
    if not unit.cpp or not names:
        return frozenset()
    return frozenset(
        function.short_name
        for function in unit.functions
        if not function.bound and _calls_one_of(names, unit.code[function.body : function.end])
    )


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
        words = set(_WORD.findall(self.code, self.function.body, self.function.end))
        for name in words & tree.globals.keys():
            if not self.unit.is_local(self.function, name):
                self.values[name] = Value(SHARED)
                self.types[name] = tree.globals[name]
                self.reaches = self.by_reference = True
        if words & _accessor_names(self.unit):
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
        if self.values.keys().isdisjoint(_WORD.findall(text)):
            return self._of_another_object(text)
        plain, kind = text.lstrip("&* "), ""
        if "(" in text:
            cast = _CAST.match(text.lstrip("(& "))
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
        if name in self.values and head.endswith("*") and _DEREFERENCES.search(head):
            self._add(self.values[name], AccessKind.WRITE, at)
            return
        text = code[at + 1 : min(semicolon, at + _LONGEST_VALUE)].strip()
        declared = self.types.get(name, "")
        kind = capsule_type(text, declared, _capsule_getters(self.unit)) if "(" in text else ""
        if kind in self.objects:
            self.values[name] = Value(CAPSULE)
            self.types[name] = kind
            return
        if "tate" in text and _STATE.search(text):
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
        if self.values.keys().isdisjoint(_WORD.findall(text)):
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
        kind = self._kind(begin, end, declared, deep=deep)
        if kind is AccessKind.READ and not deep and _tests_pointer(self.code, begin, end, declared):
            return
        self._add(value, kind, begin)

    def _kind(self, begin: int, end: int, declared: str, *, deep: bool) -> AccessKind:
        """Return the effect of a place on a field, by the surrounding text."""
        code, at = self.code, end
        if (bracket := _CLOSED.match(code, end)) and _OPENED.search(code, max(0, begin - 12), begin):
            # `(*self->items)[k] = v`
            at = end = bracket.end()
            begin = code.rindex("(", 0, begin)
        if self.unit.cpp and (_GROWS if self._is_container(declared) else _FILLS).match(code, end):
            return AccessKind.READ if self._locks_itself(declared) else AccessKind.FREE
        while (trailer := _TRAILER.match(code, at)) is not None:
            deep = True
            at = trailer.end()
            if trailer[1]:
                closed = closing(code, at - 1, at + 1000)
                if closed < 0:
                    break
                at = closed + 1
            if self.unit.cpp and _GROWS.match(code, at):
                return AccessKind.FREE
        head = code[max(0, begin - 40) : begin].rstrip()
        assigns = _ASSIGNS.match(code, at)
        counts = head.endswith(("++", "--"))
        if assigns is None and not counts:
            indexes = head.endswith("[") or (head.endswith("+") and _POINTER_PLUS.search(head))
            return AccessKind.INDEX if indexes else AccessKind.READ
        if deep:
            return AccessKind.FREE if _MAPS.search(declared) else AccessKind.WRITE
        if head.endswith("*") and _DEREFERENCES.search(head):
            return AccessKind.WRITE
        if counts or assigns is None or assigns[1] is None:
            return AccessKind.COUNT
        if declared and _CONTAINERS.search(declared):
            return AccessKind.FREE
        if self.unit.cpp and declared and "*" not in declared and _MOVES.match(code, assigns.end()):
            return AccessKind.FREE
        if declared and _REFERENCE.search(declared):
            return AccessKind.REPLACE
        right = code[assigns.end() : assigns.end() + 120].partition(";")[0]
        own = code[begin:end]
        return AccessKind.COUNT if own in right and _adds_to(own, right) else AccessKind.WRITE

    def _is_container(self, declared: str) -> bool:
        return not declared or _CONTAINERS.search(declared) is not None

    def _locks_itself(self, declared: str) -> bool:
        """Return whether a type is a class of the tree, whose own methods are read, or says that it locks itself."""
        return plain_type(declared) in self.objects or _SAFE_TYPE.search(declared) is not None

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
        elif self.values.keys().isdisjoint(_WORD.findall(code, bracket, end)) and callee not in shared_users(self.unit):
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
        if declared.startswith("mutable ") and not _NUMBER.match(declared.removeprefix("mutable ")):
            # That a const method lends it to another function is the reason why it is mutable.
            return "const" not in declared
        if not declared or _NO_HANDLE.search(declared) or plain_type(declared) in self.objects:
            return False
        return "*" in declared or (text.lstrip("( ").startswith("&") and not _NUMBER.match(declared))

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
            elif _NUMBER.match(declared) and sum(owner == touch.type for owner, _ in written) == 1:
                kind = AccessKind.SET
            else:
                continue
            touches[index] = Touch(touch.root, touch.type, touch.field, kind, touch.locked, touch.at)


def _tests_pointer(code: str, begin: int, end: int, declared: str) -> bool:
    """Return whether a pointer is only compared with NULL: that does not follow it."""
    after = code[end : end + 20]
    if _NULL_TEST.match(after):
        return True
    if "*" not in declared or not _TEST_ENDS.match(after):
        return False
    return bool(_TEST_BEGINS.search(code, max(0, begin - 40), begin))


_BLANKS: Final = " \t\n"
_NAME_CHARACTERS: Final = "_" + string.ascii_letters + string.digits
_LONGEST_NAME: Final = 100


def name_before(code: str, at: int, floor: int) -> tuple[int, int]:
    """Return the span of the identifier that ends before a place, ignoring blanks, or an empty span."""
    text = code[max(floor, at - _LONGEST_NAME) : at]
    while not (kept := text.rstrip(_BLANKS)) and at - len(text) > floor:
        at -= len(text)
        text = code[max(floor, at - _LONGEST_NAME) : at]
    end = at - len(text) + len(kept)
    start = end - len(kept) + len(kept.rstrip(_NAME_CHARACTERS))
    return (end, end) if start < end and code[start].isdigit() else (start, end)


def _adds_to(own: str, right: str) -> bool:
    return re.search(rf"{re.escape(own)}\s*[-+|&^]", right) is not None


def plain_type(kind: str) -> str:
    """Return the name of a type without qualifiers, stars and namespaces."""
    if kind.isidentifier():
        return kind
    text = re.sub(r"\b(?:const|struct|volatile|register|class|restrict)\b|<[^<>]*>|[*&\[\]]", " ", kind)
    words = text.split()
    return words[-1].rpartition("::")[2] if words else ""


_USING: Final = re.compile(r"\busing\s+([A-Za-z_]\w*)\s*=\s*(?:\w+\s*::\s*)*(\w+)\s*;")


def type_aliases(unit: CUnit) -> list[tuple[int, str, str]]:
    """Return the places of `using Self = Batch;` in a file, with both names; one list for the file."""
    known: list[tuple[int, str, str]] | None = unit.memory.get("type aliases")  # type: ignore[assignment]
    if known is None:
        found = _USING.finditer(unit.code) if "using " in unit.code else ()
        known = [(one.start(), one[1], one[2]) for one in found][:_MOST_ALIASES]
        unit.memory["type aliases"] = known
    return known


_RETURNS: Final = re.compile(r"\breturn\s+&?\s*([A-Za-z_]\w*)\s*->\s*([A-Za-z_]\w*)\s*;")
_MOST_GETTERS: Final = 20
"""How many functions of one file are known to return a field of the module's state."""
_SHORT: Final = 600
"""How many characters a function may have that only returns a field."""


def returned_fields(unit: CUnit) -> dict[str, tuple[int, str, str]]:
    """Return the short functions of a file that return a field: by name, which parameter's, of which type, which field.

    The parameter is `SHARED` for a field of the module's state.
    """
    known: dict[str, tuple[int, str, str]] | None = unit.memory.get("returned fields")  # type: ignore[assignment]
    if known is not None:
        return known
    known = {}
    for function in unit.functions:
        if function.end - function.body > _SHORT or function.bound:
            continue
        found = [*_RETURNS.finditer(unit.code, function.body, function.end)]
        if len(found) != 1:
            continue
        base, name = found[0].groups()
        names = [parameter.name for parameter in function.parameters]
        if base in names:
            index = names.index(base)
            known[function.short_name] = index, plain_type(function.parameters[index].type), name
            continue
        made = re.compile(rf"(\w+)\s*\*\s*{base}\s*=([^;]*);").search(unit.code, function.body, function.end)
        if made is not None and _STATE.search(made[2]):
            known[function.short_name] = SHARED, made[1], name
    unit.memory["returned fields"] = known
    return known


def alias_macros(unit: CUnit) -> dict[str, tuple[str, str]]:
    """Return the macros of a file that stand for a name, with the type that they cast it to: `((Pool *)self)`."""
    known: dict[str, tuple[str, str]] | None = unit.memory.get("alias macros")  # type: ignore[assignment]
    if known is None:
        known = {}
        for name, macro in unit.preprocessed.macros.items():
            if macro.parameters is None and macro.body.startswith("(") and (cast := _CAST.search(macro.body)):
                plain = strip_casts(macro.body)
                if plain.isidentifier() and plain != name:
                    known[name] = plain, plain_type(cast[1] or cast[2])
        unit.memory["alias macros"] = known
    return known


def releases_when_set(declared: str) -> bool:
    """Return whether a store to a field of a type frees or releases what was there."""
    return _CONTAINERS.search(declared) is not None or _REFERENCE.search(declared) is not None
