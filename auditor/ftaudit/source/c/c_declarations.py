"""One C or C++ declaration, read from its text: the variables it declares, with their types and storage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ftaudit.source.c.text import closing, mask_templates, split_arguments

_IDENTIFIER: Final = re.compile(r"[A-Za-z_]\w*")
_LAST_NAME: Final = re.compile(r"((?:[A-Za-z_]\w*\s*::\s*)*[A-Za-z_]\w*)\s*((?:\[[^\]]*\]\s*)*)$")
_FUNCTION_POINTER: Final = re.compile(
    r"\(\s*(?:\w+\s*::\s*)?\*+\s*(?:const\s+|volatile\s+)?([A-Za-z_]\w*)\s*((?:\[[^\]]*\])*)\s*\)\s*\("
)
_ATTRIBUTES: Final = re.compile(
    r"\b(?:__attribute__|__declspec|alignas|_Alignas|__asm__|asm)\s*\((?:[^()]|\([^()]*\)|\(\([^()]*(?:\([^()]*\))?[^()]*\)\))*\)|\[\[[^\]]*\]\]"
)
_DECLSPEC_THREAD: Final = re.compile(r"__declspec\s*\(\s*thread\s*\)")
_QUALIFIED: Final = re.compile(r"([A-Za-z_]\w*)\s*(?:<[^<>]*>\s*)?::\s*$")
_NOT_TYPES: Final = frozenset(
    [
        "return",
        "goto",
        "typedef",
        "using",
        "case",
        "else",
        "delete",
        "throw",
        "if",
        "for",
        "while",
        "switch",
        "do",
        "break",
        "continue",
        "friend",
        "template",
        "public",
        "private",
        "protected",
        "namespace",
        "class",
        "extern_C",
    ]
)
_DEFINES_TYPE: Final = re.compile(r"[\w\s]*\b(?:struct|union)\b[\w\s]*\{")
"""The head of `static struct {…} state;`: the braces hold members, not a value."""
_LONGEST_HEAD: Final = 200
"""How many characters of a declaration are searched for such a head."""
_LONGEST_DECLARED: Final = 4_000
"""Characters before the value or body of a declaration; longer text is not a declaration."""
_STORAGE: Final = frozenset({"static", "extern", "register", "inline", "auto", "constexpr", "constinit"})


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of static storage duration, or of a function on request."""

    name: str
    type: str
    """As written, with qualifiers, stars and storage class: `static const char *`."""
    start: int
    """The offset of its name."""
    declared: int
    """The start of its declaration."""
    array: bool
    initializer: tuple[int, int] | None
    function: int | None
    """The place where the body of the function begins that it is declared in; `None` at file scope."""
    member: bool = False
    """Whether it is a static data member of a class."""
    sure: bool = True
    """`False` if the parser failed and only the tokens were read."""
    owner: str = ""
    """The class of a static data member, without namespaces."""
    members: str = ""
    """The members of the type, if the declaration also defines it."""

    @property
    def words(self) -> frozenset[str]:
        """The words of the type."""
        return _words(self.type)

    @property
    def pointer(self) -> bool:
        """Whether it is a pointer (or an array of them); a container of pointers is not."""
        return "*" in self.outer_type

    @property
    def outer_type(self) -> str:
        """The type without template arguments: `static std::map` for `static std::map<int, char *>`."""
        return _without_arguments(self.type)

    @property
    def constant(self) -> bool:
        """Whether the object itself cannot be assigned: `const` after the last star, or no star and `const` at all."""
        return _is_constant(self.outer_type)


@lru_cache(maxsize=10_000)
def _without_arguments(kind: str) -> str:
    return " ".join(mask_templates(kind).split()) if "<" in kind else kind


@lru_cache(maxsize=10_000)
def _words(kind: str) -> frozenset[str]:
    return frozenset(_IDENTIFIER.findall(kind))


@lru_cache(maxsize=10_000)
def _is_constant(kind: str) -> bool:
    last = kind.rpartition("*")[2]
    return not _words(kind).isdisjoint(("constexpr", "consteval")) or bool(re.search(r"\bconst\b", last))


