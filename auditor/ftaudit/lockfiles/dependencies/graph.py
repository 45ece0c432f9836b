"""Finds the shortest dependency chains from the root requirements, in linear time."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from typing import Final, TypeVar

from packaging.utils import NormalizedName

Node = TypeVar("Node", bound=Hashable)

MAX_CHAINS: Final = 5
"""How many chains a package gets: one for each root that reaches it, the shortest first."""
MAX_LINKS: Final = 60
"""Maximum length of a chain: a longer one omits the links after the root. Real chains have a dozen."""


def find_chains(
    roots: Iterable[Node], children: Mapping[Node, Iterable[Node]], names: Mapping[Node, NormalizedName]
) -> dict[Node, tuple[tuple[Node, ...], ...]]:
    """Return for each reachable node the shortest chain from each of up to `MAX_CHAINS` roots.

    A breadth-first search in which a node passes on no more than `MAX_CHAINS` chains, so that its cost is at most that
    multiple of the number of edges, however many paths exist. Ties are broken by name.
    """
    chains: dict[Node, list[tuple[Node, ...]]] = {}
    ordered = sorted(dict.fromkeys(roots), key=lambda node: names[node])
    waiting: deque[tuple[Node, ...]] = deque((root,) for root in ordered)
    while waiting:
        chain = waiting.popleft()
        node = chain[-1]
        known = chains.setdefault(node, [])
        if len(known) >= MAX_CHAINS or any(other[0] == chain[0] for other in known):
            continue
        known.append(chain)
        if len(chain) == MAX_LINKS:
            chain = (chain[0], *chain[2:])
        waiting.extend((*chain, child) for child in sorted(children.get(node, ()), key=lambda node: names[node]))
    return {node: tuple(found) for node, found in chains.items()}
