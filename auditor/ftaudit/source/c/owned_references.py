"""Make a borrowed reference an owned one: the borrowing call is replaced, and every way out releases the reference.

If the function's own text does not show that, it gets no fix but the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ftaudit.model import Applicability, Finding, Fix, NoFix, Obstacle, SourceEdit
from ftaudit.source.c.file import Call
from ftaudit.source.c.functions import Function
from ftaudit.source.c.strong_calls import STRONG, StrongCall, provide
from ftaudit.source.c.syntax import parse_piece
from ftaudit.source.c.unit import CUnit

if TYPE_CHECKING:
    from tree_sitter import Node

_HEADERS: Final = (".h", ".hh", ".hpp", ".hxx", ".inc", ".ipp", ".tcc")
_LOOPS: Final = frozenset({"for_statement", "while_statement", "do_statement", "for_range_loop"})
_PLAIN: Final = re.compile(r"NULL|nullptr|-?\d+[uUlL]*|[A-Za-z_]\w*|Py_(?:None|True|False)")
_RETURN_TYPES: Final = re.compile(
    r"(?:const\s+)?(?:PyObject\s*\*|int|long|unsigned|Py_ssize_t|Py_hash_t|double|size_t|bool|void\s*\*)"
)
_QUALIFIERS: Final = re.compile(r"\b(?:static|inline|extern)\b\s*")
_LEAVING_MACRO: Final = re.compile(r"[A-Z][A-Z0-9_]{2,}")
_HARMLESS_MACROS: Final = frozenset({"DEBUG", "UNUSED", "NULL"})
_STEALS: Final = re.compile(
    r"PyList_SET_ITEM|PyList_SetItem|PyTuple_SET_ITEM|PyTuple_SetItem|PyStructSequence_S(?:ET_ITEM|etItem)"
    r"|PyModule_AddObject|PyErr_Restore|PyErr_SetRaisedException|PyException_Set\w+|PyUnicode_Append\w*|Py_X?SETREF"
    r"|PyCell_SET|Py_CLEAR|PyBytes_Concat\w*|Py_SETREF"
)
_DERIVES: Final = re.compile(
    r"PyTuple_G(?:ET_ITEM|etItem)|PyList_G(?:ET_ITEM|etItem)|PyDict_GetItem\w*|PySequence_Fast_(?:GET_ITEM|ITEMS)"
    r"|PyBytes_A(?:S_STRING|sString)|PyByteArray_A(?:S_STRING|sString)|PyUnicode_AsUTF8\w*|PyUnicode_\w*DATA"
    r"|PyCell_GET|PyWeakref_G(?:ET_OBJECT|etObject)|PyModule_Get(?:Dict|State)|PyMethod_GET_\w+"
)
"""Calls whose result lives only as long as their argument."""
_NEW: Final = ("Py_NewRef", "Py_XNewRef")
_COUNTS_UP: Final = ("Py_INCREF", "Py_XINCREF")


class _Refused(Exception):
    """There is no fix."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


def own_reference(unit: CUnit, finding: Finding) -> Fix | NoFix:
    """Return the edits that make a call's borrowed reference a strong one, released on every path."""
    if unit.path.endswith(_HEADERS):
        return NoFix(obstacle=Obstacle.IN_HEADER)
    if finding.location is None:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    at = unit.index_of(finding.location)
    call = next((one for one in unit.calls(*STRONG) if one.start == at), None)
    if call is None or call.function is None or not call.function.sure:
        return NoFix(obstacle=Obstacle.UNKNOWN_FORM)
    try:
        return _Owner(unit, call, call.function, STRONG[call.name]).fix()
    except _Refused as refused:
        return NoFix(obstacle=refused.obstacle)


