"""Replace direct uses of the fields of an object's header with the accessors of the C API."""

from __future__ import annotations

from typing import Final

from ftaudit.model import Applicability, Finding, Fix, NoFix, Obstacle
from ftaudit.source.base import Room
from ftaudit.source.build.build_facts import BuildContext, FactKind
from ftaudit.source.build.required_versions import admits_python_before
from ftaudit.source.c.syntax import parse_piece
from ftaudit.source.c.unit import CUnit

_READ: Final = {"ob_refcnt": "Py_REFCNT", "ob_type": "Py_TYPE"}
_STEPS: Final = {"++": "Py_INCREF", "--": "Py_DECREF"}
_SETTERS_SINCE: Final = "3.9"
"""`Py_SET_TYPE` is new in CPython 3.9."""


def use_accessor(unit: CUnit, finding: Finding) -> Fix | NoFix:
    """Return the edit that uses `Py_TYPE`, `Py_SET_TYPE`, `Py_REFCNT`, `Py_INCREF` or `Py_DECREF`.

    Setting a reference count to a number is not mechanical: a free-threaded build keeps it in two parts.
    """
    if finding.location is None:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    at = unit.index_of(finding.location)
    function = unit.function_at(at)
    field = next((name for name in _READ if unit.code.startswith(name, at)), None)
    if function is None:
        return NoFix(obstacle=Obstacle.IN_MACRO)
    if field is None:
        return NoFix(obstacle=Obstacle.NOT_MECHANICAL)
    root = parse_piece(unit.code[function.start : function.end], cpp=unit.cpp).root_node
    node = root.descendant_for_byte_range(at - function.start, at - function.start + len(field))
    access = node.parent if node is not None else None
    if access is None or access.type != "field_expression":
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    base, operator = access.child_by_field_name("argument"), access.child_by_field_name("operator")
    if base is None or operator is None:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    start, end = function.start + access.start_byte, function.start + access.end_byte
    owner = unit.text[function.start + base.start_byte : function.start + base.end_byte]
    if operator.type == ".":
        owner = f"&({owner})"
    around = access.parent
    text = f"{_READ[field]}({owner})"
    match around.type if around is not None else "":
        case "update_expression" if around is not None:
            statement = around.parent
            sign = around.child_by_field_name("operator")
            step = _STEPS.get(sign.type, "") if sign is not None else ""
            if field != "ob_refcnt" or statement is None or statement.type != "expression_statement" or not step:
                return NoFix(obstacle=Obstacle.NOT_MECHANICAL)
            start, end = function.start + around.start_byte, function.start + around.end_byte
            text = f"{step}({owner})"
        case "assignment_expression" if around is not None and around.child_by_field_name("left") == access:
            value, statement = around.child_by_field_name("right"), around.parent
            if field != "ob_type" or value is None or statement is None or statement.type != "expression_statement":
                return NoFix(obstacle=Obstacle.NOT_MECHANICAL)
            if unit.code[end : function.start + value.start_byte].strip() != "=" or _admits_older(unit):
                return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
            start, end = function.start + around.start_byte, function.start + around.end_byte
            given = unit.text[function.start + value.start_byte : function.start + value.end_byte]
            text = f"Py_SET_TYPE({owner}, {given})"
        case "pointer_expression" if around is not None and around.child_by_field_name("operator") is not None:
            sign = around.child_by_field_name("operator")
            if sign is not None and sign.type == "&":
                return NoFix(obstacle=Obstacle.NOT_MECHANICAL)
        case "binary_expression" if around is not None and field == "ob_refcnt":
            sides = [around.child_by_field_name(side) for side in ("left", "right")]
            if any(side is not None and side.text in (b"1", b"2") for side in sides):
                # Another rule checks whether an object may be changed in place.
                return NoFix(obstacle=Obstacle.NOT_MECHANICAL)
        case _:
            pass
    return Fix(applicability=Applicability.SAFE, edits=(unit.edit_text(start, end, text),))


def _admits_older(unit: CUnit) -> bool:
    supported = unit.context.of(Room.BUILD, BuildContext).of(FactKind.PYTHON)
    return any(admits_python_before(fact.value, _SETTERS_SINCE) for fact in supported)
