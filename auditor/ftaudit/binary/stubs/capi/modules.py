"""The C API's answers about modules, definitions, imports and capsules: the calls that make a declaration."""

from __future__ import annotations

import struct

from ftaudit.binary.emulator.emulated_process import HandOver, Process, Sealed
from ftaudit.binary.stubs.capi import nanobind_backend
from ftaudit.binary.stubs.capi.attributes import attribute, text_of
from ftaudit.binary.stubs.capi.emulated_python import Python, registry
from ftaudit.binary.stubs.capi.objects_in_memory import Object
from ftaudit.cpython.layouts import is_own_definition

MODULE_ANSWERS, answers = registry()

CFFI_BACKEND = "_cffi_backend"
MYPYC_GROUP = "__mypyc"
"""The suffix of modules that hold mypyc's code for a group of modules (mypyc/build.py)."""
TABLE_ENTRIES = 512
"""Entries of an imported table of functions; NumPy's largest has some 380."""


@answers("PyModuleDef_Init")
def _definition_init(python: Python) -> int:
    definition = python.argument(0)
    machine = python.process.machine
    if definition:
        _note_build(python, definition)
        python.definitions.add(definition)
        address = definition + python.objects.layout.type_field
        machine.write_word(address, python.objects.type("PyModuleDef_Type"))
    return definition


def _note_build(python: Python, definition: int) -> None:
    """Return the build that a definition was laid out for, by the header from `PyModuleDef_HEAD_INIT`.

    With `Py_GIL_DISABLED` (Include/object.h) that is a zero thread id and, at 12, an immortal's local count of
    all ones; without, the immortal reference count and a null type.
    """
    start, flags, count = struct.unpack("<QII", python.process.machine.read(definition, 16))
    if definition not in python.definitions and not is_own_definition(flags & 0xFFFF, python.version):
        python.foreign_definition = True
    if start == 0 and count == 0xFFFF_FFFF:
        python.built_free_threaded = True
    elif start != 0 and flags == count == 0:
        python.built_free_threaded = False


@answers("PyModule_Create2", "PyModule_FromDefAndSpec2")
def _module_create(python: Python) -> int:
    definition = python.argument(0)
    _note_build(python, definition)
    module = python.module(python.module_name, origin="create")
    python.created = True
    python.objects.known[module].definition = definition
    return module


@answers("PyModule_NewObject")
def _module_new_object(python: Python) -> int:
    name = python.objects.get(python.argument(0))
    return python.module(str(name.value) if name else "", origin="new")


@answers("PyModule_New")
def _module_new(python: Python) -> int:
    return python.module(python.string(0), origin="new")


@answers("PyUnstable_Module_SetGIL")
def _set_gil(python: Python) -> int:
    known = python.objects.get(python.argument(0))
    if known is None or known.kind != "module":
        python.fail("PyExc_SystemError")
        return -1
    known.gil = python.argument(1)
    python.guessed = len(python.process.oracle.guesses)
    if (calls := python.process.calls_flow) is not None:
        python.declared_by = python.declared_by or calls.flow.name(calls.flow.strong(calls.labels_of(1)))
        if python.seals:
            raise Sealed(known.gil)
    return 0


@answers("PyModule_GetDict")
def _module_dict(python: Python) -> int:
    return _module(python).attributes.get("__dict__", 0) or python.objects.new("dict")


@answers("PyModule_GetNameObject")
def _module_name_object(python: Python) -> int:
    return python.objects.text(_module(python).name)


@answers("PyModule_GetName")
def _module_name(python: Python) -> int:
    return python.process.text(_module(python).name)


@answers("PyModule_GetDef")
def _module_definition(python: Python) -> int:
    return _module(python).definition


@answers("PyModule_GetState", "PyType_GetModuleState")
def _module_state(python: Python) -> int:
    known = _module(python)
    state = known.items.get("state")
    if state is None:
        size = 0
        if known.definition:
            size = python.process.machine.read_int(known.definition + python.objects.layout.head + 40)
        state = known.items["state"] = python.process.allocate(min(max(size, 4096), 1 << 20))
    return state


