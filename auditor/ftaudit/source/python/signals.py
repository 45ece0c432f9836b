"""A cheap first test of Python text: signals that matter to rules about shared state."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from enum import Flag, auto
from typing import Final


class Signal(Flag):
    """Signals of a text. A signal too many costs time, one too few hides findings."""

    NONE = 0
    MODULE_STATE = auto()
    """A container bound at module level whose name is also changed in place somewhere."""
    CLASS_STATE = auto()
    """The same for names bound in classes or functions, changed as attributes; or an attribute of a class assigned."""
    THREADS = auto()
    """The text mentions locks or threads."""
    SINGLETON = auto()
    """A class of the module has an object at module level."""
    GLOBAL = auto()
    """Functions declare globals."""
    FUNCTION_STATE = auto()
    """The text checks whether a function has an attribute."""
    LAZY_ATTRIBUTE = auto()
    """An attribute is filled on first use in more than one step, or attributes of a class are deleted."""


_MAKES: Final = (
    r"[ \t]*(?::[^=]{1,300})?=[ \t]*(?:[{\[]|(?:\w+\.)*(?:set|dict|list|defaultdict|[oO]rdered\w+|deque|Counter|Weak\w+"
    r"|ChainMap|User\w+|Sorted\w+)\(|(?:typing\.|t\.)?cast\()"
)
# A pattern that begins with a line end is fast, one that begins with `^` is tried at every character; the texts are
# given a line end more in front.
_MODULE_LEVEL: Final = re.compile(
    r"\n(?:(?!else\b|try\b|finally\b)([A-Za-z_]\w*)" + _MAKES + r"|([A-Za-z_]\w*)[ \t]*=[ \t]*(?:\w+\.)*_*[A-Z]\w*\()"
)
_GUARDED_LEVEL: Final = re.compile(r"\n[ \t]+(?!else\b|try\b|finally\b)(\w+)" + _MAKES)
_METHOD: Final = re.compile(
    r"\.(?:append|extend|insert|remove|pop|clear|update|add|discard|setdefault|popitem|popleft|appendleft"
    r"|difference_update|intersection_update|move_to_end|subtract)\("
)
_ITEM: Final = re.compile(r"\][ \t]*(?:[-+*/|&^]|//|\*\*|<<|>>)?=[^=]")
_DELETED: Final = re.compile(r"\bdel[ \t]+([^\n]+)\[")
_SUBSCRIPTED: Final = re.compile(r"(\w+)\[")
_NAME_BEFORE: Final = re.compile(r"\w+$")
_OUTERMOST: Final = re.compile(r"^[^\s#)\]}][^\n]*", re.MULTILINE)
_LAZY: Final = re.compile(r"if (?:not )?(?:self|cls)\.\w+(?: is None)?:\n")
_IN_STEPS: Final = re.compile(
    r"(?:self|cls)\.\w+(?:: [^=\n]+)? = (?:\{\}|\[\]|None$|True$"
    r"|(?:\w+\.)?(?:set|dict|list|deque|OrderedDict|defaultdict)\()"
    r"|del (?:self|cls)\."
    r"|(?:self|cls)\.\w*(?:conn|client|session|pool|channel|sock|transport|parser|engine|executor|thread|worker|server"
    r"|producer|consumer|publisher|cursor|stub|driver)\w*(?:: [^=\n]+)? = \w"
    r"|((?:self|cls)\.\w+) = \w[^\n]*\n[ \t]+\1 = ",
    re.MULTILINE,
)
_NEAR: Final = 800
"""How many characters after a test are searched for its effect."""
_CLASS_ATTRIBUTE: Final = re.compile(
    r"\n[ \t]+(?:cls|klass|_*[A-Z]\w*|type\(\w+\)|\w*\.?__class__)\.\w+[ \t]*(?::[^=\n]+)?[-+*/|&^]?=[^=]"
)
_SINGLETON: Final = re.compile(r"\n\w+[ \t]*(?::[^=\n]+)?=[ \t]*(_*[A-Z]\w*)\(")
_CLASS: Final = re.compile(r"\nclass[ \t]+(\w+)")
_ASKED: Final = re.compile(r"\bhasattr\(([A-Za-z_]\w*),")
_MODULE_PUT: Final = re.compile(r"\bsys\.modules\[[^\]\n]{1,200}\][ \t]*=[^=]|\bdel[ \t]+sys\.modules\[")
_THREAD_WORDS: Final = ("thread", "Thread", "Lock", "lock(", "settrace", "setprofile", "register_callback", "ingleton")


def may_share_objects(text: str) -> bool:
    """Return whether a text gives `Signal.THREADS` or `Signal.SINGLETON`, without a search for the others."""
    if any(map(text.__contains__, _THREAD_WORDS)):
        return True
    return _has_single_object("\n" + text)


def _has_single_object(lines: str) -> bool:
    """Return whether a text that begins with a line end makes an object of one of its classes at module level."""
    return "\nclass " in lines and not {*_SINGLETON.findall(lines)}.isdisjoint(_CLASS.findall(lines))


def find_signals(text: str) -> Signal:
    """Return the signals of a text."""
    found = Signal.NONE
    lines = "\n" + text
    if any(map(text.__contains__, _THREAD_WORDS)):
        found |= Signal.THREADS
    if "global " in text:
        found |= Signal.GLOBAL
    if "hasattr(" in text and any(f"def {name}(" in text for name in {*_ASKED.findall(text)}):
        found |= Signal.FUNCTION_STATE
    if _has_lazy_attribute(text):
        found |= Signal.LAZY_ATTRIBUTE
    if _has_single_object(lines):
        found |= Signal.SINGLETON
    if "sys.modules[" in text and _MODULE_PUT.search(text):
        found |= Signal.MODULE_STATE
    if "cls." in text or "__class__" in text or "class " in text:
        found |= Signal.CLASS_STATE if _CLASS_ATTRIBUTE.search(lines) else Signal.NONE
    names = {name for pair in _MODULE_LEVEL.findall(lines) for name in pair if name}
    inner: dict[str, list[int]] = {}
    for match in _GUARDED_LEVEL.finditer(lines):
        # The position of the line end in `lines` is where the line begins in `text`.
        inner.setdefault(match[1], []).append(match.start())
    if not names and not inner:
        return found
    changed, attributes = set[str](), set[str]()
    for before, name in _changed_names(text):
        (attributes if before == "." else changed).add(name)
    conditional = (at for name in changed & inner.keys() for at in inner[name])
    starts, outermost = _heads(text) if changed & inner.keys() else ([], [])
    above = (bisect.bisect_right(starts, at) - 1 for at in conditional)
    if changed & names or any(outermost[head] for head in above if head >= 0):
        found |= Signal.MODULE_STATE
    if any(_is_in_class(text, at) for name in attributes & inner.keys() for at in inner[name]):
        found |= Signal.CLASS_STATE
    return found


def _has_lazy_attribute(text: str) -> bool:
    if "delattr(" in text or "del cls." in text or "not in self.__dict__" in text:
        return True
    if "if self." not in text and "if not self." not in text and "if cls." not in text and "if not cls." not in text:
        return False
    return any(_IN_STEPS.search(text, match.end(), match.end() + _NEAR) for match in _LAZY.finditer(text))


def _changed_names(text: str) -> Iterator[tuple[str, str]]:
    """Yield the last names of expressions that are changed in place, with the character before each."""
    for match in _METHOD.finditer(text):
        before = _NAME_BEFORE.search(text, max(0, match.start() - 60), match.start())
        if before:
            yield text[before.start() - 1 : before.start()], before[0]
    for match in _ITEM.finditer(text):
        for name in _SUBSCRIPTED.finditer(text, text.rfind("\n", 0, match.start()) + 1, match.start() + 1):
            yield text[name.start() - 1 : name.start()], name[1]
    if "del " in text:
        for match in _DELETED.finditer(text):
            dotted = match[1].partition("[")[0]
            yield "." if "." in dotted else "", dotted.rpartition(".")[2]


def _is_in_class(text: str, position: int) -> bool:
    """Return whether the nearest line above that is indented less begins a class."""
    line = text[position : text.find("\n", position)]
    indent = len(line) - len(line.lstrip(" \t"))
    end = position
    while end > 0:
        start = text.rfind("\n", 0, end - 1) + 1
        line = text[start:end]
        stripped = line.strip()
        if stripped and len(line) - len(line.lstrip(" \t")) < indent and not stripped.startswith(("#", ")", '"')):
            return stripped.startswith("class ")
        end = start
    return False


def _heads(text: str) -> tuple[list[int], list[bool]]:
    """Return where unindented lines begin, and whether the block below each still belongs to the module.

    That is so under `if`, `try` or `with`, not under `def` or `class`.
    """
    starts: list[int] = []
    outermost: list[bool] = []
    for head in _OUTERMOST.finditer(text):
        starts.append(head.start())
        outermost.append(head[0].startswith(("if", "try", "else", "except", "elif", "with", "for", "finally")))
    return starts, outermost
