"""The combined facts about packages from the index, binary, and runtime tiers, one `PackageFacts` for each package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ftaudit.engine.given import at_its_file
from ftaudit.engine.rows import facts_of
from ftaudit.engine.session import AuditSession
from ftaudit.engine.tiers.binary_tier import find_binary_facts
from ftaudit.engine.tiers.builds import look_into_sdists
from ftaudit.engine.tiers.collect import Key, find_index_facts, find_runtime_facts
from ftaudit.model import IndexFacts, Interpreter, PackageFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """The facts about packages, and how they were found."""

    facts: tuple[PackageFacts, ...]
    """In the order of the keys."""
    indexed: Mapping[Key, IndexFacts]
    interpreter: Interpreter | None
    """The interpreter that imported the modules, if any was imported."""
    notes: tuple[str, ...]


def find_evidence(
    session: AuditSession,
    keys: Sequence[Key],
    *,
    beside: Mapping[Key, IndexFacts] | None = None,
    on_found: Callable[[Key, IndexFacts], object] = lambda key, facts: None,
) -> Evidence:
    """Run the tiers over packages.

    Packages in `beside` are present only so that the others can import them. `on_found` is called for each package as
    soon as its files are known.
    """
    target, progress = session.target, session.progress
    indexed = find_index_facts(keys, target=target, index=session.index, progress=progress, on_found=on_found)
    indexed = look_into_sdists(indexed, sdists=session.sdists, target=target, progress=progress)
    binaries = find_binary_facts(indexed, target=target, reader=session.reader, progress=progress)
    together = {**(beside or {}), **indexed}
    imports = find_runtime_facts(
        together,
        target=target,
        settings=session.settings,
        progress=progress,
        only=frozenset(keys),
        starters=frozenset(key for key, facts in binaries.items() if facts.startup),
    )
    return Evidence(
        facts=tuple(
            facts_of(
                at_its_file(pin, indexed[pin, platform]),
                target=target,
                platform=platform.name,
                index=indexed[pin, platform],
                binary=binaries[pin, platform],
                runtime=imports.facts[pin, platform],
            )
            for pin, platform in keys
        ),
        indexed=indexed,
        interpreter=imports.interpreter,
        notes=imports.notes,
    )
