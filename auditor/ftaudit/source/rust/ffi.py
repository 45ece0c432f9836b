"""Finds the GIL declarations of modules on the raw C API: init functions, and `Py_mod_gil` slots."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ftaudit.source.rust.rust_unit import RustUnit

_INIT: Final = re.compile(r"(?:PyInit|PyModExport)_\w+\Z")
_DECLARES: Final = re.compile(r"\bPy_mod_gil\b|\bPyUnstable_Module_SetGIL\b|\bPy_MOD_GIL_NOT_USED\b")
_SLOT: Final = re.compile(r"slot\s*:\s*(?:[\w:]+::)?Py_mod_gil\b")
_USED: Final = re.compile(r"\bPy_MOD_GIL_USED\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class FfiPlace:
    """A place in a Rust file, as a byte offset, and the name of the item there."""

    offset: int
    name: str


def find_silent_inits(unit: RustUnit) -> Iterator[FfiPlace]:
    """Yield each init function in a file that declares nothing about the GIL."""
    if _DECLARES.search(unit.text):
        return
    for node in unit.of("function_item"):
        name = unit.text_of(node.child_by_field_name("name"))
        if _INIT.match(name) and not unit.off_when_free_threaded(node):
            yield FfiPlace(offset=node.start_byte, name=name)


def find_used_slots(unit: RustUnit) -> Iterator[FfiPlace]:
    """Yield each module slot that says that the GIL is used."""
    for node in unit.of("struct_expression"):
        text = unit.text_of(node)
        slot = _SLOT.search(text)
        if slot and _USED.search(text) and not unit.off_when_free_threaded(node):
            yield FfiPlace(offset=node.start_byte + len(text[: slot.start()].encode()), name="Py_mod_gil")
