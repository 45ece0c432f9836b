"""Notes about entries that no longer have an effect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from ftaudit.accepting.accept_entries import AcceptEntry


def entry_notes(entries: Iterable[AcceptEntry], *, used: Iterable[AcceptEntry], today: date) -> Iterator[str]:
    """Yield a sentence for each entry that has expired, and for each entry without a match."""
    wanted = set(map(id, used))
    for entry in entries:
        if entry.expired(today):
            yield (
                f"{entry.location}: the accept entry for {entry.title} expired on {entry.expires} and no longer applies"
            )
        elif id(entry) not in wanted:
            yield f"{entry.location}: the accept entry for {entry.title} matches nothing here"


def named(things: Iterable[str], most: int = 6) -> str:
    """Join names; shorten a long list."""
    every = list(things)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
