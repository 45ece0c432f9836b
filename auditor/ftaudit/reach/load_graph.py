"""The result of an abstract run: which unit loads which module, where, and under what conditions."""

from __future__ import annotations

from dataclasses import dataclass, field

from ftaudit.model.reachability import Condition, ImportSite


@dataclass(slots=True, eq=False)
class ModuleLoad:
    """A unit loads a module."""

    target: str
    site: ImportSite
    conditions: tuple[Condition, ...]
    """All of them must hold; empty if nothing is undecided."""
    guarded: bool = False
    """Whether the import is inside `try … except ImportError`."""
    call: ImportSite | None = None
    """The line of the unit's own module that called the code of another module, if that code imports."""

    @property
    def first(self) -> ImportSite:
        """The line of the unit's own module."""
        return self.call or self.site


@dataclass(slots=True, eq=False)
class RunUnit:
    """Code that runs at one time: the body of a module or of a function."""

    module: str
    function: str | None = None
    """Qualified name of the function, `None` for a module's body."""
    edges: dict[tuple[str, str, int], ModuleLoad] = field(default_factory=dict)

    def add(self, edge: ModuleLoad) -> None:
        """Add an edge; of two edges at one place, the one with fewer conditions counts."""
        key = (edge.target, edge.first.file, edge.first.line)
        known = self.edges.get(key)
        if known is None or len(edge.conditions) < len(known.conditions):
            self.edges[key] = edge
