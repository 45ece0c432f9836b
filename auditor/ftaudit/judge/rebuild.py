"""What a rebuild would declare: read from the GIL-enabled wheel, in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ftaudit.model import ExtensionModule
from ftaudit.model.reasons import WORST_FIRST, Rebuild


def find_rebuild(modules: Iterable[ExtensionModule]) -> Rebuild | None:
    """Return what modules of the GIL-enabled build would declare if they were built for the target.

    Return `None` if no such module was read. What a build would declare is evidence for advice, never a verdict.
    """
    counts = Counter(module.would_declare.declaration for module in modules if module.would_declare is not None)
    return Rebuild(counts=tuple((one, counts[one]) for one in WORST_FIRST if counts[one])) if counts else None
