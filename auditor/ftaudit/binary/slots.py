"""The slots of a module definition, as CPython reads them once the init hook has returned."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ftaudit.binary.emulator.machine import Machine, MemoryFault
from ftaudit.binary.stubs.capi.objects_in_memory import Layout
from ftaudit.cpython import abi
from ftaudit.cpython.layouts import DEFINITION
from ftaudit.cpython.module_slots import ALIASES, NAMES, NEVER_NULL, STATIC, UNIQUE
from ftaudit.cpython.versions import SLOT_ARRAYS_SINCE, Version
from ftaudit.model import AbiInfo, Refusal, RefusalKind

_NUMBERS = {name: number for number, name in NAMES.items()}
CREATE, EXECUTE, GIL = (_NUMBERS[f"Py_mod_{name}"] for name in ("create", "exec", "gil"))
MULTIPLE_INTERPRETERS, ABI = _NUMBERS["Py_mod_multiple_interpreters"], _NUMBERS["Py_mod_abi"]
_SUBSLOTS, _MODULE_SLOTS = _NUMBERS["Py_slot_subslots"], _NUMBERS["Py_mod_slots"]
_STATE_SIZE, _TOKEN = _NUMBERS["Py_mod_state_size"], _NUMBERS["Py_mod_token"]
_FIELDS = {
    _NUMBERS["Py_mod_name"]: "m_name",
    _NUMBERS["Py_mod_doc"]: "m_doc",
    _STATE_SIZE: "m_size",
    _NUMBERS["Py_mod_methods"]: "m_methods",
    _NUMBERS["Py_mod_state_traverse"]: "m_traverse",
    _NUMBERS["Py_mod_state_clear"]: "m_clear",
    _NUMBERS["Py_mod_state_free"]: "m_free",
}
"""Slots that correspond to a field of `PyModuleDef`; in one, they may not contradict it."""

_OPTIONAL, _STATIC_FLAG = 1, 2
"""`PySlot_OPTIONAL` and `PySlot_STATIC` (`Include/slots.h`)."""
_MAX_SLOTS, _MAX_NESTING = 256, 5
"""Ours, against arrays without an end; and `_PySlot_MAX_NESTING` of `Include/internal/pycore_slots.h`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slots:
    """The content of the array."""

    gil: int | None = None
    """The value of `Py_mod_gil`, or `None` if there is no such slot."""
    create: int = 0
    """The function of `Py_mod_create`, or 0."""
    executes: tuple[int, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()
    """Address and size of each array that was read, its last and empty entry included, and of `abi_info`."""
    abi_info: AbiInfo | None = None
    abi_span: tuple[int, int] | None = None
    """Address and size of the `PyABIInfo`."""
    refusal: Refusal | None = None
    """Why CPython refuses the definition, if it does."""
    complete: bool = True
    """Whether every entry was read: if CPython refuses the definition because of one, it does not read the rest."""
    exported: bool = False
    """Whether a `PyModExport_` hook returned it, and there is no `PyModuleDef`."""


class _SlotReader:
    def __init__(self, machine: Machine, version: Version, *, definition: int, layout: Layout) -> None:
        self.machine, self.version, self.layout = machine, version, layout
        self.definition = definition
        self.gil: int | None = None
        self.create = 0
        self.executes: list[int] = []
        self.abi_info: AbiInfo | None = None
        self.abi_span: tuple[int, int] | None = None
        self.refusal: Refusal | None = None
        self.complete = True
        self.seen: set[int] = set()
        self.state_size = 0
        self.count = 0
        self.spans: list[tuple[int, int]] = []

    def refuse(self, kind: RefusalKind, slot: int | None = None) -> None:
        """Keep the first reason: CPython stops there."""
        name = None if slot is None else NAMES.get(ALIASES.get(slot, slot))
        self.refusal = self.refusal or Refusal(kind=kind, slot=slot, slot_name=name)
        self.complete = False

    def read(self, address: int, *, modern: bool, depth: int = 0) -> None:
        """Walk one array of 16-byte entries: `PyModuleDef_Slot`, or `PySlot` if `modern`."""
        if depth >= _MAX_NESTING:
            self.refuse(RefusalKind.BAD_NESTING)
            return
        start, place = address, len(self.spans)
        self.spans.append((start, 0))
        while self.complete:
            self.count += 1
            if self.count > _MAX_SLOTS:
                raise MemoryFault("the slots have no end")
            raw = self.machine.read(address, 16)
            address += 16
            self.spans[place] = (start, address - start)
            given, flags, value = _parse(raw, modern=modern)
            if self.version < SLOT_ARRAYS_SINCE:
                if given == 0:
                    return
                # Up to 3.14 the numbers that became aliases are the only ones.
                self._take(ALIASES.get(given), given, value, modern=False, flags=0)
                continue
            number = ALIASES.get(given, given)
            if number not in NAMES:
                if not flags & _OPTIONAL:
                    self.refuse(RefusalKind.UNKNOWN_SLOT, given)
            elif number == 0:
                if flags & _OPTIONAL:
                    self.refuse(RefusalKind.UNKNOWN_SLOT, given)
                return
            elif number in (_SUBSLOTS, _MODULE_SLOTS):
                if value and self.definition and modern and not flags & _STATIC_FLAG:
                    self.refuse(RefusalKind.SLOT_NOT_STATIC, given)
                elif value:
                    self.read(value, modern=number == _SUBSLOTS, depth=depth + 1)
            else:
                self._take(number, given, value, modern=modern, flags=flags)

    def _take(self, number: int | None, given: int, value: int, *, modern: bool, flags: int) -> None:
        if number is None:
            self.refuse(RefusalKind.UNKNOWN_SLOT, given)
            return
        since_arrays = self.version >= SLOT_ARRAYS_SINCE
        if since_arrays and modern and number in STATIC and not flags & _STATIC_FLAG:
            self.refuse(RefusalKind.SLOT_NOT_STATIC, given)
        elif since_arrays and number in NEVER_NULL and not value:
            self.refuse(RefusalKind.NULL_SLOT, given)
        elif number in self.seen and (number in UNIQUE or (number == EXECUTE and not self.definition)):
            self.refuse(RefusalKind.REPEATED_SLOT, given)
        # Up to 3.14 a null create slot counts as none.
        if since_arrays or number != CREATE or value:
            self.seen.add(number)
        if not self.complete:
            return
        if number == CREATE:
            self.create = value
        elif number == EXECUTE:
            self.executes.append(value)
        elif number == GIL:
            self.gil = value
        elif number == ABI:
            self.abi_span = value, abi.SIZE
            self.spans.append(self.abi_span)
            self.abi_info = abi.parse_abi_info(self.machine.read(value, abi.SIZE))
            # The other declarations of a module for another build still matter: the rest of the slots is read.
            self.refusal = self.refusal or abi.check_abi_info(self.abi_info, self.version)
        elif number == _STATE_SIZE and not self.definition:
            self.state_size = value
        elif self.definition and number in (_TOKEN, *_FIELDS) and value != self._expected(number):
            self.refuse(RefusalKind.SLOT_CONFLICT, given)

    def _expected(self, number: int) -> int:
        if number == _TOKEN:
            return self.definition
        return self.machine.read_word(self.definition + self.layout.head + DEFINITION[_FIELDS[number]])


def _parse(raw: bytes, *, modern: bool) -> tuple[int, int, int]:
    """Return an entry's number, flags and value."""
    if modern:
        number, flags, _, value = struct.unpack("<HHIQ", raw)
        return number, flags, value
    number, value = struct.unpack("<i4xQ", raw)
    return number, 0, value


def read_exported_slots(machine: Machine, address: int, layout: Layout) -> Slots:
    """Read the `PySlot` array that a `PyModExport_…` hook returned. Raise `MemoryFault` if it leaves memory."""
    reader = _SlotReader(machine, layout.version, definition=0, layout=layout)
    reader.read(address, modern=True)
    if reader.complete and reader.abi_info is None:
        reader.refusal = reader.refusal or Refusal(kind=RefusalKind.NO_ABI_SLOT)
    return _finished(reader, reader.state_size, exported=True)


def read_definition_slots(machine: Machine, definition: int, layout: Layout) -> Slots:
    """Read the slots of a `PyModuleDef`. Raise `MemoryFault` if they leave memory."""
    array = machine.read_word(definition + layout.head + DEFINITION["m_slots"])
    reader = _SlotReader(machine, layout.version, definition=definition, layout=layout)
    if array:
        reader.read(array, modern=False)
    size = machine.read_word(definition + layout.head + DEFINITION["m_size"])
    return _finished(reader, size, exported=False)


def _finished(reader: _SlotReader, state_size: int, *, exported: bool) -> Slots:
    if reader.complete and state_size >> 63:
        reader.refusal = reader.refusal or Refusal(kind=RefusalKind.NEGATIVE_STATE)
    return Slots(
        gil=reader.gil,
        create=reader.create,
        executes=tuple(reader.executes),
        spans=tuple(reader.spans),
        abi_info=reader.abi_info,
        abi_span=reader.abi_span,
        refusal=reader.refusal,
        complete=reader.complete,
        exported=exported,
    )