@answers("PyModule_Check")
def _module_check(python: Python) -> int:
    return int(python.objects.kind_of(python.argument(0)) == "module")


@answers("PyModule_AddObject", "PyModule_AddObjectRef", "PyModule_Add")
def _module_add(python: Python) -> int:
    value = python.argument(2)
    if not value:
        if not python.error:
            python.fail("PyExc_SystemError")
        return -1
    _module(python).attributes[python.string(1)] = value
    return 0


@answers("PyModule_AddType")
def _module_add_type(python: Python) -> int:
    return 0


@answers("PyModule_AddIntConstant")
def _module_add_int(python: Python) -> int:
    _module(python).attributes[python.string(1)] = python.objects.integer(python.argument(2))
    return 0


@answers("PyModule_AddStringConstant")
def _module_add_string(python: Python) -> int:
    _module(python).attributes[python.string(1)] = python.objects.text(python.string(2))
    return 0


def _module(python: Python) -> Object:
    """Return the facts about the module in the first argument; an unknown one gets a new record."""
    address = python.argument(0)
    known = python.objects.get(address)
    if known is None:
        known = python.objects.known[address] = Object("object")
    return known


@answers("PyState_FindModule")
def _state_find(python: Python) -> int:
    return python.capsules.get(f"state {python.argument(0)}", 0)


@answers("PyState_AddModule")
def _state_add(python: Python) -> int:
    python.capsules[f"state {python.argument(1)}"] = python.argument(0)
    return 0


# Imports


@answers(
    "PyImport_ImportModule", "PyImport_ImportModuleNoBlock", "PyImport_AddModule", "PyImport_AddModuleRef",
)  # fmt: skip
def _import_module(python: Python) -> int:
    return _import(python, python.string(0))


@answers(
    "PyImport_Import", "PyImport_GetModule", "PyImport_AddModuleObject", "PyImport_ImportModuleLevelObject",
    "PyImport_ReloadModule",
)  # fmt: skip
def _import_object(python: Python) -> int:
    known = python.objects.get(python.argument(0))
    if python.process.current == "PyImport_GetModule":
        name = str(known.value) if known else ""
        return python.modules.get(name, 0)
    return _import(python, str(known.value) if known and known.kind == "str" else "?")


@answers("PyImport_ImportModuleLevel")
def _import_level(python: Python) -> int:
    return _import(python, python.string(0))


@answers("PyImport_GetModuleDict")
def _module_table(python: Python) -> int:
    return _named_dict(python, "sys.modules")


def _named_dict(python: Python, name: str) -> int:
    holder = python.imported("sys")
    attributes = python.objects.known[holder].attributes
    if name not in attributes:
        attributes[name] = python.objects.new("dict", name=name)
    return attributes[name]


def _import(python: Python, name: str) -> int:
    if name.endswith(MYPYC_GROUP) and name not in python.modules:
        raise HandOver(name)
    if name not in python.loaded and not python.process.current.startswith("PyImport_AddModule"):
        python.process.guess(python.process.current)
    return python.imported(name)


@answers("PyImport_ImportModuleAttrString")
def _import_attribute(python: Python) -> int:
    return attribute(python, _import(python, python.string(0)), python.string(1))


# Capsules


@answers("PyCapsule_New")
def _capsule_new(python: Python) -> int:
    pointer, name = python.argument(0), python.string(1)
    if name:
        python.capsules[name] = pointer
    return python.objects.new("capsule", name=name, value=pointer)


@answers("PyCapsule_GetPointer")
def _capsule_pointer(python: Python) -> int:
    known, name = python.objects.get(python.argument(0)), python.string(1)
    if known is not None and known.kind == "capsule" and isinstance(known.value, int):
        return known.value
    python.process.guess(f"the capsule {name}")
    return table(python, name or (known.name if known else ""))


@answers("PyCapsule_Import")
def _capsule_import(python: Python) -> int:
    name = python.string(0)
    if name not in python.capsules:
        python.process.guess("PyCapsule_Import")
    return python.capsules.get(name) or table(python, name)


