"""nanobind 3's split mode: a backend of another distribution makes the definition of a module.

The module passes a table to the backend's `fill`, which puts its functions there if its platform is the same
(nanobind's src/nb_backend.cpp). One of them, `module_new`, makes the definition (src/nb_internals.cpp). Both are
frozen for a major version (include/nanobind/nb_backend.h).
"""

from __future__ import annotations

import re
import struct
from functools import partial
from typing import Final

from ftaudit.binary.emulator.emulated_process import Process
from ftaudit.binary.stubs.capi.emulated_python import Python, bound
from ftaudit.cpython.layouts import DEFINITION
from ftaudit.cpython.module_slots import ALIASES, NAMES

_FORMAT: Final = "(isO)"
_NAMED: Final = 3
"""Named parameters of `PyObject_CallMethod`."""
_MAJOR: Final = 1
_PLATFORM: Final = re.compile(r"nanobind_\w+?(_ft)?(?:_dev\d+)?")
"""The platform's tag, with a mark of the free-threaded build (include/nanobind/nb_platform.h)."""
_HEAD: Final = 8
"""Bytes of the table before its functions, of which the first two are their number."""
_MODULE_NEW: Final = 10
_NEW: Final = "module_new of nanobind's backend"
_MOST: Final = 1024
_NUMBERS: Final = {NAMES[now]: number for number, now in ALIASES.items()}
_DEFINITION_SIZE: Final = 88


def fill(python: Python) -> bool:
    """Answer a call of a backend's `fill`; return whether the call that is being answered is one."""
    process, machine = python.process, python.process.machine
    if python.string(1) != "fill" or python.string(2) != _FORMAT:
        return False
    major, tag, capsule = (python.argument(index, fixed=_NAMED) for index in range(_NAMED, _NAMED + 3))
    platform, known = _PLATFORM.fullmatch(machine.read_text(tag)), python.objects.get(capsule)
    if major & 0xFFFF_FFFF != _MAJOR or platform is None or known is None or known.name != platform[0]:
        return False
    if known.kind != "capsule" or not isinstance(known.value, int):
        return False
    (count,) = struct.unpack("<H", machine.read(known.value, 2))
    if not _MODULE_NEW < count <= _MOST:
        return False
    free_threaded = platform[1] is not None
    functions = [process.function(f"function {number} of nanobind's backend", _unknown) for number in range(count)]
    functions[_MODULE_NEW] = process.function(_NEW, bound(python, partial(_module_new, free_threaded=free_threaded)))
    process.exact.add(_NEW)
    machine.write(known.value + _HEAD, struct.pack(f"<{count}Q", *functions))
    return True


def _unknown(process: Process) -> int:
    return process.handle(256)


def _module_new(python: Python, *, free_threaded: bool) -> int:
    """Return a new definition: `module_new(name, doc, exec, flags)`."""
    process, head = python.process, python.objects.layout.head
    slots = [(_NUMBERS["Py_mod_exec"], python.argument(2))]
    slots += [(_NUMBERS["Py_mod_gil"], 1)] if free_threaded else []
    slots += [(_NUMBERS["Py_mod_multiple_interpreters"], 0), (0, 0)]
    array, definition = process.allocate(16 * len(slots)), process.allocate(head + _DEFINITION_SIZE)
    fields = {"m_name": python.argument(0), "m_doc": python.argument(1), "m_size": 8, "m_slots": array}
    process.machine.write(array, b"".join(struct.pack("<QQ", *slot) for slot in slots))
    for name, value in fields.items():
        process.machine.write_word(definition + head + DEFINITION[name], value)
    python.definitions.add(definition)
    python.built_free_threaded = free_threaded
    return definition
