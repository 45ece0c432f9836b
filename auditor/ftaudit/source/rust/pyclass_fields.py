"""The fields of `#[pyclass]` structures: which Python methods read and write them, and what excludes concurrent access.

Rust's part of the model in `ftaudit.source.shared_state`. PyO3 checks borrows at run time: `&mut self` excludes every
other method of the object, with an exception instead of a wait. What `&self` changes needs a lock or an atomic of its
own, and the compiler asks for one unless the code promises otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ftaudit.source.shared_state import Access, AccessKind, EntryKind, EntryPoint, Lock, State

if TYPE_CHECKING:
    from tree_sitter import Node

    from ftaudit.source.rust.rust_unit import RustUnit

_LOCKED: Final = re.compile(r"\b(?:\w*Mutex|RwLock|\w*Once(?:Lock|Cell)?|Lazy\w*|DashMap|ArcSwap\w*)\b")
_ATOMIC: Final = re.compile(r"\bAtomic\w+|\bAtomic(?:Cell|Refcell)?\b")
_OPEN: Final = re.compile(r"\b(?:Unsafe|Sync|Ref|Once)?Cell\b|\*\s*(?:mut|const)\b|\bNonNull\b")
_CHANGES: Final = re.compile(
    r"^\.(?:push|insert|remove|clear|extend|pop|take|replace|set|drain|retain|append|truncate|entry|iter_mut|as_mut"
    r"|get_mut|borrow_mut|store|swap|fetch_\w+)\b"
)
_CONSTRUCTORS: Final = frozenset({"__new__", "new", "__init__"})
_BORROW: Final = "PyO3's borrow check"


def find_accesses(unit: RustUnit) -> Iterator[Access]:
    """Yield the accesses of methods in `#[pymethods]` blocks to the fields of their object."""
    types = _field_types(unit)
    for block in unit.of("impl_item"):
        if not any(each.path.rpartition("::")[2] == "pymethods" for each in unit.attributes(block)):
            continue
        owner = unit.text_of(block.child_by_field_name("type")).partition("<")[0]
        body = block.child_by_field_name("body")
        for method in body.named_children if body is not None else ():
            if method.type == "function_item" and not unit.off_when_free_threaded(method):
                yield from _of_method(unit, owner, method, types.get(owner, {}))


def _field_types(unit: RustUnit) -> dict[str, dict[str, str]]:
    """Return the types of the fields of every structure of the file, by structure and field."""
    found: dict[str, dict[str, str]] = {}
    for struct in unit.of("struct_item"):
        fields = found.setdefault(unit.text_of(struct.child_by_field_name("name")), {})
        body = struct.child_by_field_name("body")
        for each in body.named_children if body is not None else ():
            if each.type == "field_declaration":
                name = unit.text_of(each.child_by_field_name("name"))
                fields[name] = unit.text_of(each.child_by_field_name("type"))
    return found


def _of_method(unit: RustUnit, owner: str, method: Node, types: dict[str, str]) -> Iterator[Access]:
    parameters = method.child_by_field_name("parameters")
    first = parameters.named_children[0] if parameters is not None and parameters.named_children else None
    if first is None or first.type != "self_parameter":
        return
    exclusive = "mut" in unit.text_of(first)
    name = unit.text_of(method.child_by_field_name("name"))
    kind = EntryKind.METHOD
    if name in _CONSTRUCTORS:
        kind = EntryKind.CONSTRUCTOR
    elif name.startswith("__") and name.endswith("__"):
        kind = EntryKind.SLOT
    entry = EntryPoint(name=name, kind=kind, location=unit.at(method.start_byte))
    stack = [method]
    while stack:
        node = stack.pop()
        stack.extend(node.named_children)
        if node.type != "field_expression" or unit.text_of(node.child_by_field_name("value")) != "self":
            continue
        field = unit.text_of(node.child_by_field_name("field"))
        parent = node.parent
        if parent is not None and parent.type == "call_expression" and parent.child_by_field_name("function") == node:
            continue
        held = {Lock(name=_BORROW, owner=owner, shared=not exclusive)}
        type_ = types.get(field, "")
        if _LOCKED.search(type_):
            held.add(Lock(name=f"self.{field}", owner=owner))
        elif _ATOMIC.search(type_):
            held.add(Lock(name="atomic", atomic=True))
        yield Access(
            state=State(owner=owner, name=field),
            kind=_kind(unit, node, open_=_OPEN.search(type_) is not None),
            locks=frozenset(held),
            entry_point=entry,
            location=unit.at(node.start_byte),
        )


def _kind(unit: RustUnit, node: Node, *, open_: bool) -> AccessKind:
    above, below = node.parent, node
    while above is not None and above.type in ("index_expression", "field_expression", "unary_expression"):
        below, above = above, above.parent
    if above is not None and above.child_by_field_name("left") == below:
        if above.type == "assignment_expression":
            return AccessKind.WRITE
        if above.type == "compound_assignment_expr":
            return AccessKind.COUNT
    after = unit.data[node.end_byte : node.end_byte + 40].decode(errors="replace").lstrip()
    if _CHANGES.match(after):
        return AccessKind.FREE if open_ else AccessKind.CHANGE
    return AccessKind.READ
