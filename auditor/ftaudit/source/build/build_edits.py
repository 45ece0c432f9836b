"""Edits of build files: version floors, gates of the limited API, selectors of cibuildwheel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ftaudit.model import Applicability, Finding, Fix, NoFix, Obstacle, SourceEdit
from ftaudit.source.base import Room, Unit
from ftaudit.source.build.build_facts import BuildContext, BuildFact, FactKind
from ftaudit.source.build.required_versions import parse_requirement
from ftaudit.source.python.rewrite import Rewriting, rewriting

if TYPE_CHECKING:
    import libcst

_FREE_THREADED: Final = 'sysconfig.get_config_var("Py_GIL_DISABLED")'
_LIMITED: Final = "py_limited_api"


def facts_at(unit: Unit, finding: Finding, *kinds: FactKind) -> Iterator[BuildFact]:
    """Yield the facts of the build at the place of a finding."""
    place = finding.location
    for fact in unit.context.of(Room.BUILD, BuildContext).of(*kinds):
        if place is None or (fact.path, fact.line) != (place.path, place.line):
            continue
        if place.column is None or place.column == fact.column:
            yield fact


def raise_floor(unit: Unit, finding: Finding, first: dict[str, str]) -> Fix | NoFix:
    """Return the edit that requires the first release that supports free threading, by the distribution's name."""
    for fact in facts_at(unit, finding, FactKind.REQUIRES):
        requirement = parse_requirement(fact.value)
        if requirement is None or (name := requirement.name.lower()) not in first:
            continue
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        marker = f"; {requirement.marker}" if requirement.marker else ""
        wanted = f"{requirement.name}{extras}>={first[name]}{marker}"
        for start, end in _written(unit, fact.line, fact.value):
            if '"' in marker and b'"' in unit.data[max(0, start - 1) : start]:
                wanted = wanted.replace('"', "'")
            return _suggested(unit.edit(start, end, wanted))
        pinned = next((each.version for each in requirement.specifier), "")
        for start, end in _written(unit, fact.line, pinned) if pinned else ():
            return _suggested(unit.edit(start, end, first[name] if first[name].count(".") > 1 else f"{first[name]}.0"))
    return NoFix(obstacle=Obstacle.UNKNOWN_FORM)


def raise_version(unit: Unit, finding: Finding, version: str) -> Fix | NoFix:
    """Return the edit that replaces the first quoted version on the finding's line."""
    place = finding.location
    line = unit.lines[(place.line or 1) - 1] if place is not None else ""
    found = re.search(r"""["']([\^~=<> ]*\d[\w.]*)["']""", line)
    if place is None or found is None:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    start = _line_start(unit, place.line or 1) + len(line[: found.start(1)].encode())
    return _suggested(unit.edit(start, start + len(found[1].encode()), version))


def drop_word(unit: Unit, line: int, word: str) -> Fix | NoFix:
    """Return the edit that removes a word from a line: an element of a list, or a word of a quoted text.

    A line with nothing else on it is removed.
    """
    text = unit.lines[line - 1]
    quoted = re.escape(word)
    for pattern in (
        rf"""(?P<all>^\s*["']{quoted}["']\s*,?\s*$)""",
        rf"""(?P<out>["']{quoted}["']\s*,\s*)""",
        rf"""(?P<out>\s*,\s*["']{quoted}["'])""",
        rf"""(?P<out>(?<=["'\s]){quoted}\s+)""",
        rf"""(?P<out>\s+{quoted}(?=["']))""",
        rf"""["'](?P<out>{quoted})["']""",
        rf"""(?P<all>^\s*[\w-]+\s*[:=]\s*["']?{quoted}["']?\s*$)""",
        rf"""(?P<all>^\s*{quoted}\s*=.*$)""",
    ):
        found = re.search(pattern, text)
        if found is None:
            continue
        start = _line_start(unit, line)
        if "all" in found.groupdict():
            return _suggested(unit.edit(start, min(len(unit.data), start + len(text.encode()) + 1), ""))
        first = start + len(text[: found.start("out")].encode())
        return _suggested(unit.edit(first, first + len(found["out"].encode()), ""))
    return NoFix(obstacle=Obstacle.UNKNOWN_FORM)


