"""The module slots of CPython 3.15.0rc2, by number: generated.

Made by `scripts/make_cpython_data.py slots` from `Python/slots.toml` (PEP 820).
"""

from __future__ import annotations

from typing import Final

RELEASE: Final = "3.15.0rc2"
"""The CPython release whose source says this."""

NAMES: Final[dict[int, str]] = {
    0: "Py_slot_end",
    84: "Py_mod_create",
    85: "Py_mod_exec",
    86: "Py_mod_multiple_interpreters",
    87: "Py_mod_gil",
    92: "Py_slot_subslots",
    94: "Py_mod_slots",
    100: "Py_mod_name",
    101: "Py_mod_doc",
    102: "Py_mod_state_size",
    103: "Py_mod_methods",
    104: "Py_mod_state_traverse",
    105: "Py_mod_state_clear",
    106: "Py_mod_state_free",
    109: "Py_mod_abi",
    110: "Py_mod_token",
}
"""Names of the slots that may be in a module's arrays."""

ALIASES: Final[dict[int, int]] = {
    1: 84,
    2: 85,
    3: 86,
    4: 87,
}
"""The numbers that slots had up to 3.14, with those that they have now."""

UNIQUE: Final[frozenset[int]] = frozenset({0, 84, 86, 87, 92, 94, 100, 101, 102, 103, 104, 105, 106, 110})
"""Slots of which there may be only one."""

NEVER_NULL: Final[frozenset[int]] = frozenset({85, 100, 101, 103, 104, 105, 106, 109, 110})
"""Slots whose value may not be null."""

STATIC: Final[frozenset[int]] = frozenset({103})
"""Slots that need the flag `PySlot_STATIC` in a `PySlot` array."""
