"""The slots of a module definition, as CPython reads them once the init hook has returned."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ftaudit.binary.emulator.machine import Machine
from ftaudit.binary.stubs.capi.objects_in_memory import Layout

PY_MOD_CREATE, PY_MOD_EXEC, PY_MOD_MULTIPLE_INTERPRETERS, PY_MOD_GIL = 1, 2, 3, 4

_RENUMBERED = {84: PY_MOD_CREATE, 85: PY_MOD_EXEC, 86: PY_MOD_MULTIPLE_INTERPRETERS, 87: PY_MOD_GIL}
"""CPython 3.15's identifiers of the same slots (PEP 820, Include/slots_generated.h); the old ones stay aliases."""

_SUBSLOTS, _MODULE_SLOTS, _LAST_SLOT_315 = 92, 94, 110
_OPTIONAL = 1
_MAX_SLOTS, _MAX_NESTING = 256, 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Slots:
    """What the array says."""

    gil: int | None = None
    """The value of `Py_mod_gil`, or `None` where there is no such slot."""
    create: int = 0
    """The function of `Py_mod_create`, or 0."""
    executes: tuple[int, ...] = ()
    entries: int = 0
    """Entries that were read, the last and empty one included."""
    problem: str | None = None
    """Why CPython refuses the definition, where it does."""


class _Reader:
    def __init__(self, machine: Machine, version: tuple[int, int]) -> None:
        self.machine, self.version = machine, version
        self.gil: int | None = None
        self.create = 0
        self.executes: list[int] = []
        self.problem: str | None = None
        self.count = 0

    def read(self, address: int, *, modern: bool, depth: int = 0) -> None:
        """Walk one array of 16-byte entries: `PyModuleDef_Slot`, or `PySlot` where `modern`."""
        if depth >= _MAX_NESTING:
            self.problem = "slots are nested too deeply"
            return
        while self.problem is None:
            self.count += 1
            if self.count > _MAX_SLOTS:
                self.problem = "the slots have no end"
                return
            raw = self.machine.read(address, 16)
            address += 16
            if modern:
                number, flags, _, value = struct.unpack("<HHIQ", raw)
            else:
                number, flags, value = struct.unpack("<i4xQ", raw)[0], 0, int.from_bytes(raw[8:], "little")
            if number == 0:
                return
            if self.version >= (3, 15):
                number = _RENUMBERED.get(number, number)
                if number in (_SUBSLOTS, _MODULE_SLOTS):
                    if value:
                        self.read(value, modern=number == _SUBSLOTS, depth=depth + 1)
                    continue
            self._take(number, flags, value)

    def _take(self, number: int, flags: int, value: int) -> None:
        if number == PY_MOD_CREATE:
            if self.create:
                self.problem = "it has more than one create slot"
            self.create = value
        elif number == PY_MOD_EXEC:
            self.executes.append(value)
        elif number == PY_MOD_GIL:
            if self.gil is not None:
                self.problem = "it has more than one GIL slot"
            self.gil = value
        elif number == PY_MOD_MULTIPLE_INTERPRETERS or (
            self.version >= (3, 15) and (number <= _LAST_SLOT_315 or flags & _OPTIONAL)
        ):
            pass
        else:
            self.problem = f"it has a slot with the unknown identifier {number}"


def read_slots(machine: Machine, address: int, *, modern: bool, version: tuple[int, int]) -> Slots:
    """Read a slot array at the address (null is an empty one). Raise `MemoryFault` where it leaves memory.

    `modern` arrays are of `PySlot` (PEP 820), as `PyModExport_…` returns them.
    """
    reader = _Reader(machine, version)
    if address:
        reader.read(address, modern=modern)
    return Slots(
        gil=reader.gil,
        create=reader.create,
        executes=tuple(reader.executes),
        entries=reader.count,
        problem=reader.problem,
    )


def definition_slots(machine: Machine, definition: int, layout: Layout) -> int:
    """Return `m_slots` of a `PyModuleDef`: the eighth word after the header (Include/moduleobject.h)."""
    return machine.read_word(definition + layout.head + 7 * 8)
