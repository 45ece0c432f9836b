"""Edits of Python source by libcst, which keeps every blank, comment and bracket that is not edited."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from ftaudit.model import Location, SourceEdit
from ftaudit.source.base import Unit

if TYPE_CHECKING:
    import libcst

Node = TypeVar("Node", bound="libcst.CSTNode")


class Rewriting:
    """One module as libcst sees it, with places in bytes. Raise `libcst.ParserSyntaxError` for invalid text."""

    def __init__(self, unit: Unit) -> None:
        import libcst
        from libcst.metadata import MetadataWrapper

        self.unit = unit
        self._wrapper = MetadataWrapper(libcst.parse_module(unit.text), unsafe_skip_copy=True)
        self.module = self._wrapper.module

    @cached_property
    def _spans(self) -> dict[libcst.CSTNode, tuple[int, int]]:
        from libcst.metadata import ByteSpanPositionProvider

        spans = self._wrapper.resolve(ByteSpanPositionProvider)
        return {node: (span.start, span.start + span.length) for node, span in spans.items()}

    @cached_property
    def _parents(self) -> dict[libcst.CSTNode, libcst.CSTNode]:
        from libcst.metadata import ParentNodeProvider

        return dict(self._wrapper.resolve(ParentNodeProvider))

    def at(self, offset: int, kind: type[Node]) -> Node | None:
        """Return the outermost node of a kind that begins at a byte offset."""
        found = [
            (end, node) for node, (start, end) in self._spans.items() if start == offset and isinstance(node, kind)
        ]
        return max(found, key=lambda each: each[0])[1] if found else None

    def of(self, kind: type[Node]) -> Iterator[tuple[int, Node]]:
        """Yield every node of a kind with its byte offset."""
        yield from ((start, node) for node, (start, _) in self._spans.items() if isinstance(node, kind))

    def found(self, place: Location, kind: type[Node]) -> Node | None:
        """Return the outermost node of a kind that begins at a place."""
        return self.at(self.unit.offset_of(place), kind)

    def above(self, node: libcst.CSTNode) -> Iterator[libcst.CSTNode]:
        """Yield what the node is part of, from the inside out."""
        while node in self._parents:
            node = self._parents[node]
            yield node

    def span(self, node: libcst.CSTNode) -> tuple[int, int]:
        """Return the first byte of a node and the one after its last."""
        return self._spans[node]

    def replaced(self, old: libcst.CSTNode, new: libcst.CSTNode) -> tuple[SourceEdit, ...]:
        """Return the edits that replace a node with another one."""
        import libcst

        changed = self.module.deep_replace(old, new)
        return edits_to(self.unit, changed.code) if isinstance(changed, libcst.Module) else ()

    def wrapped(self, node: libcst.CSTNode, before: str, after: str = ")") -> tuple[SourceEdit, ...]:
        """Return the edits that put text around a node."""
        start, end = self.span(node)
        return self.unit.edit(start, start, before), self.unit.edit(end, end, after)

    def imported(self, name: str) -> tuple[SourceEdit, ...]:
        """Return the edit that imports a module among the first imports; nothing if it is already imported."""
        import libcst

        first: libcst.CSTNode | None = None
        last: libcst.CSTNode | None = None
        leading = True
        for statement in self.module.body:
            imports = _imports(statement)
            leading = leading and (bool(imports) or (last is None and _is_docstring(statement)))
            for part in imports:
                names = part.names if isinstance(part, libcst.Import) else ()
                if any(each.asname is None and self.module.code_for_node(each.name) == name for each in names):
                    return ()
            if leading:
                last = statement
            else:
                first = first or statement
        if last is None:
            start = self.span(first)[0] if first is not None else 0
            return (self.unit.edit(start, start, f"import {name}\n"),)
        end = self.unit.data.find(b"\n", self.span(last)[1])
        at = len(self.unit.data) if end < 0 else end + 1
        return (self.unit.edit(at, at, f"import {name}\n" if end >= 0 else f"\nimport {name}\n"),)


def _imports(statement: libcst.CSTNode) -> tuple[libcst.Import | libcst.ImportFrom, ...]:
    """Return the imports of a line that has nothing else."""
    import libcst

    match statement:
        case libcst.SimpleStatementLine(body=parts):
            found = tuple(part for part in parts if isinstance(part, (libcst.Import, libcst.ImportFrom)))
            return found if len(found) == len(parts) else ()
        case _:
            return ()


def _is_docstring(statement: libcst.CSTNode | None) -> bool:
    import libcst

    match statement:
        case libcst.SimpleStatementLine(body=[libcst.Expr(value=libcst.SimpleString() | libcst.ConcatenatedString())]):
            return True
        case _:
            return False


def rewriting(unit: Unit) -> Rewriting:
    """Return the libcst view of a unit, made once."""
    return unit.once(Rewriting)


def edits_to(unit: Unit, text: str) -> tuple[SourceEdit, ...]:
    """Return the edits, each as small as lines and common ends allow, that turn a unit's text into another."""
    old, new = unit.text.splitlines(keepends=True), text.splitlines(keepends=True)
    starts = [0]
    for line in old:
        starts.append(starts[-1] + len(line.encode()))
    edits: list[SourceEdit] = []
    for tag, first, after, *others in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        was, now = "".join(old[first:after]), "".join(new[slice(*others)])
        head = _common(was, now)
        tail = min(_common(was[::-1], now[::-1]), len(was) - head, len(now) - head)
        start = starts[first] + len(was[:head].encode())
        end = starts[after] - len(was[len(was) - tail :].encode())
        edits.append(unit.edit(start, end, now[head : len(now) - tail]))
    return tuple(edits)


def _common(one: str, other: str) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
