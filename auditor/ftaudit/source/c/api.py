"""The functions of the C API that rules for borrowed references search for, taken from CPython's own tables.

Functions with a borrowed result are left out if the owner cannot release it meanwhile: items of
tuples and struct sequences (immutable), a function's code and closure, the thread's own error and frame, a
module's dictionary.
"""

from __future__ import annotations

from typing import Final

from ftaudit.cpython.api_tables import LENDS, LEVELS


def _lending(*prefixes: str) -> tuple[str, ...]:
    """Return the functions with one of the prefixes that return a borrowed reference, or need a lock of the caller."""
    unlocked = {name for name, level in LEVELS.items() if level in ("compatible", "incompatible")}
    return tuple(sorted(name for name in LENDS | unlocked if name.startswith(prefixes)))


LIST_ITEMS: Final = _lending("PyList_GetItem", "PyList_GET_ITEM")
DICT_VALUES: Final = (
    *_lending("PyDict_GetItem"),
    # CPython documents none of its private functions; these have the contract of the public ones.
    "_PyDict_GetItem_KnownHash",
    "_PyDict_GetItemWithError",
    "_PyDict_GetItemStringWithError",
    "_PyDict_GetItemId",
    "_PyDict_GetItemIdWithError",
)
DICT_DEFAULTS: Final = _lending("PyDict_SetDefault")
DICT_ITERATION: Final = (*_lending("PyDict_Next"), "_PyDict_Next", "_PySet_NextEntry", "_PySet_NextEntryRef")
LIST_STORES: Final = _lending("PyList_SET_ITEM")
REFERENTS: Final = _lending("PyWeakref_")
MODULES: Final = _lending("PyImport_AddModule")
REBINDABLE: Final = _lending("PyCell_GET", "PySys_GetObject", "PyEval_GetLocals")
