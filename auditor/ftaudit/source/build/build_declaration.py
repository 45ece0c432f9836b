"""The edits that declare, in build files, that modules do not use the GIL: Cython, nanobind, SWIG, F2PY."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ftaudit.model import Applicability, Finding, Fix, NoFix, Obstacle, SourceEdit
from ftaudit.source.base import Unit
from ftaudit.source.python.rewrite import Rewriting, rewriting

if TYPE_CHECKING:
    import libcst

_F2PY: Final = "--freethreading-compatible"
_DIRECTIVE: Final = "freethreading_compatible"
_DIRECTIVES: Final = f'{{"{_DIRECTIVE}": True}}'
_HOLDERS: Final = ("compiler_directives", "cython_directives")
_CYTHONIZE: Final = re.compile(rb"(?:\w+\s*\.\s*)*cythonize\s*\(")
_CALLED: Final = re.compile(rb"dict\s*\(|(?:\w+\s*\.\s*)*cythonize\s*\(")
_OF_MESON: Final = "-Xfreethreading_compatible=True"
_MESON_TEXT: Final = re.compile(rb"'(?:\\.|[^'\\\n])*'|#[^\n]*")
_MESON_LIST: Final = re.compile(rb"\b(?:arguments|\w*cython\w*)\s*(?::|\+?=)\s*\[")
_MESON_MODULE: Final = re.compile(rb"\bextension_module\s*\(")
_LINES: Final = 40
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
    if place is not None and unit.path.endswith("meson.build"):
        return _add_meson_argument(unit, finding)
    if place is None or not unit.path.endswith(".py"):
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    try:
        text = rewriting(unit)
    except libcst.ParserSyntaxError:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    first = unit.offset_of(unit.location(place.line or 1))
    after = first + len(unit.lines[(place.line or 1) - 1].encode())
    for start, value in _directives(text):
        if first <= start < after:
            edit = _with_item(unit, text, value, _DIRECTIVE, "True")
            return NoFix(obstacle=Obstacle.UNKNOWN_FORM) if edit is None else _fix(edit)
    for start, value in _options(text):
        if first <= start < after:
            edit = _with_item(unit, text, value, "compiler_directives", _DIRECTIVES)
            return NoFix(obstacle=Obstacle.UNKNOWN_FORM) if edit is None else _fix(edit)
    for start, call in text.of(libcst.Call):
        if first <= start < after and _CYTHONIZE.match(unit.data, start):
            given = {each.star or (each.keyword.value if each.keyword else "") for each in call.args}
            if given & {"**", "compiler_directives"}:
                return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
            edit = _with_item(unit, text, call, "compiler_directives", _DIRECTIVES)
            return NoFix(obstacle=Obstacle.UNKNOWN_FORM) if edit is None else _fix(edit)
    return NoFix(obstacle=Obstacle.UNKNOWN_FORM)


def _directives(text: Rewriting) -> Iterator[tuple[int, libcst.BaseExpression]]:
    """Yield where directives are written, and the dictionary: for an argument, an entry of options, and a variable."""
    import libcst

    named: set[str] = set()
    for start, argument in text.of(libcst.Arg):
        if argument.keyword is not None and argument.keyword.value in _HOLDERS:
            yield start, argument.value
            yield text.span(argument.value)[0], argument.value
            if isinstance(argument.value, libcst.Name):
                named.add(argument.value.value)
    for start, element in text.of(libcst.DictElement):
        if isinstance(element.key, libcst.SimpleString) and element.key.evaluated_value in _HOLDERS:
            yield start, element.value
            yield text.span(element.value)[0], element.value
    yield from _assigned(text, named)


def _options(text: Rewriting) -> Iterator[tuple[int, libcst.BaseExpression]]:
    """Yield where options are assigned that `cythonize(…, **options)` gets."""
    import libcst

    named: set[str] = set()
    for start, call in text.of(libcst.Call):
        if _CYTHONIZE.match(text.unit.data, start):
            named |= {
                each.value.value for each in call.args if each.star == "**" and isinstance(each.value, libcst.Name)
            }
    yield from _assigned(text, named)


def _assigned(text: Rewriting, names: set[str]) -> Iterator[tuple[int, libcst.BaseExpression]]:
    """Yield where the names are assigned, and their values."""
    import libcst

    for start, assigned in text.of(libcst.Assign):
        target = assigned.targets[0].target
        if isinstance(target, libcst.Name) and target.value in names:
            yield start, assigned.value


def _with_item(unit: Unit, text: Rewriting, value: libcst.BaseExpression, name: str, item: str) -> SourceEdit | None:
    """Return the edit that adds an item to a dictionary, to a call of `dict`, or to the arguments of `cythonize`."""
    import libcst

    start, end = text.span(value)
    match value:
        case libcst.Dict():
            return _first_element(unit, start, f'"{name}": {item}')
        case libcst.Call() if _CALLED.match(unit.data, start):
            given = unit.data[: end - 1].rstrip()
            comma = "" if given.endswith((b",", b"(")) else ","
            space = "" if given.endswith(b"(") else " "
            return unit.edit(len(given), len(given), f"{comma}{space}{name}={item}")
        case _:
            return None


def _add_meson_argument(unit: Unit, finding: Finding) -> Fix | NoFix:
    """Return the edit that gives Cython's option to a list of its arguments, or to an extension module without one."""
    start, stop = _start(unit, finding), _stop(unit, finding)
    line = start + len(unit.lines[(finding.location.line or 1 if finding.location is not None else 1) - 1].encode())
    # Neither texts nor comments hold code: texts become words, comments blanks.
    code = _MESON_TEXT.sub(lambda found: (b" " if found[0][:1] == b"#" else b"x") * len(found[0]), unit.data)
    listed = _MESON_LIST.search(code, start, line)
    if listed is not None:
        return _fix(_first_element(unit, listed.end() - 1, f"'{_OF_MESON}'"))
    called = _MESON_MODULE.search(code, start, line)
    close = _closing(code, called.end() - 1) if called is not None else -1
    if called is None or not 0 < close <= stop or b"cython_args" in code[called.end() : close]:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    at = len(code[:close].rstrip())
    comma = "" if code[at - 1 : at] == b"," else ","
    lines = unit.data[called.end() : at].split(b"\n")
    indent = lines[-1][: len(lines[-1]) - len(lines[-1].lstrip())].decode() if len(lines) > 1 else ""
    after = f"{comma}\n{indent}" if len(lines) > 1 else f"{comma} "
    end = "," if comma == "" else ""
    return _fix(unit.edit(at, at, f"{after}cython_args : ['{_OF_MESON}']{end}"))


def _closing(code: bytes, opened: int) -> int:
    """Return the place of the bracket that closes one; -1 if there is none."""
    depth = 0
    for found in re.compile(rb"[()\[\]{}]").finditer(code, opened):
        depth += 1 if found[0] in b"([{" else -1
        if depth == 0:
            return found.start()
    return -1


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
