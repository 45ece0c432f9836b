"""The stores that an audit asks: those that are named, imported, or installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final

from ftaudit.errors import FtauditError, InputError
from ftaudit.facts.facts_store import SUFFIX, FactsStore

GROUP: Final = "ftaudit.facts"
"""The entry points of data packages. The value is the path of a store, or a function without arguments that returns
it."""
IMPORTED: Final = "facts"
"""The folder in the cache with the stores that were imported."""


def open_stores(named: Sequence[Path], cache: Path | None) -> tuple[tuple[FactsStore, ...], tuple[str, ...]]:
    """Return the stores to ask, in order: the named ones, the imported ones, the installed ones; and notes.

    A note says why a store is not used: its facts are from another analysis, or its package is broken. Raise
    `InputError` for a store that was changed or damaged, and for a named or imported one that cannot be read.
    """
    found = [FactsStore(path) for path in (*named, *imported(cache))]
    notes: list[str] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            path = _path_of(point)
        except Exception as error:  # A data package can raise anything.
            notes.append(f"the facts store of {point.name} cannot be used: {type(error).__name__}: {error}")
        else:
            found.append(FactsStore(path, name=point.name))
    usable = []
    for store in found:
        if store.is_usable:
            usable.append(store)
        else:
            made = f"it was made by ftaudit {store.provenance.ftaudit} ({store.provenance.analysis})"
            notes.append(f"ignored the facts store {store.name}: {made}, whose analysis differs from this version's")
            store.close()
    return tuple(usable), tuple(notes)


def imported(cache: Path | None) -> list[Path]:
    """Return the imported stores, by name."""
    return [] if cache is None else sorted((cache / IMPORTED).glob(f"*{SUFFIX}"))


def import_store(path: Path, cache: Path) -> Path:
    """Copy a store into the cache after all of it was checked; return the copy.

    Raise `InputError` for a store that cannot be read, was changed, or has facts of another analysis.
    """
    store = FactsStore(path)
    try:
        if not store.is_usable:
            raise InputError(
                f"the facts store {path} was made by ftaudit {store.provenance.ftaudit} ({store.provenance.analysis}), "
                "whose analysis differs from this version's",
                hint="get the store for this version of ftaudit",
            )
        for _ in store.check():
            pass
    finally:
        store.close()
    from ftaudit.whole_files import write_whole

    place = cache / IMPORTED / (path.name if path.name.endswith(SUFFIX) else f"{path.name}{SUFFIX}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, path.read_bytes())
    except OSError as error:
        raise FtauditError(f"cannot write {place}: {error.strerror}", hint="specify another --cache-dir") from error
    return place


def _path_of(point: EntryPoint) -> Path:
    value = point.load()
    return Path(value() if callable(value) else value)
