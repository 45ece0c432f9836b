"""The shape of a C or C++ file: functions and declarations by tree-sitter, and by brackets if its parse fails."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from ftaudit.source.c.c_declarations import Variable, parse_declaration
from ftaudit.source.c.functions import Function
from ftaudit.source.c.lambdas import find_bound_lambdas
from ftaudit.source.c.masking import mask_for_parser
from ftaudit.source.c.skeleton import Skeleton, is_body, skeleton_of
from ftaudit.source.c.text import closing, opening, top_level_blocks

if TYPE_CHECKING:
    from tree_sitter import Query, Tree

_QUERY: Final = "(function_definition) @function (declaration) @declaration"
_QUERY_WHOLE: Final = (
    "(function_definition) @function (translation_unit (declaration) @declaration)"
    " (declaration_list (declaration) @declaration) (function_definition (declaration) @declaration)"
    " (declaration (storage_class_specifier)) @declaration"
)
"""The same for C that parsed without an error, except locals that live no longer than a call: most of all."""
_QUERY_LOCALS: Final = "(declaration) @declaration"
_QUERY_CPP: Final = _QUERY + " (field_declaration (storage_class_specifier)) @member"
_NAME_BEFORE_PARENS: Final = re.compile(
    r"((?:[A-Za-z_]\w*\s*(?:<[^<>]*>)?\s*::\s*)*~?(?:operator\s*[^\s\w(]+|operator\s+\w+|[A-Za-z_]\w*))\s*$"
)
_MACRO_HEADER: Final = re.compile(r"(?:^|[;}\n])[ \t]*([A-Z][A-Z0-9_]{3,})$")
_STATIC: Final = re.compile(r"static\b(?<!\wstatic)")
_STORAGE: Final = re.compile(r"\b(?:static|thread_local|_Thread_local|__thread)\b")
_STATEMENT_END: Final = re.compile(r"[;{}]")
_CLASS: Final = re.compile(
    r"(?<!enum )\b(?:class|struct)\s+(?:[A-Z][A-Z0-9_]+(?:\([^()]*\))?\s+|alignas\s*\([^()]*\)\s*)*"
    r"([A-Za-z_]\w*)\s*(?:<[^;{}()]*>)?\s*(?:final\s*)?(?::[^;{}()=]{0,1000})?\{"
)
_WORDS: Final = re.compile(r"[\w\s]*")
_LONGEST_HEAD: Final = 2_000
"""Characters of a declaration before its value."""
_MOST_CLASSES: Final = 3_000
"""How many classes of one file are read; each costs a search for its end."""
_CONTROL: Final = frozenset({"if", "for", "while", "switch", "catch", "else", "do", "return", "sizeof"})


@dataclass(frozen=True, slots=True)
class Syntax:
    """The definitions of a file."""

    functions: tuple[Function, ...]
    """Sorted by place."""
    variables: tuple[Variable, ...]
    """At file scope, and static ones of functions and classes."""
    code: str
    cpp: bool
    classes: tuple[tuple[int, int, str], ...] = ()
    """Start and end of the bodies of C++ classes, with their names, sorted."""

    def declarations_in(self, function: Function) -> list[tuple[int, int]]:
        """Return the spans of the declarations inside a function, sorted."""
        from tree_sitter import QueryCursor

        start = function.start
        tree = parse_piece(self.code[start : function.end], cpp=self.cpp)
        nodes = QueryCursor(_locals_query(self.cpp)).captures(tree.root_node).get("declaration", ())
        return sorted((start + n.start_byte, start + n.end_byte) for n in nodes if function.body < start + n.start_byte)


def parse_syntax(code: str, *, cpp: bool, text: str = "") -> Syntax:
    """Parse code whose comments, strings and directives are masked. Never raises, whatever the text.

    `text` is the same with strings, for the names under which Python knows the lambdas of bindings.
    """
    from tree_sitter import QueryCursor

    blocks = list(top_level_blocks(code))
    # The C++ grammar fails on every other file, and recovers from an error better with more text.
    skeleton = skeleton_of(code, () if cpp else blocks)
    tree = parse_piece(skeleton.text, cpp=cpp)
    failed = tree.root_node.has_error
    query = _language(cpp)[1] if cpp or failed else _whole_query()
    captures = QueryCursor(query).captures(tree.root_node)
    functions = [f for node in captures.get("function", ()) if (f := _function(node, code, skeleton))]
    bodies = blocks if failed else [block for block in blocks if is_body(code, block[0])]
    functions += _missed_functions(code, functions, bodies)
    if cpp:
        functions += find_bound_lambdas(code, text or code)
    functions.sort(key=lambda function: function.start)
    finder = FunctionFinder(functions)
    classes = find_classes(code) if cpp else ()
    variables: list[Variable] = []
    seen: list[tuple[int, int]] = []
    for node in (*captures.get("declaration", ()), *captures.get("member", ())):
        start, end = skeleton.place(node.start_byte), skeleton.place(node.end_byte)
        seen.append((start, end))
        function = finder.at(start)
        if function is not None and not _may_be_static(code, start, end):
            continue
        start = _statement_start(code, start)
        end -= code[end - 1 : end] == ";"
        member = node.type == "field_declaration"
        if function is not None and not _is_static(code, start, end):
            continue
        owner = "" if function is not None else _class_at(classes, start)
        nested = member or owner or (failed and function is None and _inside(blocks, start))
        if nested and not _STATIC.search(code, start, end):
            continue
        body = None if function is None else function.body
        variables += parse_declaration(
            code, start, end, function=body, member=member or bool(owner), owner=owner, cpp=cpp
        )
    if failed:
        variables += _missed_statics(code, variables, seen, functions, finder, cpp=cpp)
    return Syntax(
        classes=classes,
        functions=tuple(functions),
        variables=tuple(sorted(_once(variables), key=lambda variable: variable.start)),
        code=code,
        cpp=cpp,
    )


def find_classes(code: str) -> tuple[tuple[int, int, str], ...]:
    """Return the bodies of classes by their brackets, whether or not the parser recognized them as classes."""
    found: list[tuple[int, int, str]] = []
    for head in _CLASS.finditer(code):
        if len(found) > _MOST_CLASSES:
            break
        end = closing(code, head.end() - 1)
        if end > 0:
            found.append((head.end() - 1, end, head[1]))
    return tuple(found)


def _class_at(classes: tuple[tuple[int, int, str], ...], offset: int) -> str:
    """Return the innermost class around a place, or the empty string."""
    name = ""
    for _, end, owner in classes[: bisect_right(classes, (offset, 0, ""))]:
        if end > offset:
            name = owner
    return name


@cache
def _language(cpp: bool) -> tuple[Any, Any]:
    import tree_sitter
    import tree_sitter_c
    import tree_sitter_cpp

    language = tree_sitter.Language((tree_sitter_cpp if cpp else tree_sitter_c).language())
    return language, tree_sitter.Query(language, _QUERY_CPP if cpp else _QUERY)


def load_grammars() -> None:
    """Import the parser and its grammars."""
    import tree_sitter
    import tree_sitter_c
    import tree_sitter_cpp

    del tree_sitter, tree_sitter_c, tree_sitter_cpp


@cache
def _locals_query(cpp: bool) -> Query:
    from tree_sitter import Query

    query: Query = Query(_language(cpp)[0], _QUERY_LOCALS)
    return query


@cache
def _whole_query() -> Query:
    from tree_sitter import Query

    query: Query = Query(_language(cpp=False)[0], _QUERY_WHOLE)
    return query


def parse_piece(code: str, *, cpp: bool) -> Tree:
    """Return the tree of C or C++ code. Each call makes a new parser: a parser keeps state."""
    from tree_sitter import Parser

    return Parser(_language(cpp)[0]).parse(mask_for_parser(code, cpp=cpp).encode("latin-1", "replace"))


class FunctionFinder:
    """Finds the innermost function around a place."""

    def __init__(self, functions: list[Function] | tuple[Function, ...]) -> None:
        self._functions = functions
        self._starts = [function.start for function in functions]
        self._outer: list[int] = []
        stack: list[int] = []
        for index, function in enumerate(functions):
            while stack and functions[stack[-1]].end <= function.start:
                stack.pop()
            self._outer.append(stack[-1] if stack else -1)
            stack.append(index)

    def at(self, offset: int) -> Function | None:
        """Return the innermost function whose body holds the offset."""
        index = bisect_right(self._starts, offset) - 1
        while index >= 0:
            function = self._functions[index]
            if function.body < offset < function.end:
                return function
            index = self._outer[index]
        return None


def _function(node: Any, code: str, skeleton: Skeleton) -> Function | None:
    body = node.child_by_field_name("body")
    if body is None or body.type not in ("compound_statement", "try_statement"):
        return None
    declarator = node.child_by_field_name("declarator")
    while declarator is not None and declarator.type != "function_declarator":
        inner = declarator.child_by_field_name("declarator")
        declarator = inner if inner is not None else next(iter(declarator.named_children), None)
    if declarator is None:
        return None
    name = declarator.child_by_field_name("declarator")
    parameters = declarator.child_by_field_name("parameters")
    if name is None or parameters is None:
        return None
    start, at = skeleton.place(node.start_byte), skeleton.place(name.start_byte)
    text = " ".join(code[at : at + name.end_byte - name.start_byte].split())
    if text in _CONTROL:
        return None
    return Function(
        name=text,
        start=start,
        at=at,
        body=skeleton.place(body.start_byte),
        end=skeleton.place(node.end_byte),
        header=code[start:at],
        parameter_text=code[skeleton.place(parameters.start_byte) + 1 : skeleton.place(parameters.end_byte) - 1],
    )


def _inside(blocks: list[tuple[int, int]], offset: int) -> bool:
    """Return whether a place is in a block at file scope that could not be parsed as a function."""
    index = bisect_right(blocks, (offset, 0)) - 1
    return index >= 0 and offset < blocks[index][1]


def _missed_functions(code: str, functions: list[Function], blocks: list[tuple[int, int]]) -> Iterator[Function]:
    """Find the bodies at file scope that the parser did not recognize as functions: `name(…) {` by its brackets."""
    bodies = {function.body for function in functions}
    spans = sorted((function.start, function.end) for function in functions)
    starts = [start for start, _ in spans]
    for start, end in blocks:
        index = bisect_right(starts, start) - 1
        if start in bodies or (index >= 0 and spans[index][1] > start):
            continue
        before = code[max(0, start - 4000) : start].rstrip()
        before = re.sub(
            r"\)\s*(?:const|noexcept|override|final)(?:\s+(?:const|noexcept|override|final))*$", ")", before
        )
        offset = max(0, start - 4000)
        macro = _MACRO_HEADER.search(before, max(0, len(before) - 100))
        if macro:
            at = offset + macro.start(1)
            yield Function(macro[1], at, at, start, end, header="", parameter_text="", sure=False)
        if not before.endswith(")"):
            continue
        first = opening(before, len(before) - 1)
        name = _NAME_BEFORE_PARENS.search(before, max(0, first - 200), first) if first > 0 else None
        if name is None or name[1] in _CONTROL:
            continue
        begin = _statement_start(code, offset + name.start())
        yield Function(
            name=name[1],
            start=begin,
            at=offset + name.start(),
            body=start,
            end=end,
            header=code[begin : offset + name.start()],
            parameter_text=code[offset + first + 1 : offset + len(before) - 1],
            sure=False,
        )


def _missed_statics(
    code: str,
    variables: list[Variable],
    seen: list[tuple[int, int]],
    functions: list[Function],
    finder: FunctionFinder,
    *,
    cpp: bool,
) -> Iterator[Variable]:
    """Find `static` declarations that the parser did not recognize."""
    spans = sorted([*seen, *((function.start, function.body) for function in functions)])
    count, index, reached = len(spans), 0, -1
    for found in _STATIC.finditer(code):
        at = found.start()
        while index < count and spans[index][0] <= at:
            reached = max(reached, spans[index][1])
            index += 1
        if reached > at:
            continue
        stop = _STATEMENT_END.search(code, at, at + _LONGEST_HEAD)
        if stop is None:
            continue
        end = stop.start()
        if stop[0] == "{":
            if "=" not in code[at:end]:
                continue
            closed = closing(code, end)
            if closed < 0:
                continue
            end = closed + 1
        function = finder.at(at)
        body = None if function is None else function.body
        yield from parse_declaration(code, _statement_start(code, at), end, function=body, sure=False, cpp=cpp)


def _statement_start(code: str, at: int) -> int:
    """Go back over the words that belong to the declaration at a place: qualifiers that were blanked for the parser."""
    head = code[max(0, at - 300) : at]
    head = head[max(head.rfind(";"), head.rfind("{"), head.rfind("}"), head.rfind(":"), head.rfind(")")) + 1 :]
    return at - len(head.lstrip()) if _WORDS.fullmatch(head) else at


def _may_be_static(code: str, start: int, end: int) -> bool:
    """Return whether a declaration, or the text that `_statement_start` adds, can hold a storage class: most do not."""
    text = code[max(0, start - 300) : min(end, start + 200)]
    return "static" in text or "hread" in text


def _is_static(code: str, start: int, end: int) -> bool:
    return _STORAGE.search(code, start, min(end, start + 200)) is not None


def _once(variables: list[Variable]) -> Iterator[Variable]:
    places: set[int] = set()
    for variable in variables:
        if variable.start not in places:
            places.add(variable.start)
            yield variable