@dataclass(slots=True)
class _Owner:
    unit: CUnit
    call: Call
    function: Function
    strong: StrongCall
    edits: list[SourceEdit] = field(default_factory=list)
    safe: bool = True
    base: int = 0

    def fix(self) -> Fix:
        self.base = self.function.start
        code = self.unit.code[self.function.start : self.function.end]
        root = parse_piece(code, cpp=self.unit.cpp).root_node
        node = root.descendant_for_byte_range(self.call.start - self.base, self.call.end - self.base)
        while node is not None and node.type != "call_expression":
            node = node.parent
        if node is None or self.start(node) != self.call.start:
            raise _Refused(Obstacle.UNKNOWN_FORM)
        self.safe = not self.unit.cpp
        self.replace(node)
        self.provide()
        applicability = Applicability.SAFE if self.safe else Applicability.SUGGESTED
        return Fix(applicability=applicability, edits=tuple(self.edits))

    # Places and text

    def start(self, node: Node) -> int:
        return self.base + int(node.start_byte)

    def end(self, node: Node) -> int:
        return self.base + int(node.end_byte)

    def code(self, node: Node) -> str:
        return self.unit.code[self.start(node) : self.end(node)]

    def text(self, node: Node) -> str:
        return self.unit.text[self.start(node) : self.end(node)]

    def indent(self, offset: int) -> str:
        first = self.unit.text.rfind("\n", 0, offset) + 1
        line = self.unit.text[first:offset]
        return line[: len(line) - len(line.lstrip())]

    def edit(self, start: int, end: int, text: str) -> None:
        self.edits.append(self.unit.edit_text(start, end, text))

    def undivided(self, start: int, end: int) -> None:
        """Refuse a stretch that preprocessor conditions divide."""
        if re.search(r"^[ \t]*#", self.unit.uncommented[start:end], re.MULTILINE):
            raise _Refused(Obstacle.CONDITIONAL)

    # The call

    def replace(self, node: Node) -> None:
        value, holder = node, node.parent
        while holder is not None and holder.type in ("parenthesized_expression", "cast_expression"):
            value, holder = holder, holder.parent
        owned = False
        if holder is not None and holder.type == "argument_list":
            outer = holder.parent
            if outer is None or outer.type != "call_expression" or self.callee(outer) not in _NEW:
                raise _Refused(Obstacle.IN_ARGUMENT)
            if len(holder.named_children) != 1:
                raise _Refused(Obstacle.IN_ARGUMENT)
            owned, value, holder = True, outer, outer.parent
            if not self.strong.through_pointer:
                if self.strong.unchecked:
                    self.safe = False
                self.undivided(self.start(outer), self.end(outer))
                self.edit(self.start(outer), self.end(outer), f"{self.strong.name}({self.arguments()})")
                return
            while holder is not None and holder.type in ("parenthesized_expression", "cast_expression"):
                value, holder = holder, holder.parent
        if holder is None:
            raise _Refused(Obstacle.UNKNOWN_FORM)
        match holder.type:
            case "init_declarator":
                self.in_declaration(holder, value, owned=owned)
            case "assignment_expression":
                self.in_assignment(holder, value, owned=owned)
            case "return_statement":
                if not owned:
                    raise _Refused(Obstacle.RETURNED)
                self.in_return(holder, value)
            case _:
                raise _Refused(Obstacle.IN_ARGUMENT)

    def arguments(self) -> str:
        return self.unit.text[self.call.open + 1 : self.call.end - 1].rstrip()

    def in_declaration(self, declarator: Node, value: Node, *, owned: bool) -> None:
        declaration = declarator.parent
        pointer = declarator.child_by_field_name("declarator")
        kind = declaration.child_by_field_name("type") if declaration is not None else None
        if declaration is None or declaration.type != "declaration" or pointer is None or kind is None:
            raise _Refused(Obstacle.IN_ARGUMENT)
        names = [child for child in declaration.named_children if child.type.endswith("declarator")]
        block = declaration.parent
        if (
            len(names) != 1
            or block is None
            or block.type != "compound_statement"
            or pointer.type != "pointer_declarator"
        ):
            raise _Refused(Obstacle.UNKNOWN_FORM)
        inner = pointer.child_by_field_name("declarator")
        if inner is None or inner.type != "identifier" or self.code(declaration).lstrip().startswith("static"):
            raise _Refused(Obstacle.UNKNOWN_FORM)
        name = self.code(inner)
        if self.strong.through_pointer:
            if self.code(kind) != "PyObject" or value.type == "cast_expression":
                raise _Refused(Obstacle.UNKNOWN_FORM)
            head = self.unit.text[self.start(declaration) : self.end(pointer)]
            self.statement(declaration, name, f"{head};")
        else:
            self.rename()
        if not owned:
            self.release(name, declaration, block)

    def in_assignment(self, assignment: Node, value: Node, *, owned: bool) -> None:
        target, statement = assignment.child_by_field_name("left"), assignment.parent
        if target is None or statement is None or statement.type != "expression_statement":
            raise _Refused(Obstacle.IN_ARGUMENT)
        block = statement.parent
        name = self.code(target)
        if target.type != "identifier" or not self.unit.is_local(self.function, name):
            raise _Refused(Obstacle.KEPT)
        if any(parameter.name == name for parameter in self.function.parameters):
            raise _Refused(Obstacle.KEPT)
        if self.code(assignment)[len(name) :].lstrip()[:1] != "=":
            raise _Refused(Obstacle.UNKNOWN_FORM)
        if re.search(rf"\b{name}\b", self.unit.code[self.call.open : self.call.end]):
            raise _Refused(Obstacle.KEPT)
        if block is None or block.type != "compound_statement":
            raise _Refused(Obstacle.UNKNOWN_FORM)
        if self.strong.through_pointer:
            declared = re.compile(rf"\bPyObject\s*\*\s*(?:\w+\s*(?:=[^;,]*)?,\s*\*\s*)*{name}\b")
            is_object = declared.search(self.unit.code, self.function.body, self.call.start)
            if value.type == "cast_expression" or not is_object:
                raise _Refused(Obstacle.UNKNOWN_FORM)
            self.statement(statement, name, "")
        else:
            self.rename()
        if not owned:
            self.release(name, statement, block, declared_elsewhere=True)

    def in_return(self, statement: Node, value: Node) -> None:
        block = statement.parent
        if block is None or block.type != "compound_statement" or value.type == "cast_expression":
            raise _Refused(Obstacle.UNKNOWN_FORM)
        name = self.fresh("value")
        indent = self.indent(self.start(statement))
        self.statement(statement, name, f"PyObject *{name};", f"\n{indent}return {name};")

    def fresh(self, name: str) -> str:
        used = set(re.findall(r"\w+", self.unit.code[self.function.start : self.function.end]))
        return next(each for each in (name, *(f"{name}{number}" for number in range(2, 100))) if each not in used)

    def rename(self) -> None:
        self.undivided(self.call.start, self.call.end)
        self.edit(self.call.start, self.call.start + len(self.call.name), self.strong.name)

    def statement(self, node: Node, name: str, declaration: str, after: str = "") -> None:
        """Replace a statement with the call through a pointer."""
        start, end = self.start(node), self.end(node)
        self.undivided(start, end)
        indent = self.indent(start)
        step = "\t" if indent.endswith("\t") else "    "
        call = f"{self.strong.name}({self.arguments()}, &{name})"
        if self.strong.suppresses:
            text = f"if ({call} < 0) {{\n{indent}{step}PyErr_Clear();\n{indent}}}"
        elif self.strong.dead_is_none:
            text = f"if ({call} == 0) {{\n{indent}{step}{name} = Py_None;\n{indent}{step}Py_INCREF({name});\n{indent}}}"
        else:
            text = f"(void){call};"
        before = f"{declaration}\n{indent}" if declaration else ""
        self.edit(start, end, f"{before}{text}{after}")

    def provide(self) -> None:
        needed = provide(self.unit, self.strong.name)
        if needed is False:
            raise _Refused(Obstacle.CONDITIONAL)
        if needed is not None and needed is not True:
            self.edit(needed.at, needed.at, needed.text)

    # The release

    def release(self, name: str, statement: Node, block: Node, *, declared_elsewhere: bool = False) -> None:
        """Release the reference on every way out of the block, or transfer it if the code increments its count."""
        children = [child for child in block.named_children if child.type != "comment"]
        later = [child for child in children if child.start_byte >= statement.end_byte]
        region: list[Node] = []
        promoted: Node | None = None
        for child in later:
            if child.type == "labeled_statement":
                if region and not self.leaves(region[-1]):
                    raise _Refused(Obstacle.UNKNOWN_FORM)
                break
            if self.counts_up(child, name):
                promoted = child
                break
            region.append(child)
        last = promoted or (region[-1] if region else statement)
        self.undivided(self.start(statement), self.end(last))
        if self.strong.unchecked:
            if not region or not self.is_null_check(region[0], name):
                raise _Refused(Obstacle.NO_ERROR_PATH)
            self.safe = False
        if declared_elsewhere and promoted is None:
            self.only_here(name, statement, last)
        elif promoted is None and later[len(region) :]:
            for child in later[len(region) :]:
                if any(self.uses(child, name)):
                    raise _Refused(Obstacle.KEPT)
        if any(node.has_error for node in region):
            raise _Refused(Obstacle.UNKNOWN_FORM)
        for child in region:
            self.check_uses(child, name)
        if promoted is None:
            self.check_derived(region, name)
        checked = self.end(block)
        for child in region:
            if self.is_null_check(child, name):
                checked = self.end(child)
                break
        for child in region:
            self.ways_out(child, name, block, checked)
        if promoted is not None:
            self.delete_line(promoted)
        elif not region or not self.leaves(region[-1]):
            after = self.end(last)
            count_down = "Py_DECREF" if checked < after else "Py_XDECREF"
            self.edit(after, after, f"\n{self.indent(self.start(last))}{count_down}({name});")

    def only_here(self, name: str, first: Node, last: Node) -> None:
        """Refuse a variable that is used outside of the stretch, except in its declaration."""
        pattern = re.compile(rf"(?<![\w.>])\b{name}\b")
        outside = [
            found
            for span in ((self.function.body, self.start(first)), (self.end(last), self.function.end))
            for found in pattern.finditer(self.unit.code, *span)
        ]
        declared = re.compile(rf"[*\s]{name}\s*(?:=\s*(?:NULL|nullptr|0)\s*)?[;,]")
        if len(outside) != 1 or not declared.match(self.unit.code, outside[0].start() - 1):
            raise _Refused(Obstacle.KEPT)

    def uses(self, node: Node, name: str) -> Iterator[Node]:
        stack = [node]
        while stack:
            each = stack.pop()
            if each.type == "identifier" and self.code(each) == name:
                yield each
            stack += each.children

    def check_uses(self, node: Node, name: str) -> None:
        for use in self.uses(node, name):
            value, holder = use, use.parent
            while holder is not None and holder.type in (
                "parenthesized_expression",
                "cast_expression",
                "conditional_expression",
            ):
                if holder.type == "conditional_expression" and holder.child_by_field_name("condition") == value:
                    break
                value, holder = holder, holder.parent
            if holder is None:
                raise _Refused(Obstacle.UNKNOWN_FORM)
            match holder.type:
                case "argument_list":
                    self.check_argument(holder, use, name)
                case "return_statement":
                    if value.type == "conditional_expression" or not self.is_counted_return(holder, name):
                        raise _Refused(Obstacle.RETURNED)
                case (
                    "binary_expression"
                    | "unary_expression"
                    | "if_statement"
                    | "while_statement"
                    | "conditional_expression"
                    | "for_statement"
                    | "field_expression"
                    | "condition_clause"
                    | "expression_statement"
                ):
                    pass
                case _:
                    raise _Refused(Obstacle.KEPT)

    def check_derived(self, region: Sequence[Node], name: str) -> None:
        """Refuse if what the reference keeps alive outlives the release: an item of a tuple, the text of a string."""
        inner: set[str] = set()
        derived: set[str] = set()
        for node in (each for child in region for each in _within(child)):
            match node.type:
                case "init_declarator" | "assignment_expression":
                    fields = ("declarator", "value") if node.type == "init_declarator" else ("left", "right")
                    target, value = map(node.child_by_field_name, fields)
                    if target is None or value is None:
                        continue
                    held = self.code(target).strip("* \n\t")
                    if node.type == "init_declarator":
                        inner.add(held)
                    if self.derives(value, name, derived):
                        if held not in inner:
                            raise _Refused(Obstacle.KEPT)
                        derived.add(held)
                    elif held not in inner and self.is_inside(value, name):
                        self.safe = False
                case "declaration":
                    inner.update(
                        self.code(child).strip("* \n\t")
                        for child in node.named_children
                        if child.type in ("identifier", "pointer_declarator")
                    )
                case "call_expression" if self.callee(node).startswith("PyArg_") and any(self.uses(node, name)):
                    held_there = set(re.findall(r"&\s*(\w+)", self.code(node)))
                    if not held_there <= inner:
                        raise _Refused(Obstacle.KEPT)
                    derived |= held_there
                case "return_statement" if node.named_children:
                    value = node.named_children[0]
                    before = node.prev_named_sibling
                    counted = before is not None and any(self.counts_up(before, each) for each in derived)
                    if self.derives(value, name, derived) and not counted:
                        raise _Refused(Obstacle.RETURNED)
                case _:
                    pass

    def derives(self, value: Node, name: str, derived: set[str]) -> bool:
        """Return whether a value lives only as long as the reference, or as something else that does."""
        match value.type:
            case "parenthesized_expression" | "cast_expression" | "conditional_expression":
                return any(self.derives(child, name, derived) for child in value.named_children)
            case "identifier":
                return self.code(value) in derived
            case "call_expression" if _DERIVES.fullmatch(self.callee(value)):
                names = (name, *derived)
                return any(True for each in names for _ in self.uses(value, each))
            case _:
                return False

    def is_inside(self, value: Node, name: str) -> bool:
        """Return whether a value is a field of the object, or the pointer of a capsule."""
        while value.type in ("parenthesized_expression", "cast_expression") and value.named_children:
            value = value.named_children[-1]
        inside = value.type == "field_expression" or (
            value.type == "call_expression" and self.callee(value) == "PyCapsule_GetPointer"
        )
        return inside and any(self.uses(value, name))

    def check_argument(self, arguments: Node, use: Node, name: str) -> None:
        call = arguments.parent
        callee = self.callee(call) if call is not None else ""
        if _STEALS.fullmatch(callee) or (callee == "Py_BuildValue" and "N" in self.text(arguments)):
            statement = self.statement_of(arguments)
            before = statement.prev_named_sibling if statement is not None else None
            if before is None or not self.counts_up(before, name):
                raise _Refused(Obstacle.KEPT)
        if not callee.startswith(("Py", "_Py")):
            self.safe = False
            if _LEAVING_MACRO.fullmatch(callee):
                raise _Refused(Obstacle.IN_MACRO)

    def statement_of(self, node: Node) -> Node | None:
        above: Node | None = node
        while above is not None and not above.type.endswith("_statement"):
            above = above.parent
        return above

    def ways_out(self, node: Node, name: str, block: Node, checked: int) -> None:
        stack = [node]
        while stack:
            each = stack.pop()
            match each.type:
                case "return_statement" | "goto_statement":
                    self.leave(each, name, block, checked)
                case "break_statement" | "continue_statement":
                    if not self.is_local(each, block):
                        self.leave(each, name, block, checked)
                case "labeled_statement":
                    raise _Refused(Obstacle.UNKNOWN_FORM)
                case (
                    "throw_statement" | "try_statement" | "lambda_expression" | "co_return_statement" | "asm_statement"
                ):
                    raise _Refused(Obstacle.UNKNOWN_FORM)
                case "expression_statement":
                    self.check_macro(each, name, block, checked)
                case _:
                    stack += each.children

    def check_macro(self, statement: Node, name: str, block: Node, checked: int) -> None:
        text = self.code(statement).strip()
        if text.startswith("Py_RETURN_"):
            self.leave(statement, name, block, checked)
            return
        word = re.match(r"\w+", text)
        if word is not None and re.match(r"Py_(?:BEGIN|END|BLOCK|UNBLOCK)_", word[0]):
            raise _Refused(Obstacle.IN_MACRO)
        if word is not None and _LEAVING_MACRO.fullmatch(word[0]) and word[0] not in _HARMLESS_MACROS:
            raise _Refused(Obstacle.IN_MACRO)

    def is_local(self, node: Node, block: Node) -> bool:
        """Return whether a `break` or `continue` ends a loop or `switch` within the block."""
        above = node.parent
        while above is not None and above != block:
            if above.type in _LOOPS or (above.type == "switch_statement" and node.type == "break_statement"):
                return True
            above = above.parent
        return False

    def leave(self, node: Node, name: str, block: Node, checked: int) -> None:
        """Release before a statement that leaves the block, unless the reference is known to be `NULL` there."""
        state = self.known(node, name, block)
        if state is False:
            return
        count_down = "Py_DECREF" if state or checked <= self.start(node) else "Py_XDECREF"
        start, end = self.start(node), self.end(node)
        value = node.named_children[0] if node.type == "return_statement" and node.named_children else None
        if value is not None and self.is_counted_return(node, name):
            before = node.prev_named_sibling
            if before is not None and self.counts_up(before, name):
                self.delete_line(before)
            else:
                self.edit(self.start(value), self.end(value), name)
            return
        indent = self.indent(start)
        release = f"{count_down}({name});"
        text = self.unit.text[start:end]
        if value is None or _PLAIN.fullmatch(self.code(value).strip("() ")):
            lines = [release, text]
        else:
            lines = self.through_variable(value, name, release)
        if node.parent is not None and node.parent.type in ("compound_statement", "case_statement"):
            self.edit(start, end, f"\n{indent}".join(lines))
        else:
            self.edit(start, end, f"{{ {' '.join(lines)} }}")

    def through_variable(self, value: Node, name: str, release: str) -> list[str]:
        kind = _QUALIFIERS.sub("", self.function.header).strip()
        if _RETURN_TYPES.fullmatch(kind) is None:
            raise _Refused(Obstacle.UNKNOWN_FORM)
        result = self.fresh("result")
        space = "" if kind.endswith("*") else " "
        return [f"{kind}{space}{result} = {self.text(value)};", release, f"return {result};"]

    def known(self, node: Node, name: str, block: Node) -> bool | None:
        """Return whether the reference exists (`True`) or is `NULL` (`False`) at a node; `None` if unknown."""
        below, above = node, node.parent
        while above is not None and above != block:
            if above.type == "if_statement":
                condition = above.child_by_field_name("condition")
                state = self.tells(condition, name) if condition is not None else None
                if above.child_by_field_name("consequence") == below and state is not None:
                    return state
                simple = condition is not None and "&&" not in self.code(condition)
                if above.child_by_field_name("alternative") == below and state is not None and simple:
                    return not state
            below, above = above, above.parent
        return None

    def tells(self, condition: Node, name: str) -> bool | None:
        """Return what a true condition says about the reference."""
        text = re.sub(r"\s+", "", self.code(condition))
        while text.startswith("(") and text.endswith(")"):
            text = text[1:-1]
        if "||" in text:
            return None
        for part in text.split("&&"):
            bare = part.strip("()") if part.count("(") == part.count(")") else part
            if bare in (f"{name}==NULL", f"!{name}", f"NULL=={name}", f"{name}==nullptr", f"{name}==0"):
                return False
            if bare in (f"{name}!=NULL", name, f"NULL!={name}", f"{name}!=nullptr"):
                return True
        return None

    def is_null_check(self, node: Node, name: str) -> bool:
        """Return whether a statement leaves if the reference is `NULL`."""
        condition = node.child_by_field_name("condition") if node.type == "if_statement" else None
        consequence = node.child_by_field_name("consequence")
        return (
            condition is not None
            and consequence is not None
            and "&&" not in self.code(condition)
            and self.tells(condition, name) is False
            and self.leaves(consequence)
        )

    def leaves(self, node: Node) -> bool:
        """Return whether the code after a statement is never reached from it."""
        match node.type:
            case "return_statement" | "goto_statement" | "break_statement" | "continue_statement":
                return True
            case "expression_statement":
                return self.code(node).lstrip().startswith("Py_RETURN_")
            case "compound_statement":
                inner = [child for child in node.named_children if child.type != "comment"]
                return bool(inner) and self.leaves(inner[-1])
            case "if_statement":
                arms = [node.child_by_field_name(arm) for arm in ("consequence", "alternative")]
                return all(arm is not None and self.leaves(arm) for arm in arms)
            case "else_clause":
                return bool(node.named_children) and self.leaves(node.named_children[-1])
            case _:
                return False

    def callee(self, call: Node) -> str:
        function = call.child_by_field_name("function")
        return self.code(function) if function is not None else ""

    def counts_up(self, node: Node, name: str) -> bool:
        """Return whether a statement is `Py_INCREF(name);`."""
        pattern = rf"(?:{'|'.join(_COUNTS_UP)})\s*\(\s*{name}\s*\)\s*;"
        return node.type == "expression_statement" and re.fullmatch(pattern, self.code(node).strip()) is not None

    def is_counted_return(self, statement: Node, name: str) -> bool:
        """Return whether `return name;` comes right after `Py_INCREF(name);`, or it is `return Py_NewRef(name);`."""
        value = statement.named_children[0] if statement.named_children else None
        if value is None:
            return False
        text = re.sub(r"\s+", "", self.code(value))
        if text in [f"{each}({name})" for each in _NEW]:
            return True
        before = statement.prev_named_sibling
        bare = re.sub(r"^\((?:PyObject\*)\)", "", text.strip("()") if text == f"({name})" else text)
        return bare == name and before is not None and self.counts_up(before, name)

    def delete_line(self, node: Node) -> None:
        """Delete a statement, with its line if nothing else is on it."""
        start, end = self.start(node), self.end(node)
        text = self.unit.text
        first, after = text.rfind("\n", 0, start) + 1, text.find("\n", end)
        after = len(text) if after < 0 else after
        if not text[first:start].strip() and not text[end:after].strip():
            self.edit(first, min(after + 1, len(text)), "")
        else:
            rest = text[end:after]
            self.edit(start, end + len(rest) - len(rest.lstrip()), "")


def _within(node: Node) -> Iterator[Node]:
    """Yield a node and what is below it, in the order of the text."""
    stack = [node]
    while stack:
        each = stack.pop()
        yield each
        stack += reversed(each.children)
