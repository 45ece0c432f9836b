"""The text that tree-sitter parses instead of the code: the same length, without the macros that break its grammar."""

from __future__ import annotations

import re
from typing import Final

_TYPE_WORD: Final = (
    r"(?:static|extern|inline|const|constexpr|volatile|unsigned|signed|struct|union|enum|void|bool|char|short|int|long"
    r"|float|double|size_t|ssize_t|Py[A-Z]\w*|[a-z]\w*_t|template|class|typename|auto|std\s*::)\b"
)
_QUALIFIER: Final = re.compile(
    r"[A-Z](?<![A-Za-z0-9_].)[A-Z0-9_]*(?=\s+(?:(?P<type>" + _TYPE_WORD + r")|[A-Za-z_]\w*[\s*&]+[A-Za-z_]))"
)
"""A word in capitals before a type, or before two more words; the latter counts only after a storage class."""
_STORAGE: Final = re.compile(r"\b(?:static|extern|volatile|inline|const|struct)\s+$")
_TYPES_IN_CAPITALS: Final = frozenset({"FILE", "NULL", "DIR", "TRUE", "FALSE"})
_CLASS_MACRO: Final = re.compile(
    r"\b(?:class|struct|union|enum)\s+([A-Z][A-Z0-9_]+(?:\s*\([^()]*(?:\([^()]*\))?[^()]*\))?)(?=\s+[A-Za-z_][\w:]*\s*(?:final\s*)?[{:<])"
)
_OBJECT_HEAD: Final = re.compile(r"PyObject_(?<!\wPyObject_)(?:HEAD|VAR_HEAD|HEAD_EXTRA)\b[ \t]*;?")
_HEAD_INIT: Final = re.compile(r"Py(?<!\wPy)(?:Var)?Object_HEAD_INIT\s*\([^()]*\)(?=\s*[^\s,])")
"""The first values of a type object: the macro includes its comma."""
_STATEMENT_MACRO: Final = re.compile(
    r"^([ \t]*(?:[A-Z][A-Z0-9]*_\w*|Py_(?:BEGIN|END|UNBLOCK|BLOCK)_\w+)[ \t]*)"
    r"(\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\))?[ \t]*(\n)",
    re.MULTILINE,
)
_TEMPLATE_HOLE: Final = re.compile(r"@(\w*)@")
_FOLLOWED_BY_OPERATOR: Final = re.compile(r"\s*(?:[-+*/%&|^=<>?:,.)\]]|\{)")


def mask_for_parser(code: str, *, cpp: bool) -> str:
    """Return text of the same length that tree-sitter's C and C++ grammars can parse even if they cannot parse `code`.

    Blanked: upper-case qualifiers next to a type or storage class (`NPY_NO_EXPORT int x`). Replaced:
    `PyObject_HEAD` by a field, `PyObject_HEAD_INIT(…)` by a value and a comma, `@t@` of templates by a name, the line
    end after a statement macro by a semicolon (so lines no longer count here, offsets do). `code` itself keeps all of
    it, for code that needs the text of a place.
    """
    text = code
    if "@" in text:
        text = _TEMPLATE_HOLE.sub(lambda found: "_" + found[1] + "_", text)
    text = _QUALIFIER.sub(_qualifier, text)
    if cpp:
        text = _CLASS_MACRO.sub(lambda found: found[0][: found.start(1) - found.start()] + " " * len(found[1]), text)
    if "_HEAD" in text:
        text = _OBJECT_HEAD.sub(lambda found: "int _head_" + " " * (len(found[0]) - 11) + ";", text)
        text = _HEAD_INIT.sub(lambda found: "0" + " " * (len(found[0]) - 2) + ",", text)
    return _STATEMENT_MACRO.sub(lambda found: _terminated(text, found), text)


def _qualifier(found: re.Match[str]) -> str:
    before = found.string[found.start() - 1 : found.start()]
    if before.isalnum() or before in ("_", ".", ">", ":", "#", "@") or found[0] in _TYPES_IN_CAPITALS:
        return found[0]
    if not found["type"] and not _STORAGE.search(found.string, max(0, found.start() - 20), found.start()):
        return found[0]
    return " " * len(found[0])


def _terminated(text: str, found: re.Match[str]) -> str:
    """Replace the line end with a semicolon where one statement can end and another can begin."""
    before = text[max(0, found.start() - 200) : found.start()].rstrip()
    if (before and before[-1] not in ";{}:)") or (before.endswith(")") and not found[2]):
        return found[0]
    if _FOLLOWED_BY_OPERATOR.match(text, found.end()):
        return found[0]
    return found[0][:-1] + ";"
