"""What the exceptions of refused calls say about the arguments that a callable takes.

The messages come from CPython's argument parsers, Cython, PyO3, pybind11, and nanobind, which write them in few forms.
"""

from __future__ import annotations

import re

from ftaudit.stress.child.signatures import parameters_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_NUMBER = r"(\d+|one|two|three|four|five)"
_COUNTS = (
    rf"takes exactly {_NUMBER} (?:positional )?arguments?",
    rf"expected (?:at least |exactly )?{_NUMBER} (?:positional )?arguments?",
    rf"takes at least {_NUMBER} (?:positional )?arguments?",
    rf"takes from {_NUMBER} to \d+ positional",
    rf"takes {_NUMBER} positional arguments? but",
    rf"missing {_NUMBER} required positional arguments?",
)
_NONE = re.compile(r"takes no (?:positional )?arguments|takes 0 positional arguments")
_MISSING = re.compile(r"[Rr]equired (?:positional )?argument '(\w+)'(?: \(pos(?:ition)? (\d+)\))?")
_NAMES = re.compile(r"required positional arguments?: (.*)")
_PLACED = re.compile(r"[Aa]rgument (?:'(\w+)'|(\d+))\b")
_WANTED = (
    r"must be (?:an? |either )?([\w .-]+?)(?: or [\w .]+)?,? not ",
    r"has incorrect type \(expected ([\w.]+)",
    r"[Ee]xpected (?:an? |instance of )?['\"]?([\w.-]+)",
    r"(?:a|an) ([\w-]+) (?:object )?is required",
    r"cannot be (?:converted|cast) (?:to|as) (?:an? )?['\"]?([\w.-]+)",
    r"is not an instance of ['\"]?([\w.]+)",
    r"cannot be interpreted as an (integer)",
    r"is not (iterable|callable|subscriptable)",
    r"must be (?:an? )?([\w.-]+)",
    r"([\w.]+) expected(?:,| for| but|$)",
)
_TYPES = {
    "integer": "int",
    "number": "float",
    "real number": "float",
    "string": "str",
    "unicode": "str",
    "pystring": "str",
    "pylong": "int",
    "pyint": "int",
    "pybytes": "bytes",
    "pylist": "list",
    "pydict": "dict",
    "bytes-like": "bytes",
    "bytes-like object": "bytes",
    "buffer": "bytes",
    "callable": "Callable",
    "iterable": "Iterable",
    "iterator": "Iterator",
    "sequence": "Sequence",
    "mapping": "Mapping",
    "subscriptable": "Sequence",
    "real": "float",
    "file": "IO",
    "file-like": "IO",
}


def improved(signature: list[dict[str, Any]] | None, messages: list[str]) -> list[dict[str, Any]] | None:
    """Return a better signature than the one whose calls raised these messages; `None` if they say nothing new."""
    for text in messages:
        for line in re.findall(r"^\s*\d+\. (.*)$", text, re.MULTILINE):
            known = parameters_in(line)
            if known is not None:
                return known if known != signature else None
    found = [dict(each) for each in signature] if signature is not None else []
    for text in messages:
        _count(found, text)
    for text in messages:
        _type(found, text)
    return found if found and found != signature else None


def _count(found: list[dict[str, Any]], text: str) -> None:
    """Add the parameters that a message asks for."""
    named = _NAMES.search(text)
    if named is not None:
        known = {each["name"] for each in found}
        found += [_parameter(name) for name in re.findall(r"'(\w+)'", named[1]) if name not in known]
        return
    missing = _MISSING.search(text)
    if missing is not None:
        name, place = missing[1], int(missing[2] or 0)
        if all(each["name"] != name for each in found):
            while len(found) < place - 1:
                found.append(_parameter(""))
            found.insert(place - 1 if place else len(found), _parameter(name))
        return
    for pattern in _COUNTS:
        match = re.search(pattern, text)
        if match is not None:
            count = _WORDS.get(match[1]) or int(match[1])
            while sum(not each["keyword"] for each in found) < min(count, 6):
                found.append(_parameter(""))
            for each in [row for row in found if not row["keyword"]][:count]:
                each["required"] = True
            return


def _type(found: list[dict[str, Any]], text: str) -> None:
    """Add the type that a message wants, to the parameter that it names, or to all without a type."""
    for pattern in _WANTED:
        match = re.search(pattern, text)
        if match is None:
            continue
        word = match[1].strip().lower()
        wanted = _TYPES.get(word, match[1].strip())
        if word in ("none", "nonetype", "the", "in", "of", "at", "self"):
            return
        placed = _PLACED.search(text)
        taken = [each for each in found if each["required"]]
        if placed is not None and placed[2] and 0 < int(placed[2]) <= len(taken):
            taken = [taken[int(placed[2]) - 1]]
        elif placed is not None and placed[1]:
            taken = [each for each in found if each["name"] == placed[1]]
        for each in taken:
            if not re.search(rf"\b{re.escape(wanted)}\b", each["annotation"]):
                each["annotation"] = f"{each['annotation']} | {wanted}".removeprefix(" | ")
        return


def _parameter(name: str) -> dict[str, Any]:
    return {"name": name, "required": True, "keyword": False, "annotation": ""}
