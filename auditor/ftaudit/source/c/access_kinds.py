"""What the text around a place does to the field that it names: the kind of the access."""

from __future__ import annotations

import re
from typing import Final

from ftaudit.source.c.text import closing
from ftaudit.source.shared_state import AccessKind

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
_TRAILER: Final = re.compile(r"\s*(?:(\[)|(?:\.|->)\s*~?\w+(?!\w|\s*\())")
_ASSIGNS: Final = re.compile(r"\s*(?:(=)(?!=)|(?:<<|>>|[-+*/%&|^])=|\+\+|--)")
_POINTER_PLUS: Final = re.compile(r"(?i)(?:buf|data|ptr|str|mem|block|start|base)\w*\s*\+\Z")
DEREFERENCES: Final = re.compile(r"(?:\A|[^\w)\]\s*])\s*\*\Z")
_OPENED: Final = re.compile(r"\(\s*\*\s*\Z")
_CLOSED: Final = re.compile(r"\s*\)")
_NULL_TEST: Final = re.compile(r"\s*[!=]=\s*(?:NULL|nullptr)\b")
_TEST_BEGINS: Final = re.compile(
    r"(?:\bif\s*\(|\bwhile\s*\(|!|&&|\|\||\b(?:un)?likely\s*\(|\b(?:UN)?LIKELY\s*\()\s*\(?\s*\Z"
)
_TEST_ENDS: Final = re.compile(r"\s*(?:\)|&&|\|\||\?)")


def kind_of_place(
    code: str, begin: int, end: int, declared: str, *, deep: bool, cpp: bool, locks_itself: bool
) -> AccessKind:
    """Return the effect of a place on a field of a declared type, by the surrounding text."""
    at = end
    if (bracket := _CLOSED.match(code, end)) and _OPENED.search(code, max(0, begin - 12), begin):
        # `(*self->items)[k] = v`
        at = end = bracket.end()
        begin = code.rindex("(", 0, begin)
    if cpp and (_GROWS if not declared or _CONTAINERS.search(declared) else _FILLS).match(code, end):
        return AccessKind.READ if locks_itself else AccessKind.FREE
    while (trailer := _TRAILER.match(code, at)) is not None:
        deep = True
        at = trailer.end()
        if trailer[1]:
            closed = closing(code, at - 1, at + 1000)
            if closed < 0:
                break
            at = closed + 1
        if cpp and _GROWS.match(code, at):
            return AccessKind.FREE
    head = code[max(0, begin - 40) : begin].rstrip()
    assigns = _ASSIGNS.match(code, at)
    counts = head.endswith(("++", "--"))
    if assigns is None and not counts:
        indexes = head.endswith("[") or (head.endswith("+") and _POINTER_PLUS.search(head))
        return AccessKind.INDEX if indexes else AccessKind.READ
    if deep:
        return AccessKind.FREE if _MAPS.search(declared) else AccessKind.WRITE
    if head.endswith("*") and DEREFERENCES.search(head):
        return AccessKind.WRITE
    if counts or assigns is None or assigns[1] is None:
        return AccessKind.COUNT
    if declared and _CONTAINERS.search(declared):
        return AccessKind.FREE
    if cpp and declared and "*" not in declared and _MOVES.match(code, assigns.end()):
        return AccessKind.FREE
    if declared and _REFERENCE.search(declared):
        return AccessKind.REPLACE
    right = code[assigns.end() : assigns.end() + 120].partition(";")[0]
    own = code[begin:end]
    return AccessKind.COUNT if own in right and _adds_to(own, right) else AccessKind.WRITE


def locks_itself(declared: str) -> bool:
    """Return whether the name of a type says that it does its own locking."""
    return _SAFE_TYPE.search(declared) is not None


def is_number(declared: str) -> bool:
    """Return whether a type is a plain number, a flag or a character."""
    return _NUMBER.match(declared) is not None


def tests_pointer(code: str, begin: int, end: int, declared: str) -> bool:
    """Return whether a pointer is only compared with NULL: that does not follow it."""
    after = code[end : end + 20]
    if _NULL_TEST.match(after):
        return True
    if "*" not in declared or not _TEST_ENDS.match(after):
        return False
    return bool(_TEST_BEGINS.search(code, max(0, begin - 40), begin))


def _adds_to(own: str, right: str) -> bool:
    return re.search(rf"{re.escape(own)}\s*[-+|&^]", right) is not None


def releases_when_set(declared: str) -> bool:
    """Return whether a store to a field of a type frees or releases what was there."""
    return _CONTAINERS.search(declared) is not None or _REFERENCE.search(declared) is not None
