"""A cheap test for files that may hold a shared variable that is written: the others do not need a parse for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ftaudit.source.c.text import KEYWORDS, closing, mask_templates, namespace_blocks
from ftaudit.source.c.uses import UseKind, classify_use, constructed_with

_STATIC: Final = re.compile(r"static\b")
_STATIC_VARIABLE: Final = re.compile(
    r"[^;{}()=]{0,400}(?:[;={]|\(\s*\*|\([^;{}]{0,80}\)\s*[;,=])|[^;{}()]*\b(?:__attribute__|__declspec|alignas)\b"
)
_LINE_START: Final = re.compile(r"\n(?=[A-Za-z_])")
_INDENTED: Final = re.compile(r"\n[ \t]+(?=[A-Za-z_])")
_UNFINISHED: Final = frozenset(",(<=|&+-*/?!")
"""Characters after which a line continues the previous one."""
_LONGEST_GAP: Final = 500
_LONGEST_DECLARATION: Final = 20_000
"""The length within which a declaration must end for the cheap test."""
_GLOBAL_VARIABLE: Final = re.compile(
    r"(?!(?:typedef|using|namespace|template|return|public|private|protected|goto|case|default|friend|else)\b)"
    r"(?!(?:struct|class|enum|union)\s+\w+\s*;)(?:[\w:*&<>,\s\[\]]|\(\s*\*){0,1000}?[;={]"
)
_STOP: Final = re.compile(r"[;{]")
_FURTHER: Final = re.compile(r"\s*,")
"""After a table: another variable of the same declaration, whose name would need a search."""
_BRACE: Final = re.compile(r"[{}]")
_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_DECLARED: Final = re.compile(r"([A-Za-z_]\w*)\s*([\[,=;(){:]|\Z|(?:__attribute__|(?:__)?asm)\b)")
"""A word that a declaration may declare, by the text after it."""
_NO_NAMES: Final = KEYWORDS | {"operator", "default", "const", "void", "__attribute__", "__declspec", "alignas"}
_CONSTANT: Final = re.compile(r"\b(?:const|constexpr|consteval)\b")
_POINTER: Final = re.compile(r",\s*(?:const\s+)?\*")
_SIZE: Final = re.compile(r"\[[^\]]*\]")
_OPERATOR: Final = re.compile(r"\boperator\s*[<>+*/%&|^-]*\Z")
_DEFINES_TYPE: Final = re.compile(r"\b(?:struct|class|enum|union)\b[^=]*\Z")
_POINTER_OR_ATTRIBUTE: Final = re.compile(
    r"\(\s*(?:\w+\s*::\s*)?\*|\b(?:__attribute__|__declspec|_?[Aa]lignas|(?:__)?asm)\b"
)
"""In C, brackets before the first `=` belong to a prototype, with these exceptions."""
_POINTER_AFTER_TABLE: Final = re.compile(r"\}\s*,\s*(?:const\s+)?\*")
"""`static const T table[] = {…}, *p;`: the text before the first bracket is not the whole declaration."""

_OF_FUNCTIONS: Final = re.compile(r"[Ff]unction\s?<[^;{}=<>]{0,200}\([^;{}=]{0,200}>\s*\w+\s*[;={]")
"""A variable whose type names the type of a function: `std::map<int, std::function<int(int)>> table;`."""
_BODY: Final = re.compile(r"\s*(?:\{|\w|:|->|&{1,2}\s*(?:\{|\w))")
TABLES: Final = frozenset(
    {
        "PyMethodDef",
        "PyModuleDef",
        "PyModuleDef_Slot",
        "PySlot",
        "PyGetSetDef",
        "PyMemberDef",
        "PyType_Slot",
        "PyType_Spec",
        "PyTypeObject",
        "PyHeapTypeObject",
        "PyBufferProcs",
        "PyNumberMethods",
        "PySequenceMethods",
        "PyMappingMethods",
        "PyAsyncMethods",
        "PyStructSequence_Field",
        "PyStructSequence_Desc",
        "_Py_Identifier",
        "_PyArg_Parser",
        "PyCFunctionFastWithKeywords",
    }
)
"""Types of the tables that are passed to CPython: only CPython writes them, if at all."""


@dataclass(frozen=True, slots=True)
class _Declaration:
    """Text that may declare variables."""

    start: int
    end: int
    """The end of the first declarator: at a `=`, bracket or semicolon."""
    stop: int
    """The possible end of the last one."""
    plain: int
    """Where names need no bracket behind them: names between the brackets of `T x(a, b)` are not declared."""


def may_have_written_variables(code: str, *, cpp: bool) -> bool:
    """Return whether a file may define variables that live on and hold places that write one of them.

    `code` is masked. Whatever `find_shared_writes` finds needs such text; when unsure, yes.
    """
    if cpp and "unction" in code and _OF_FUNCTIONS.search(code):
        return True
    spans: list[tuple[int, int]] = []
    names: set[str] = set()
    arrays: set[str] = set()
    for found in _declarations(code, cpp=cpp):
        if found is None:
            return True
        spans.append((found.start, found.end))
        for declared in _DECLARED.finditer(code, found.start, found.stop):
            if declared[2] == "(" or declared.start() >= found.plain:
                names.add(declared[1])
                if declared[2] == "[":
                    arrays.add(declared[1])
    names -= _NO_NAMES
    return bool(names) and _written(code, names, arrays, sorted(spans), cpp=cpp)


def _declarations(code: str, *, cpp: bool) -> Iterator[_Declaration | None]:
    """Yield the declarations that may be of variables that can change; `None` if only a parse can show that."""
    if _POINTER_AFTER_TABLE.search(code):
        yield None
    for found in _STATIC.finditer(code):
        head = _STATIC_VARIABLE.match(code, found.end())
        if head is not None:
            yield from _declaration(code, found.end(), head.end() - 1, cpp=cpp)
    starts = [found.end() for found in _LINE_START.finditer(code)]
    for start in (0, *starts, *_indented(code)):
        head = _GLOBAL_VARIABLE.match(code, start)
        if head is not None and not (head[0].startswith("extern") and head[0].endswith(";")):
            yield from _declaration(code, start, head.end() - 1, cpp=cpp)


def _indented(code: str) -> Iterator[int]:
    """Yield where the indented lines begin that are in no function: those of namespaces."""
    done = 0
    for start, end in (*namespace_blocks(code), (len(code), len(code))):
        for found in _INDENTED.finditer(code, done, start):
            if code[max(0, found.start() - _LONGEST_GAP) : found.start()].rstrip()[-1:] not in _UNFINISHED:
                yield found.end()
        done = end


def _declaration(code: str, start: int, end: int, *, cpp: bool) -> Iterator[_Declaration | None]:
    stop = _STOP.search(code, start, start + _LONGEST_DECLARATION)
    if stop is None:
        yield None
        return
    if _OPERATOR.search(code, max(start, end - 20), end):
        return
    text = code[start : stop.start()]
    head = text.partition("=")[0]
    pointer = "*" in text and (_POINTER.search(text) or "*" in _SIZE.sub("", head))
    if not pointer and _CONSTANT.search(code, start, end):
        return
    if not pointer and not TABLES.isdisjoint(_WORD.findall(mask_templates(head) if cpp and "<" in head else head)):
        return
    plain = start
    if "(" in head and not _POINTER_OR_ATTRIBUTE.search(head):
        if not cpp:
            return
        plain += head.rfind(")") + 1
    if stop[0] == ";":
        yield _Declaration(start, end, stop.start(), plain)
        return
    closed = _closing_brace(code, stop.start())
    if not _DEFINES_TYPE.search(text):
        yield _Declaration(start, end, stop.start(), plain)
        if closed < 0 or _FURTHER.match(code, closed + 1):
            yield None
        return
    after = _STOP.search(code, closed) if closed > 0 else None
    if after is None:
        yield None
    elif code[closed + 1 : after.start()].strip():
        yield _Declaration(closed, after.start(), after.start(), closed)


def _closing_brace(code: str, start: int) -> int:
    depth = 0
    for found in _BRACE.finditer(code, start):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return found.start()
    return -1


def _written(code: str, names: set[str], arrays: set[str], spans: list[tuple[int, int]], *, cpp: bool) -> bool:
    """Return whether one of the names is written, or passed to a function of this file, outside the spans."""
    index, inside = 0, -1
    defined: dict[str, bool] = {}
    keepers: dict[str, bool] = {}
    for found in _WORD.finditer(code):
        name = found[0]
        if name not in names:
            continue
        at = found.start()
        while index < len(spans) and spans[index][0] <= at:
            inside = max(inside, spans[index][1])
            index += 1
        if at < inside:
            continue
        use = classify_use(code, at, found.end())
        if use is None:
            continue
        if use.kind is UseKind.WRITE or (use.kind is UseKind.KEPT and name in arrays):
            return True
        if cpp and use.argument == 0 and use.kind is UseKind.READ and (made := constructed_with(code, at)):
            if made not in keepers:
                keepers[made] = _may_keep(code, made)
            if keepers[made]:
                return True
        if use.callee and (use.kind is UseKind.ADDRESS or name in arrays):
            if use.callee not in defined:
                defined[use.callee] = _may_define(code, use.callee)
            if defined[use.callee]:
                return True
    return False


def _may_keep(code: str, kind: str) -> bool:
    """Return whether a file may define a constructor of a type that takes a reference."""
    return re.search(rf"{kind}(?<!\w{kind})\s*\([^();]*&\s*\w+\s*\)\s*[:{{]", code) is not None


def _may_define(code: str, name: str) -> bool:
    """Return whether a file may define a function: a body, or what may precede one, follows the brackets."""
    return any(
        (end := closing(code, found.end() - 1)) > 0 and _BODY.match(code, end + 1)
        for found in re.finditer(rf"{re.escape(name)}\s*\(", code)
    )