def parse_declaration(
    code: str,
    start: int,
    end: int,
    *,
    function: int | None,
    member: bool = False,
    owner: str = "",
    sure: bool = True,
    cpp: bool = False,
) -> Iterator[Variable]:
    """Yield the variables of the declaration whose text is `code[start:end]`, without its semicolon.

    Prototypes, typedefs, bare types and text that is not a declaration yield nothing.
    """
    text = _ATTRIBUTES.sub(_blank_attribute, code[start:end])
    if cpp and "<" in text:
        text = mask_templates(text)
    if text.count("(") != text.count(")") or len(text.partition("=")[0].partition("{")[0]) > _LONGEST_DECLARED:
        return
    members = ""
    defined = _DEFINES_TYPE.match(text, 0, _LONGEST_HEAD)
    if defined:
        close = closing(text, defined.end() - 1)
        if close < 0:
            return
        members = text[defined.end() : close]
        text = text[: defined.end() - 1] + " " * (close + 1 - defined.end() + 1) + text[close + 1 :]
    leading = _IDENTIFIER.search(text)
    if leading is None or leading[0] in _NOT_TYPES:
        return
    base: str | None = None
    for begin, stop in split_arguments(text, 0, len(text)):
        piece = text[begin:stop]
        declared, initializer = _split_initializer(piece, cpp=cpp, in_function=function is not None)
        found = _declarator(declared)
        if found is None:
            if base is None:
                return
            continue
        name, at, array, prefix, suffix = found
        qualifier = _owner(prefix) if cpp and function is None else ""
        if base is None:
            words = _IDENTIFIER.findall(prefix)
            if not set(words) - _STORAGE - {"const", "volatile"}:
                return
            base = prefix.split("*")[0].rstrip() if "(" not in prefix else prefix
            plain = suffix == "" and not members
            type_text = code[start + begin : start + begin + len(prefix)] if plain else prefix + suffix
        else:
            type_text = f"{base} {prefix}{suffix}"
        yield Variable(
            name=name,
            type=" ".join(type_text.split()),
            start=start + begin + at,
            declared=start,
            array=array,
            initializer=None if initializer is None else (start + begin + initializer, start + stop),
            function=function,
            member=member,
            sure=sure,
            owner=owner or qualifier,
            members=members,
        )


def declared_names(text: str) -> Iterator[str]:
    """Yield the names that a local declaration declares, well enough to distinguish them from file-scope variables."""
    for begin, end in split_arguments(text, 0, len(text)):
        piece = text[begin:end].split("=")[0]
        found = re.search(r"([A-Za-z_]\w*)\s*(?:\[[^\]]*\]\s*)*(?:\([^()]*\)|\{[^{}]*\})?\s*$", piece)
        if found:
            yield found[1]


def _blank_attribute(found: re.Match[str]) -> str:
    if _DECLSPEC_THREAD.match(found[0]):
        return "__thread".ljust(len(found[0]))
    return " " * len(found[0])


def _split_initializer(piece: str, *, cpp: bool, in_function: bool) -> tuple[str, int | None]:
    """Return the declarator and the start of its initializer; `T x(args)` and `T x{args}` count in C++."""
    depth = 0
    for at, char in enumerate(piece):
        if char == "{" and depth == 0:
            return piece[:at], at
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "=" and depth == 0:
            return piece[:at], at + 1
    bracket = piece.find("(")
    if cpp and bracket > 0 and not _FUNCTION_POINTER.search(piece):
        head, inside = piece[:bracket].rstrip(), piece[bracket + 1 : closing(piece, bracket)]
        looks_like_value = bool(re.match(r"\s*(?:\d|\"|'|&|nullptr|NULL|true|false|\[)|.*(?:->|\.|::\w+\s*\()", inside))
        if _LAST_NAME.search(head) and (looks_like_value or (in_function and inside.strip())):
            return head, bracket
    return piece, None


def _declarator(text: str) -> tuple[str, int, bool, str, str] | None:
    """Return name, place of the name, whether an array, the text before it, and what to add to the type."""
    pointer = _FUNCTION_POINTER.search(text)
    if pointer:
        return pointer[1], pointer.start(1), bool(pointer[2]), text[: pointer.start()], "(*)()"
    if "(" in text:
        return None
    found = _LAST_NAME.search(text.rstrip())
    if found is None:
        return None
    name = found[1]
    if name in ("const", "volatile", "struct", "int", "void", "char", "long", "short", "unsigned", "double", "float"):
        return None
    if "::" in name:
        name = name.rpartition("::")[2].strip()
    at = found.end(1) - len(name)
    return name, at, bool(found[2].strip()), text[:at], ""


def _owner(prefix: str) -> str:
    """Return the class that qualifies a name: `bool Pool::` gives `Pool`."""
    found = _QUALIFIED.search(prefix)
    return found[1] if found else ""