@answers("PyCapsule_GetName")
def _capsule_name(python: Python) -> int:
    known = python.objects.get(python.argument(0))
    if known is None or not isinstance(known.value, int):
        python.process.guess("PyCapsule_GetName()")
    return python.process.text(known.name) if known and known.name else 0


@answers("PyCapsule_IsValid")
def _capsule_valid(python: Python) -> int:
    known = python.objects.get(python.argument(0))
    if known is None or not isinstance(known.value, int):
        python.process.guess("PyCapsule_IsValid()")
    return int(python.argument(0) != 0)


@answers("PyCapsule_GetContext", "PyCapsule_GetDestructor")
def _capsule_context(python: Python) -> int:
    known = python.objects.get(python.argument(0))
    return known.items.get("context", 0) if known else 0


@answers("PyCapsule_SetContext")
def _capsule_set_context(python: Python) -> int:
    known = python.objects.get(python.argument(0))
    if known:
        known.items["context"] = python.argument(1)
    return 0


def table(python: Python, name: str) -> int:
    """Return another extension's table of functions and types, as its capsule would hold."""
    key = f"table {name}"
    known = python.capsules.get(key)
    if known is not None:
        return known
    process, objects = python.process, python.objects
    start = python.capsules[key] = process.allocate(8 * TABLE_ENTRIES)
    # The content of a table is unknown: each entry can be called, and looks like a type.
    entry = objects.type(f"{name or 'capsule'}[…]")
    process.handlers[entry] = _entry
    content = bytearray(entry.to_bytes(8, "little") * TABLE_ENTRIES)
    if not name or "ARRAY_API" in name:
        for index in _NUMPY_ANSWERS:
            content[8 * index : 8 * index + 8] = process.symbol(f"numpy[{index}]").to_bytes(8, "little")
    process.machine.write(start, bytes(content))
    process.unknown_memory(start, len(content), f"the capsule {name}")
    return start


def _entry(process: Process) -> int:
    """Answer a function of a table: an object, which as a status is not an error either."""
    choice = process.oracle.ask(process.current, 4)
    if choice in (1, 2):
        return choice - 1
    result = process.handle(512)
    process.unsure.add(result)
    if choice == 0:
        inner = process.handle(1024)
        process.machine.write(inner, bytes(8))
        process.machine.write(result + 32, inner.to_bytes(8, "little") * 60)
    return result


_NUMPY_ANSWERS = {0: 0x0200_0000, 210: 1, 211: 0x1000}
"""`PyArray_GetNDArrayCVersion` (the ABI of NumPy 2), `PyArray_GetEndianness` (little) and
`PyArray_GetNDArrayCFeatureVersion` (newer than any build asks for); numpy/_core/code_generators/numpy_api.py."""


def numpy_answer(name: str) -> int | None:
    """Return the answer of a function of NumPy's table that an import of the table calls."""
    return _NUMPY_ANSWERS.get(int(name[6:-1])) if name.startswith("numpy[") else None


# Calls


@answers(
    "PyObject_CallMethod", "_PyObject_CallMethod_SizeT", "_PyObject_CallMethod", "PyObject_CallMethodObjArgs",
)  # fmt: skip
def _call_method(python: Python) -> int:
    name = text_of(python, 1) if python.process.current.endswith("ObjArgs") else python.string(1)
    owner = python.objects.get(python.argument(0))
    if name.startswith("_init_cffi_1_0_external_module") and owner is not None and owner.name == CFFI_BACKEND:
        # _cffi_backend makes the module with PyModule_Create and calls SetGIL(m, NOT_USED) for it: cffi 2.0,
        # src/c/cffi1_module.c.
        module = python.module(python.module_name, origin="cffi")
        python.objects.known[module].gil = 1
        return module
    if owner is not None and nanobind_backend.fill(python):
        return python.process.symbol("_Py_NoneStruct")
    return python.objects.new("object", name=f"{owner.name if owner else '?'}.{name}()")
