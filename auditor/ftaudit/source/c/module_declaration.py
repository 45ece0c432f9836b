"""The edits that declare, in C and C++, that a module does not use the GIL: a slot, a call, or a macro's argument."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ftaudit.model import Applicability, Finding, Fix, NoFix, Obstacle, SourceEdit
from ftaudit.source.c.functions import Function
from ftaudit.source.c.syntax import parse_piece
from ftaudit.source.c.text import closing
from ftaudit.source.c.unit import CUnit

if TYPE_CHECKING:
    from tree_sitter import Node

_END_OF_SLOTS: Final = re.compile(
    r"\{\s*(?:\.slot\s*=\s*)?(?:0|NULL)\s*(?:,\s*(?:\.value\s*=\s*)?(?:NULL|nullptr|0))?\s*,?\s*\}|\bPySlot_END\b"
)
_CREATES: Final = re.compile(r"PyModule_(?:Create2?|FromDefAndSpec2?)")
_MACRO_CREATES: Final = re.compile(r"\b[A-Z]\w*CREATE\w*\s*\(\s*&")
_ASSIGNS: Final = re.compile(r"(?:.*[;{])?\s*\(?(\w+)\)?\s*=\s*PyModule_Create", re.DOTALL)
_INDENT: Final = re.compile(r"[ \t]*")


def declare_module(unit: CUnit, finding: Finding) -> Fix | NoFix:
    """Return the edit that adds the slot of a multi-phase module, or the call of a single-phase one.

    Both are under the condition that older and GIL-enabled builds need; the call applies to a created module.
    """
    if finding.location is None:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    at = unit.index_of(finding.location)
    function = unit.function_at(at) or next((each for each in unit.functions if each.start <= at < each.end), None)
    if function is None:
        return _add_slot(unit, at)
    edit = _after_creation(unit, function)
    if edit is None:
        # The entry point calls a function that makes the module.
        makers = [each for each in unit.functions if each is not function and _creations(unit, each)]
        edit = _after_creation(unit, makers[0]) if len(makers) == 1 else None
    if edit is None:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    return Fix(applicability=Applicability.SUGGESTED, edits=(edit,))


def _add_slot(unit: CUnit, at: int) -> Fix | NoFix:
    opened = unit.code.find("{", at)
    stop = unit.code.find(";", at)
    end = closing(unit.code, opened) if 0 <= opened < stop or stop < 0 else -1
    if end < 0:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    ends = list(_END_OF_SLOTS.finditer(unit.code, opened + 1, end))
    if not ends:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    last = ends[-1]
    new = last[0] == "PySlot_END"
    slot = "PySlot_DATA(Py_mod_gil, Py_MOD_GIL_NOT_USED)," if new else "{Py_mod_gil, Py_MOD_GIL_NOT_USED},"
    first = unit.text.rfind("\n", 0, last.start()) + 1
    before = unit.text[first : last.start()]
    alone = not before.strip()
    indent = before if alone else "    "
    text = f"{indent}{slot}\n" if new else f"#ifdef Py_mod_gil\n{indent}{slot}\n#endif\n"
    edit = (
        unit.edit_text(first, first, text) if alone else unit.edit_text(last.start(), last.start(), f"\n{text}{indent}")
    )
    return Fix(applicability=Applicability.SUGGESTED, edits=(edit,))


def _creators(unit: CUnit) -> re.Pattern[str]:
    """Return a pattern for the names of calls that make a module: the C API's, and macros of the project for them."""
    macros = [name for name, macro in unit.preprocessed.macros.items() if _CREATES.search(macro.body)]
    names = "|".join((_CREATES.pattern, *map(re.escape, macros)))
    return re.compile(rf"\b(?:{names})\s*\(")


def _creations(unit: CUnit, function: Function) -> list[int]:
    return [found.start() for found in _creators(unit).finditer(unit.code, function.body, function.end)]


