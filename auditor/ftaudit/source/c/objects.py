"""Types whose instances Python code holds: structs with an object head, and C++ classes that a binding exposes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from ftaudit.source.c.locks import SYNC_TYPES
from ftaudit.source.c.text import closing, opening

Fields = Mapping[str, str]
"""The fields of a type with their types as written, without blanks at the ends."""

_HEAD: Final = re.compile(r"Py(?<!\wPy)(?:Object_(?:VAR_)?HEAD\b|(?:Var)?Object\s+ob_base\s*;)")
# The look-behinds come after plain letters: patterns that begin with letters are fast.
_TAG: Final = re.compile(
    r"\b(?:struct|class)\s+(?:alignas\s*\([^()]*\)\s*)?([A-Za-z_]\w*)\s*(?:final\s*)?(?::[^{};]*)?\Z"
)
_ALIAS: Final = re.compile(r"\s*(?:__attribute__\s*\(\([^;]*?\)\)\s*)?([A-Za-z_]\w*)\s*[;,]")
_TYPEDEF: Final = re.compile(r"typedef(?<!\wtypedef)\s+struct\s+([A-Za-z_]\w*)\s+([A-Za-z_]\w*)\s*;")
_BOUND: Final = re.compile(r"class_(?<!\wclass_)\s*<\s*(?:[A-Za-z_]\w*\s*::\s*)*([A-Za-z_]\w*)\s*[,<>]")
_BASE: Final = re.compile(r"struct(?<!\wstruct)\b[\w\s]*\{\s*([A-Za-z_]\w*)\s+\w+\s*;")
"""A struct that begins with another one: it is an object if that is."""
_OBJECT: Final = re.compile(r"Py\w*Object\Z|\w+Object\Z")
_INNER: Final = re.compile(r"\{[^{}]*\}")
_FIELD: Final = re.compile(r"(\w+)\s*((?:\[[^\]]*\]\s*)*)(?::\s*\d+\s*)?(?:=[^;]*|\{[^;{}]*\}\s*)?\Z")
_NO_FIELD: Final = re.compile(r"\b(?:using|typedef|friend|static|thread_local|return|constexpr|template|operator)\b")
_ACCESS: Final = re.compile(r"\b(?:public|private|protected)\s*:(?!:)")
_CLASS: Final = re.compile(
    r"\b(?:class|struct)\s+(?:alignas\s*\([^()]*\)\s*)?(?:\w+\s+)??([A-Za-z_]\w*)\s*(?:final\s*)?(?::[^{};()]{0,200})?\{"
)
_GLOBAL: Final = re.compile(
    r"^(?=extern\b|static\b|inline\b|std\b|unique_ptr\b|shared_ptr\b)(?:(?:extern|static|inline)\s+)*"
    r"(?:(?:std\s*::\s*)?(?:unique_ptr|shared_ptr)\s*<\s*(?:\w+\s*::\s*)*(\w+)\s*>\s+(\w+)\s*[;={]"
    r"|(?<=\s)(?:\w+\s*::\s*)*(\w+)\s*(?:\*\s*|\s)(\w+)\s*[;={])",
    re.MULTILINE,
)
_ACCESSOR: Final = re.compile(
    r"\)\s*(?:noexcept\s*)?\{\s*static\s+(?:const\s+)?(?:\w+\s*::\s*)*"
    r"(?:NoDestructor\s*<\s*(?:\w+\s*::\s*)*(\w+)\s*>|(\w+))\s*[*&]?\s*(?:const\s+)?\w+\s*[;={(]"
)
_ACCESSOR_NAME: Final = re.compile(r"\b([A-Za-z_]\w*)\s*\(\s*(?:void\s*)?\Z")
_LOCK_FIELD: Final = re.compile(r"(?i)mutex(?:_t)?\b|\bspin_?lock\b|\bmtx_t\b")
_MOST_CLASSES: Final = 200
"""How many classes of one header are read."""
_LONGEST: Final = 20_000
"""How many characters of a struct are read."""
_LONGEST_CLASS: Final = 200_000
"""The same for a class of C++, whose documentation, blank by now, is often most of its length."""


def find_objects(code: str) -> dict[str, dict[str, str]]:
    """Return the structs with an object head that a text defines, by each of their names. `code` is masked."""
    found: dict[str, dict[str, str]] = {}
    for head in _HEAD.finditer(code):
        start = code.rfind("{", max(0, head.start() - 400), head.start())
        if start < 0 or "}" in code[start : head.start()]:
            continue
        found |= dict(_struct(code, start))
    for head in _BASE.finditer(code):
        if head[1] in found or _OBJECT.match(head[1]):
            for name, fields in _struct(code, code.index("{", head.start())):
                found.setdefault(name, fields)
    for tag, alias in _TYPEDEF.findall(code):
        if tag in found:
            found.setdefault(alias, found[tag])
    return found


def named_struct(code: str, name: str) -> dict[str, str]:
    """Return the fields of the struct that a text defines under a name; none if it defines no such struct."""
    tag = re.search(rf"\bstruct\s+{name}\s*\{{", code)
    if tag is not None:
        return dict(_struct(code, tag.end() - 1)).get(name, {})
    alias = re.search(rf"\}}\s*{name}\s*;", code)
    start = -1 if alias is None else opening(code, alias.start(), max(0, alias.start() - _LONGEST))
    return {} if start < 0 else dict(_struct(code, start)).get(name, {})


def find_bound_classes(code: str) -> frozenset[str]:
    """Return the C++ classes that `class_<…>` of pybind11, nanobind or Boost.Python exposes, without namespaces."""
    return frozenset(_BOUND.findall(code))


def find_classes(code: str) -> dict[str, dict[str, str]]:
    """Return the data members of the C++ classes that a header defines, by class. `code` is masked."""
    found: dict[str, dict[str, str]] = {}
    for head in islice(_CLASS.finditer(code), _MOST_CLASSES):
        end = closing(code, head.end() - 1, head.end() + _LONGEST_CLASS)
        if end > 0 and (fields := class_fields(code, head.end() - 1, end)):
            found.setdefault(head[1], {}).update(fields)
    return found


def find_global_objects(code: str) -> dict[str, str]:
    """Return the variables at file scope that may be C++ objects or point to one, with the names of their classes."""
    return {found[2] or found[4]: found[1] or found[3] for found in _GLOBAL.finditer(code)}


def find_accessors(code: str) -> dict[str, str]:
    """Return the functions without arguments that keep an object in a static variable, with its class.

    A method is found as `Registry::instance` as well: several classes have one of the same name.
    """
    accessors: dict[str, str] = {}
    for found in _ACCESSOR.finditer(code):
        name = _ACCESSOR_NAME.search(code, max(0, found.start() - 80), found.start())
        if name is not None:
            kind = found[1] or found[2]
            accessors[name[1]] = accessors[f"{kind}::{name[1]}"] = kind
    return accessors


def is_lazy_class(fields: Fields) -> bool:
    """Return whether const methods can change objects of a class of C++: it has a mutable field other than a lock."""
    return any(kind.startswith("mutable") and not SYNC_TYPES.search(kind) for kind in fields.values())


def owns_lock(fields: Fields) -> bool:
    """Return whether objects of a class of C++ have a lock of their own: several threads are meant to use them."""
    return any(_LOCK_FIELD.search(kind) for kind in fields.values())


def class_fields(code: str, start: int, end: int) -> dict[str, str]:
    """Return the data members of a class whose braces are at `start` and `end`."""
    return dict(_fields(code[start + 1 : end]))


def _struct(code: str, start: int) -> Iterator[tuple[str, dict[str, str]]]:
    end = closing(code, start, start + _LONGEST)
    if end < 0:
        return
    fields = dict(_fields(code[start + 1 : end]))
    tag = _TAG.search(code, max(0, start - 200), start)
    alias = _ALIAS.match(code, end + 1)
    typedef = "typedef" in code[max(0, start - 60) : start]
    if tag:
        yield tag[1], fields
    if alias and typedef:
        yield alias[1], fields


def _fields(body: str) -> Iterator[tuple[str, str]]:
    for _ in range(6):
        if "{" not in body:
            break
        body = _INNER.sub(_left_of_block, body)
    for statement in _ACCESS.sub(";", body).split(";"):
        text = _HEAD.sub("", statement + ";").strip(" ;\n\t")
        text = text.replace("PyObject_HEAD", "").replace("PyObject_VAR_HEAD", "")
        if not text or _NO_FIELD.search(text):
            continue
        if "(" in text:
            pointer = re.search(r"\(\s*\*\s*(\w+)\s*(?:\[[^\]]*\]\s*)*\)\s*\(", text)
            if pointer:
                yield pointer[1], "(*)()"
            continue
        kind = ""
        for piece in _split(text):
            field = _FIELD.search(piece)
            if field is None:
                continue
            before = piece[: field.start()].strip()
            if not kind:
                if not before:
                    break
                kind = before.rstrip("*& ")
                yield field[1], " ".join(before.split()) + ("[]" if field[2] else "")
            else:
                yield field[1], f"{kind} {before}".strip() + ("[]" if field[2] else "")


def _left_of_block(found: re.Match[str]) -> str:
    """End the statement if a block was a function's body; a value or a nested type leaves nothing."""
    return ";" if "(" in found.string[max(0, found.start() - 80) : found.start()] else ""


def _split(text: str) -> list[str]:
    if "<" not in text:
        return text.split(",")
    pieces, depth, begin = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "<") - (char == ">")
        if char == "," and depth == 0:
            pieces.append(text[begin:at])
            begin = at + 1
    return [*pieces, text[begin:]]
