"""Python objects as the emulated code sees them: headers, types and inline data of CPython's 64-bit builds."""

from __future__ import annotations

import builtins
import struct
from dataclasses import dataclass, field

from ftaudit.binary.emulator.emulated_process import Halt, Process
from ftaudit.binary.emulator.machine import Machine

READY_FLAGS = 1 << 8 | 1 << 10 | 1 << 12 | 1 << 18
"""IMMUTABLETYPE, BASETYPE, READY and DEFAULT of Include/object.h."""

_SUBCLASS_BITS = {
    "PyLong_Type": 24, "PyList_Type": 25, "PyTuple_Type": 26, "PyBytes_Type": 27,
    "PyUnicode_Type": 28, "PyDict_Type": 29, "PyBaseException_Type": 30, "PyType_Type": 31,
}  # fmt: skip

_KIND_TYPES = {
    "int": "PyLong_Type", "str": "PyUnicode_Type", "bytes": "PyBytes_Type", "float": "PyFloat_Type",
    "tuple": "PyTuple_Type", "list": "PyList_Type", "dict": "PyDict_Type", "set": "PySet_Type",
    "module": "PyModule_Type", "capsule": "PyCapsule_Type", "type": "PyType_Type", "def": "PyModuleDef_Type",
    "object": "PyBaseObject_Type", "none": "_PyNone_Type", "bool": "PyBool_Type", "callable": "PyCFunction_Type",
    "mappingproxy": "PyDictProxy_Type", "bytearray": "PyByteArray_Type", "complex": "PyComplex_Type",
}  # fmt: skip

TYPE_SIZE = 1024
NULL_SIZE = 64 << 10
"""Bytes after null that hold no data in any process; a field of a structure at null is nearer than that."""
NULL_NAME = "memory at null"
_TYPE_FUNCTIONS = {
    48: "tp_dealloc", 88: "tp_repr", 120: "tp_hash", 128: "tp_call", 136: "tp_str", 144: "tp_getattro",
    152: "tp_setattro", 200: "tp_richcompare", 296: "tp_init", 304: "tp_alloc", 312: "tp_new", 320: "tp_free",
}  # fmt: skip
"""Offsets in `PyTypeObject` of a GIL build (Include/cpython/object.h) of the slots that a ready type has."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of objects in one build of CPython."""

    free_threaded: bool
    version: tuple[int, int]

    @property
    def head(self) -> int:
        """Bytes of `PyObject`: 32 with `Py_GIL_DISABLED` (Include/object.h), else 16."""
        return 32 if self.free_threaded else 16

    @property
    def type_field(self) -> int:
        """Offset of `ob_type`."""
        return self.head - 8

    def type_offset(self, gil_offset: int) -> int:
        """Turn an offset in `PyTypeObject` of a GIL build into this build's."""
        return gil_offset + self.head - 16

    def header(self, machine: Machine, type_address: int) -> bytes:
        """Return an immortal object's header.

        Its first bytes are a `ret` instruction, so that anything the code takes for a function can be called.
        As a thread id they match no thread; as a reference count, with the top bits set, they mean immortal.
        """
        code = int.from_bytes(machine.convention.return_code, "little")
        if self.free_threaded:
            return struct.pack("<QIIQQ", code, 0, 0xFFFF_FFFF, 0, type_address)
        return struct.pack("<QQ", code | 0xC000_0000, type_address)


@dataclass(slots=True)
class Object:
    """The facts about one Python object in addition to its memory."""

    kind: str
    name: str = ""
    value: object = None
    attributes: dict[object, int] = field(default_factory=dict)
    """By name."""
    items: dict[object, int] = field(default_factory=dict)
    gil: int | None = None
    """A module's `md_gil` as set by `PyUnstable_Module_SetGIL`."""
    definition: int = 0
    """A module's `PyModuleDef`, 0 if it has none."""
    origin: str = ""
    """The module's origin: its own code (`create`), or another package (`import`, `cffi`)."""


