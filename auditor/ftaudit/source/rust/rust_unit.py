"""One Rust file as tree-sitter sees it: items with their attributes, conditions, places; walked without recursion."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

from packaging.version import InvalidVersion, Version

from ftaudit.source.base import Room, SourceFile, TreeContext, Unit
from ftaudit.source.build import BuildContext, FactKind

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Parser


@dataclass(frozen=True, kw_only=True, slots=True)
class RustAttribute:
    """`#[path(arguments)]`, with white space removed from both."""

    path: str
    arguments: str
    node: Node


class RustUnit(Unit):
    """One parsed Rust file."""

    def __init__(self, source: SourceFile, context: TreeContext) -> None:
        super().__init__(source, context)
        self.tree = _parser().parse(self.data)

    @cached_property
    def nodes(self) -> list[Node]:
        """Every named node, in order of the source."""
        found: list[Node] = []
        stack = [self.tree.root_node]
        while stack:
            node = stack.pop()
            if node.is_named:
                found.append(node)
            stack.extend(reversed(node.children))
        return found

    def of(self, *kinds: str) -> Iterator[Node]:
        """Yield the nodes of the kinds."""
        return (node for node in self.nodes if node.type in kinds)

    def text_of(self, node: Node | None) -> str:
        """Return the source of a node."""
        return self.data[node.start_byte : node.end_byte].decode(errors="replace") if node is not None else ""

    def attributes(self, item: Node) -> list[RustAttribute]:
        """Return the attributes that precede an item."""
        found: list[RustAttribute] = []
        before = item.prev_named_sibling
        while before is not None and before.type in ("attribute_item", "line_comment", "block_comment"):
            if before.type == "attribute_item":
                attribute = self._attribute(before)
                found += self._conditional(attribute) if attribute.path == "cfg_attr" else ()
                found.append(attribute)
            before = before.prev_named_sibling
        return found[::-1]

    def conditions(self, node: Node) -> str:
        """Return the `cfg` conditions above a node, in one string without white space."""
        found: list[str] = []
        above: Node | None = node
        while above is not None:
            found.extend(each.arguments for each in self.attributes(above) if each.path in ("cfg", "cfg_attr"))
            above = above.parent
        return " ".join(found)

    def off_when_free_threaded(self, node: Node) -> bool:
        """Return whether the code is left out of free-threaded builds, or of everything except tests."""
        conditions = self.conditions(node)
        return _needs_gil(conditions) or "(test)" in conditions or "loom" in conditions

    @cached_property
    def pyo3(self) -> Version | None:
        """The version of PyO3 in use: the lock file's, else the lowest that the nearest manifest allows."""
        return resolved_pyo3(self.context, self.path)

    def _conditional(self, attribute: RustAttribute) -> list[RustAttribute]:
        """Return the attributes that `cfg_attr` sets under a condition: `#[cfg_attr(feature = "py", pyclass)]`."""
        given = _CONDITIONAL.match(attribute.arguments)
        if given is None:
            return []
        return [
            RustAttribute(path=found[1], arguments=found[2] or "", node=attribute.node)
            for found in _INNER_ATTRIBUTE.finditer(given[1])
        ]

    def _attribute(self, item: Node) -> RustAttribute:
        attribute = next((child for child in item.named_children if child.type == "attribute"), item)
        arguments = attribute.child_by_field_name("arguments")
        whole = self.text_of(attribute)
        inner = self.text_of(arguments)
        path = whole[: len(whole) - len(inner)] if inner and whole.endswith(inner) else whole.partition("=")[0]
        return RustAttribute(path="".join(path.split()), arguments="".join(inner.split()), node=item)


_CONDITIONAL: Final = re.compile(r"\((?:[\w=\".-]+|(?:not|any|all)\((?:[^()]|\([^()]*\))*\)),(.*)\)\Z", re.DOTALL)
_INNER_ATTRIBUTE: Final = re.compile(r"([A-Za-z_][\w:]*)(\((?:[^()]|\([^()]*\))*\))?(?:=[^,]*)?(?:,|\Z)")
"""White space is removed from the arguments of attributes."""
_NOT: Final = re.compile(r"not\((?:any\([^()]*\)|[^()]*)\)")


def _needs_gil(conditions: str) -> bool:
    """Return whether `cfg` conditions exclude free-threaded builds: `not(Py_GIL_DISABLED)`, `not(any(…))`."""
    return any("Py_GIL_DISABLED" in found[0] for found in _NOT.finditer(conditions))


@lru_cache(maxsize=1)
def _language() -> Language:
    import tree_sitter_rust
    from tree_sitter import Language

    return Language(tree_sitter_rust.language())


def _parser() -> Parser:
    """Return a new parser: parsers keep state, and scans may run in threads."""
    from tree_sitter import Parser

    return Parser(_language())


def load_grammar() -> None:
    """Import the parser and its grammar."""
    _language()


def resolved_pyo3(context: TreeContext, path: str) -> Version | None:
    """Return the PyO3 version that a crate is built with, as far as its files show; `None` if they do not.

    `Cargo.lock` decides. Without one, cargo takes the newest version that a caret requirement allows, which for the
    versions before 1.0 has the same minor number as the requirement.
    """
    build = context.of(Room.BUILD, BuildContext)
    facts = build.nearest(path, FactKind.PYO3)
    every = [*facts, *build.of(FactKind.PYO3)]
    for wanted in ("lock", "manifest"):
        for fact in every:
            if wanted in fact.names and (version := least_version(fact.value)) is not None:
                return version
    return None


def least_version(requirement: str) -> Version | None:
    """Return the version of a lock file, or the lowest that a Cargo requirement names (`^0.23.4`, `>=0.20, <0.24`).

    Of a range with an upper bound, the newest minor below it counts, as cargo takes the newest.
    """
    pieces = [piece.strip() for piece in requirement.split(",") if piece.strip()]
    versions: list[Version] = []
    for piece in pieces:
        bare = piece.lstrip("^~=<> ").replace(".*", "")
        try:
            version = Version(bare)
        except InvalidVersion:
            continue
        if piece.startswith("<") and not piece.startswith("<="):
            if version.release[0] == 0 and len(version.release) > 1 and version.release[1] > 0:
                versions.append(Version(f"0.{version.release[1] - 1}"))
        else:
            versions.append(version)
    return max(versions, default=None)