def _after_creation(unit: CUnit, function: Function) -> SourceEdit | None:
    """Return the edit that declares directly after the only place of a function that creates the module."""
    made = _creations(unit, function)
    if not made:
        # A macro of another file makes the module: its name says so.
        made = [found.start() for found in _MACRO_CREATES.finditer(unit.code, function.body, function.end)]
    if len(made) != 1:
        return None
    root = parse_piece(unit.code[function.start : function.end], cpp=unit.cpp).root_node
    node = root.descendant_for_byte_range(made[0] - function.start, made[0] - function.start + 1)
    name, statement, parts = None, None, list(_upwards(node))
    for above in parts:
        match above.type:
            case "init_declarator":
                name = _identifier(above.child_by_field_name("declarator"))
            case "assignment_expression":
                name = _text(above.child_by_field_name("left"))
            case "return_statement" | "expression_statement" | "declaration" | "if_statement":
                statement = above
                break
            case _:
                pass
    if statement is None or statement.parent is None or statement.parent.type != "compound_statement":
        return None
    start, end = function.start + statement.start_byte, function.start + statement.end_byte
    first = unit.text.rfind("\n", 0, start) + 1
    found = _INDENT.match(unit.text, first)
    indent = found[0] if found is not None else "    "
    step = "\t" if indent.endswith("\t") else "    "
    if statement.type == "return_statement":
        value = unit.text[start:end].removeprefix("return").strip().removesuffix(";").strip()
        text = f"PyObject *module = {value};\n{_call('module', indent, step)}\n{indent}return module;"
        if re.search(r"\bmodule\b", unit.code[function.body : function.end]):
            return None
        return unit.edit_text(start, end, text)
    if name is None:
        name = _assigned_by_macro(unit, made[0], function.end)
    if name is None or re.fullmatch(r"[\w.>\-]+", name) is None:
        return None
    line_end = unit.text.find("\n", end)
    rest = unit.code[end : line_end if line_end >= 0 else len(unit.code)]
    if rest.strip():
        return unit.edit_text(end, end, f"\n{_call(name, indent, step)}\n{indent}")
    at = line_end if line_end >= 0 else len(unit.text)
    return unit.edit_text(at, at, f"\n{_call(name, indent, step)}")


def _assigned_by_macro(unit: CUnit, at: int, end: int) -> str | None:
    """Return the argument to which a macro of the project assigns the module: `MOD_DEF(m, "name", doc, methods)`."""
    opened = unit.code.find("(", at, end)
    closed = closing(unit.code, opened) if opened >= 0 else -1
    macro = unit.preprocessed.macros.get(unit.code[at:opened].strip())
    if closed < 0 or macro is None or macro.parameters is None:
        return None
    target = _ASSIGNS.match(macro.body)
    if target is None or target[1] not in macro.parameters:
        return None
    arguments = unit.code[opened + 1 : closed].split(",")
    position = macro.parameters.index(target[1])
    # An argument before it may have commas of its own, and the name would be another one.
    whole = all(re.fullmatch(r"[\s\w\"&.>-]+", each) for each in arguments[: position + 1])
    return arguments[position].strip() if whole and position < len(arguments) else None


def _call(name: str, indent: str, step: str) -> str:
    return (
        f"#ifdef Py_GIL_DISABLED\n{indent}if ({name} != NULL) {{\n"
        f"{indent}{step}PyUnstable_Module_SetGIL({name}, Py_MOD_GIL_NOT_USED);\n{indent}}}\n#endif"
    )


def _upwards(node: Node | None) -> Iterator[Node]:
    while node is not None:
        yield node
        node = node.parent


def _identifier(node: Node | None) -> str | None:
    while node is not None and node.type == "pointer_declarator":
        node = node.child_by_field_name("declarator")
    return _text(node) if node is not None and node.type == "identifier" else None


def _text(node: Node | None) -> str | None:
    return None if node is None or node.text is None else node.text.decode("latin-1")


def declare_in_macro(unit: CUnit, finding: Finding, argument: str) -> Fix | NoFix:
    """Return the edit that gives the macro that makes a module one more argument."""
    if finding.location is None:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    at = unit.index_of(finding.location)
    opened = unit.code.find("(", at)
    end = closing(unit.code, opened) if opened >= 0 else -1
    if end < 0:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    macro = unit.preprocessed.macros.get(unit.code[at:opened].strip())
    if macro is not None and "__VA_ARGS__" not in macro.body:
        return NoFix(obstacle=Obstacle.IN_MACRO)
    return Fix(applicability=Applicability.SUGGESTED, edits=(unit.edit_text(end, end, f", {argument}"),))
