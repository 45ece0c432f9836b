"""The binary tier: what the extension modules of each chosen wheel declare."""

from __future__ import annotations

from ftaudit.engine.collect import Key
from ftaudit.index.client import Index
from ftaudit.model import BinaryFacts, IndexFacts, Status
from ftaudit.progress import Progress
from ftaudit.settings import Settings
from ftaudit.target import Target


def find_binary_facts(
    indexed: dict[Key, IndexFacts], *, target: Target, settings: Settings, index: Index, progress: Progress
) -> dict[Key, BinaryFacts]:
    """Read every extension module of the chosen wheels."""
    return {key: BinaryFacts(status=Status.SKIPPED, reason="binaries not read") for key in indexed}
