"""The edits that declare, in build files, that modules do not use the GIL: Cython, nanobind, SWIG, F2PY."""

from __future__ import annotations

import re
from typing import Final

from ftaudit.model import Applicability, Finding, Fix, NoFix, Obstacle, SourceEdit
from ftaudit.source.base import Unit
from ftaudit.source.python.rewrite import rewriting

_F2PY: Final = "--freethreading-compatible"
_LINES: Final = 15
"""How far below the finding the arguments of a call may be."""
_FIRST_LINES: Final = re.compile(r"#!|[ \t\f]*#.*?coding[:=]")
"""The lines that must stay at the top of a Python file: the interpreter and the encoding (PEP 263)."""


def add_directive_comment(unit: Unit, finding: Finding) -> Fix | NoFix:
    """Return the edit that adds the directive to the comments at the top of a Cython module."""
    line = finding.location.line if finding.location is not None else None
    text = unit.lines[(line or 1) - 1]
    at = line or 1
    if not re.match(r"\s*#\s*cython\s*:", text):
        at = 1
        while at <= len(unit.lines) and at <= 2 and _FIRST_LINES.match(unit.lines[at - 1]):
            at += 1
    start = unit.offset_of(unit.location(at))
    return _fix(unit.edit(start, start, "# cython: freethreading_compatible=True\n"))


def add_directive(unit: Unit, finding: Finding) -> Fix | NoFix:
    """Return the edit that adds the directive to a dictionary of Cython's directives in a build script."""
    import libcst

    place = finding.location
    if place is None or not unit.path.endswith(".py"):
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    try:
        text = rewriting(unit)
    except libcst.ParserSyntaxError:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    first = unit.offset_of(unit.location(place.line or 1))
    after = first + len(unit.lines[(place.line or 1) - 1].encode())
    for start, argument in text.of(libcst.Arg):
        named = argument.keyword is not None and argument.keyword.value in ("compiler_directives", "cython_directives")
        if named and first <= start < after and isinstance(argument.value, libcst.Dict):
            return _fix(_first_element(unit, text.span(argument.value)[0], '"freethreading_compatible": True'))
    for start, call in text.of(libcst.Call):
        if first <= start < after and unit.data[start:].startswith(b"cythonize("):
            if any(each.keyword is not None and each.keyword.value == "compiler_directives" for each in call.args):
                return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
            end = text.span(call)[1] - 1
            given = unit.data[:end].rstrip()
            comma = "" if given.endswith((b",", b"(")) else ","
            at = len(given)
            return _fix(unit.edit(at, at, f'{comma} compiler_directives={{"freethreading_compatible": True}}'))
    return NoFix(obstacle=Obstacle.UNKNOWN_FORM)


def _first_element(unit: Unit, opened: int, element: str) -> SourceEdit:
    """Return the edit that adds a first element after a bracket, on its own line if the other elements have lines."""
    after = unit.data[opened + 1 :]
    blank = re.match(rb"[ \t]*\n([ \t]*)", after)
    if blank is not None:
        indent = blank[1].decode()
        at = opened + 1 + blank.end()
        return unit.edit(at, at, f"{element},\n{indent}")
    empty = after.lstrip()[:1] in (b"}", b"]")
    return unit.edit(opened + 1, opened + 1, element if empty else f"{element}, ")


def add_nanobind_flag(unit: Unit, finding: Finding) -> Fix | NoFix:
    """Return the edit that gives `nanobind_add_module` the flag `FREE_THREADED`, after the name of the module."""
    start = _start(unit, finding)
    found = re.compile(rb"nanobind_add_module\s*\(\s*[^\s()]+", re.IGNORECASE).search(unit.data, start)
    if found is None:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    return _fix(unit.edit(found.end(), found.end(), " FREE_THREADED"))


def add_swig_flag(unit: Unit, finding: Finding) -> Fix | NoFix:
    """Return the edit that gives SWIG the option `-nogil`."""
    start = _start(unit, finding)
    if unit.path.endswith(".py"):
        found = re.compile(rb"swig_opts\s*=\s*\[").search(unit.data, start, _stop(unit, finding))
        if found is None:
            return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
        return _fix(_first_element(unit, found.end() - 1, '"-nogil"'))
    if unit.path.endswith((".txt", ".cmake")):
        return _fix(unit.edit(start, start, "list(APPEND CMAKE_SWIG_FLAGS -nogil)\n"))
    return NoFix(obstacle=Obstacle.UNKNOWN_FORM)


def add_f2py_option(unit: Unit, finding: Finding) -> Fix | NoFix:
    """Return the edit that gives F2PY the option that declares."""
    start, stop = _start(unit, finding), _stop(unit, finding)
    for pattern, option in (
        (rb"""(?<=['"])numpy\.f2py(?P<end>['"])""", "{quote}, {quote}" + _F2PY + "{quote}"),
        (rb"\bnumpy\.f2py\b(?P<end>)", f" {_F2PY}"),
        (rb"""['"]@INPUT@(?P<end>['"])""", "{quote}, {quote}" + _F2PY + "{quote}"),
    ):
        found = re.compile(pattern).search(unit.data, start, stop)
        if found is not None:
            quote = found["end"].decode()
            return _fix(unit.edit(found.start("end"), found.end("end"), option.format(quote=quote)))
    return NoFix(obstacle=Obstacle.UNKNOWN_FORM)


def _start(unit: Unit, finding: Finding) -> int:
    return unit.offset_of(unit.location(finding.location.line or 1 if finding.location is not None else 1))


def _stop(unit: Unit, finding: Finding) -> int:
    line = finding.location.line or 1 if finding.location is not None else 1
    last = min(len(unit.lines), line + _LINES)
    return unit.offset_of(unit.location(last)) + len(unit.lines[last - 1].encode())


def _fix(edit: SourceEdit) -> Fix:
    return Fix(applicability=Applicability.SUGGESTED, edits=(edit,))