def gate_limited_api(unit: Unit, finding: Finding) -> Fix | NoFix:
    """Return the edits of a build script that ask for the limited API only if the interpreter has one.

    On GIL-enabled builds the script does the same as before. Other build files have no such condition.
    """
    import libcst

    place = finding.location
    if place is None or not unit.path.endswith(".py"):
        return NoFix(obstacle=Obstacle.NOT_MECHANICAL)
    try:
        text = rewriting(unit)
    except libcst.ParserSyntaxError:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    first = _line_start(unit, place.line or 1)
    after = first + len(unit.lines[(place.line or 1) - 1].encode())
    at = unit.offset_of(place)
    gates = list(_gates(unit, text, first, after))
    here = [gate for gate in gates if gate[0] <= at < gate[1] and at > first]
    chosen = min(here, key=lambda gate: gate[1] - gate[0], default=gates[0] if gates else None)
    if chosen is None:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    return Fix(applicability=Applicability.SAFE, edits=(*text.imported("sysconfig"), chosen[2]))


def _gates(unit: Unit, text: Rewriting, first: int, after: int) -> Iterator[tuple[int, int, SourceEdit]]:
    """Yield code on a line that a condition can guard, with its span: arguments, items, elements, then statements."""
    import libcst

    for start, argument in text.of(libcst.Arg):
        if first <= start < after and argument.keyword is not None and argument.keyword.value == _LIMITED:
            begin, end = text.span(argument.value)
            said = unit.data[begin:end].decode()
            gated = f"not {_FREE_THREADED}" if said == "True" else f"not {_FREE_THREADED} and ({said})"
            yield start, end, unit.edit(begin, end, gated)
    for start, item in text.of(libcst.DictElement):
        if first <= start < after and _text(item.key) == _LIMITED:
            end = text.span(item.value)[1]
            said = unit.data[start:end].decode()
            yield start, end, unit.edit(start, end, f"**({{}} if {_FREE_THREADED} else {{{said}}})")
    for _, element in text.of(libcst.Element):
        start, end = text.span(element.value)
        if not first <= start < after or not isinstance(next(text.above(element)), libcst.List):
            continue
        match element.value:
            case libcst.Tuple(elements=[libcst.Element(value=name), *_]) if _text(name) == "Py_LIMITED_API":
                start, end = _with_brackets(unit.data, start, end)
            case libcst.SimpleString(value=value) if "DPy_LIMITED_API" in value:
                pass
            case _:
                continue
        said = unit.data[start:end].decode()
        yield start, end, unit.edit(start, end, f"*([] if {_FREE_THREADED} else [{said}])")
    for start, statement in text.of(libcst.SimpleStatementLine):
        end = text.span(statement)[1]
        indent = unit.data[unit.data.rfind(b"\n", 0, start) + 1 : start].decode()
        alone = len(statement.body) == 1 and b"\n" not in unit.data[start:end] and not indent.strip()
        if first <= start < after and alone and not isinstance(statement.body[0], libcst.Return):
            yield start, end, unit.edit(start, start, f"if not {_FREE_THREADED}:\n{indent}    ")


def _with_brackets(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Return the span of a tuple with its own brackets, which libcst leaves out of the span."""
    if data[start : start + 1] == b"(":
        return start, end
    return data.rfind(b"(", 0, start), data.find(b")", end) + 1


def _text(node: libcst.CSTNode) -> str | None:
    import libcst

    return str(node.evaluated_value) if isinstance(node, libcst.SimpleString) else None


def _written(unit: Unit, line: int, text: str) -> Iterator[tuple[int, int]]:
    """Yield the positions of a text on a line, in bytes."""
    found = unit.lines[line - 1].find(text)
    if found >= 0:
        start = _line_start(unit, line) + len(unit.lines[line - 1][:found].encode())
        yield start, start + len(text.encode())


def _line_start(unit: Unit, line: int) -> int:
    return unit.offset_of(unit.location(line))


def _suggested(edit: SourceEdit) -> Fix:
    return Fix(applicability=Applicability.SUGGESTED, edits=(edit,))