class Objects:
    """Makes objects and knows them by address."""

    def __init__(self, process: Process, layout: Layout) -> None:
        self.process = process
        self.layout = layout
        self.known: dict[int, Object] = {}
        self._types: dict[str, int] = {}
        self._orders: dict[int, list[int]] = {}
        self._strings: dict[str, int] = {}
        self._nothing = 0

    def get(self, address: int) -> Object | None:
        """Return the facts about the object at the address."""
        return self.known.get(address)

    def new(self, kind: str, *, name: str = "", value: object = None, size: int = 96, type_address: int = 0) -> int:
        """Return the address of a new object of one of CPython's own kinds."""
        process = self.process
        address = process.handle(size)
        kind_type = type_address or self.type(_KIND_TYPES[kind])
        process.machine.write(address, self.layout.header(process.machine, kind_type))
        self.known[address] = Object(kind, name, value)
        process.handlers[address] = _call_of_object
        process.names[address] = name or kind
        return address

    def type(self, name: str, *, base: int = 0, basic_size: int = 0) -> int:
        """Return the address of the built-in or invented type of that name."""
        address = self._types.get(name)
        if address is not None:
            return address
        process, layout = self.process, self.layout
        address = self._types[name] = process.handle(TYPE_SIZE)
        process.handlers[address] = _call_of_object
        process.names[address] = name
        metatype = self.type("PyType_Type")
        flags = READY_FLAGS | (1 << _SUBCLASS_BITS[name] if name in _SUBCLASS_BITS else 0)
        if name.startswith(("PyExc_", "_PyExc_")):
            flags |= 1 << 30
        root = 0 if name == "PyBaseObject_Type" else base or self.type(_base_of(name))
        self.known[address] = Object("type", name)
        # The tables of methods and of protocols that every ready type has, all of them empty.
        fields = dict.fromkeys((80, 96, 104, 112, 160, 232, 240, 248), self._empty_table())
        fields[24] = process.text(name)
        fields[32] = basic_size or (TYPE_SIZE if name == "PyType_Type" else 64)
        fields[168] = flags
        fields[256] = root
        fields[264] = self.new("dict")
        fields[336], fields[344] = self._bases(address, root)
        for offset, slot in _TYPE_FUNCTIONS.items():
            fields[offset] = process.symbol(f"{slot}@{'object' if slot != 'tp_new' else 'type'}")
        content = bytearray(TYPE_SIZE)
        header = layout.header(process.machine, metatype)
        content[: len(header)] = header
        for offset, value in fields.items():
            struct.pack_into("<Q", content, layout.type_offset(offset), value)
        process.machine.write(address, bytes(content))
        return address

    def _bases(self, address: int, root: int) -> tuple[int, int]:
        """Return a type's tuple of bases, and that of the order in which they are searched."""
        orders = self._orders
        order = [address, *orders.get(root, [root] if root else [])]
        orders[address] = order
        return self.sequence("tuple", [root] if root else []), self.sequence("tuple", order)

    def map_null(self) -> None:
        """Let every null pointer lead to an object of no particular type, however far from it a field is."""
        header = self.layout.header(self.process.machine, self.type("PyBaseObject_Type"))
        self.process.machine.map(0, NULL_SIZE)
        self.process.machine.write(0, header * (NULL_SIZE // len(header)))
        self.process.oracle.guesses.append(NULL_NAME)
        if (calls := self.process.calls_flow) is not None:
            calls.flow.open([(0, NULL_SIZE)], NULL_NAME)

    def _empty_table(self) -> int:
        if not self._nothing:
            self._nothing = self.process.allocate(512)
        return self._nothing

    def text(self, value: str) -> int:
        """Return the address of the string object with that value."""
        known = self._strings.get(value) if self.process.calls_flow is None else None
        if known is not None:
            return known
        raw = value.encode("latin-1", "replace")
        head = self.layout.head
        address = self.new("str", value=value, size=head + 40 + len(raw))
        # kind 1, compact, ascii: bit fields after two (GIL) or eight (free-threaded) bits of `interned`.
        shift = 8 if self.layout.free_threaded else 2
        state = (1 | 1 << 3 | 1 << 4) << shift
        self.process.machine.write(address + head, struct.pack("<qqII", len(raw), -1, state, 0)[:20])
        self.process.machine.write(address + head + 24, raw)
        self._strings[value] = address
        return address

    def integer(self, value: int) -> int:
        """Return the address of a new int object."""
        head, magnitude = self.layout.head, abs(value)
        digits = []
        while magnitude:
            digits.append(magnitude & 0x3FFF_FFFF)
            magnitude >>= 30
        sign = 1 if not value else 0 if value > 0 else 2
        address = self.new("int", value=value, size=head + 16 + 4 * len(digits))
        content = struct.pack(f"<Q{max(len(digits), 1)}I", len(digits) << 3 | sign, *(digits or [0]))
        self.process.machine.write(address + head, content)
        return address

    def sequence(self, kind: str, items: list[int]) -> int:
        """Return the address of a new tuple or list."""
        head = self.layout.head
        address = self.new(kind, value=len(items), size=head + 64 + 8 * len(items))
        machine = self.process.machine
        machine.write_word(address + head, len(items))
        if kind == "list":
            start = self.process.allocate(8 * len(items) + 8)
            machine.write_word(address + head + 8, start)
        else:
            start = address + head + (16 if self.layout.version >= (3, 14) else 8)
        for index, item in enumerate(items):
            machine.write_word(start + 8 * index, item)
        return address

    def items_of(self, address: int) -> int:
        """Return where a tuple's or list's items start."""
        head = self.layout.head
        known = self.known.get(address)
        if known is not None and known.kind == "list":
            return self.process.machine.read_word(address + head + 8)
        return address + head + (16 if self.layout.version >= (3, 14) else 8)

    def type_of(self, address: int) -> int:
        """Return an object's type, by its header."""
        return self.process.machine.read_word(address + self.layout.type_field)

    def kind_of(self, address: int) -> str:
        """Return the kind of an object, or the empty string for one that is not known."""
        known = self.known.get(address)
        return known.kind if known is not None else ""


def _base_of(name: str) -> str:
    """Return the name of a built-in type's base: exceptions derive from each other as Python's own do."""
    exception = getattr(builtins, name.removeprefix("PyExc_"), None)
    if not name.startswith("PyExc_") or not isinstance(exception, type) or exception is BaseException:
        return (
            "PyBaseObject_Type"
            if name == "PyExc_BaseException"
            else "PyExc_Exception"
            if name.startswith("PyExc_")
            else "PyBaseObject_Type"
        )
    return f"PyExc_{exception.__base__.__name__}" if exception.__base__ else "PyBaseObject_Type"


def _call_of_object(process: Process) -> int:
    """Answer a call of a value that was returned as an object: an entry of an imported table of functions."""
    raise Halt(f"the module calls {process.current}, which is not a function")
