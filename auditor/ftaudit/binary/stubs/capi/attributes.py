"""The C API's answers about attributes: values that the code set itself, or plausible ones."""

from __future__ import annotations

import re
import struct

from ftaudit.binary.emulator.emulated_process import Halt
from ftaudit.binary.stubs.capi.emulated_python import Python, registry
from ftaudit.binary.stubs.capi.objects_in_memory import Object

SPEC = "spec"
"""The name of the `ModuleSpec` that the create slot receives: it has all its attributes."""

ATTRIBUTE_ANSWERS, answers = registry()


# Attributes


def attribute(python: Python, owner: int, name: str) -> int:
    """Return the attribute of an object: one that the code set itself, or one that is plausible."""
    known = python.objects.get(owner)
    if known is None:
        known = python.objects.known.setdefault(owner, Object("object"))
    found = known.attributes.get(name)
    if found is None and known.origin in ("create", "new") and name not in _MODULE_ATTRIBUTES:
        found = own_function(python, known, name)
        if not found:
            return python.fail("PyExc_AttributeError")
    if found is None:
        found = known.attributes[name] = _plausible(python, known, name)
        if known.name != SPEC:
            python.made_up.add(found)
        elif name not in ("name", "parent", "submodule_search_locations"):
            python.vague.add(found)
    if found in python.made_up:
        python.process.guess(f"{known.name or 'an object'}.{name}")
    return found


def own_function(python: Python, module: Object, name: str) -> int:
    """Return the function of that name from the definition of a module that the code made, or 0."""
    if name not in _methods(python, module):
        return 0
    made = module.attributes[name] = python.objects.new("callable", name=name)
    return made


def _methods(python: Python, module: Object) -> list[str]:
    """Return the names of the functions that a module's definition lists (`m_methods`)."""
    names: list[str] = []
    machine = python.process.machine
    if module.definition:
        entry = machine.read_word(module.definition + python.objects.layout.head + 48)
        while entry and len(names) < 4096 and (name := machine.read_word(entry)):
            names.append(machine.read_text(name))
            entry += 32
    return names


def _plausible(python: Python, owner: Object, name: str) -> int:
    objects, process = python.objects, python.process
    match name:
        case "__name__" | "__qualname__" | "name" | "__module__" | "origin" | "__file__" | "parent":
            text = python.module_name if name in ("name", "__name__") else owner.name or "module"
            return objects.text(text)
        case "version" if owner.name == "sys":
            return objects.text(python.version_text())
        case "maxsize" | "hexversion":
            value = python.version[0] << 24 | python.version[1] << 16 | 0xF0
            return objects.integer(value if name == "hexversion" else (1 << 63) - 1)
        case "__version__":
            return objects.text("2.0.0")
        case "__dict__" | "__pyx_capi__":
            return objects.new("dict", name=f"{owner.name}.{name}")
        case "version_info":
            return objects.sequence("tuple", [objects.integer(v) for v in (*python.version, 0)])
        case "__all__":
            return objects.sequence("list", [])
        case "submodule_search_locations" | "__path__" | "__doc__":
            return process.symbol("_Py_NoneStruct")
    if "API" in name or name.startswith(("_C_", "init_")) or "capi" in name.lower() or "capsule" in name.lower():
        return objects.new("capsule", name=f"{owner.name}.{name}")
    if name[:1].isupper() or name in _BUILTIN_TYPES or (owner.name == "numpy" and _SCALAR_TYPE.fullmatch(name)):
        return objects.type(f"{owner.name}.{name}")
    made = objects.new("object", name=f"{owner.name}.{name}", size=256)
    if owner.name.partition(".")[0] == "numpy":
        counts = struct.pack("<iii", *_UFUNCS.get(name, (2, 1, 3)))
        process.machine.write(made + objects.layout.head, counts)
    return made


_UNARY = """
absolute arccos arccosh arcsin arcsinh arctan arctanh bitwise_count cbrt ceil conjugate cos cosh deg2rad degrees exp
exp2 expm1 fabs floor invert isfinite isinf isnan isnat log log10 log1p log2 logical_not negative positive rad2deg
radians reciprocal rint sign signbit sin sinh spacing sqrt square tan tanh trunc
"""
_UFUNCS = {
    **dict.fromkeys(_UNARY.split(), (1, 1, 2)),
    "frexp": (1, 2, 3), "modf": (1, 2, 3), "divmod": (2, 2, 4), "clip": (3, 1, 4),
}  # fmt: skip
"""`nin`, `nout` and `nargs` of NumPy's universal functions, which stand first in `PyUFuncObject`
(numpy/_core/include/numpy/ufuncobject.h): code that adds a loop to one checks them. Most take two and give one."""

_MODULE_ATTRIBUTES = frozenset(
    {"__name__", "__doc__", "__dict__", "__loader__", "__package__", "__spec__", "__class__"}
)
_BUILTIN_TYPES = frozenset(
    {"dtype", "ndarray", "ufunc", "type", "object", "int", "str", "float", "dict", "list", "tuple"}
)
_SCALAR_TYPE = re.compile(
    r"generic|bool_?|number|inexact|floating|character|flexible|void|(?:un)?signedinteger|integer|u?int(?:8|16|32|64|p|c)?_?|"
    r"u?(?:byte|short|long|longlong)|half|single|double|longdouble|float(?:16|32|64|128)?_?|complex\d*_?|"
    r"complexfloating|c(?:single|double|longdouble)|datetime64|timedelta64|str_|bytes_|object_"
)
"""NumPy's types of scalars."""


@answers("PyObject_GetAttrString")
def _get_attribute_string(python: Python) -> int:
    owner = python.argument(0)
    if not owner:
        raise Halt("an attribute of null is read")
    return attribute(python, owner, python.string(1))


@answers("PyObject_GetAttr", "PyObject_GenericGetAttr")
def _get_attribute(python: Python) -> int:
    owner = python.argument(0)
    if not owner:
        raise Halt("an attribute of null is read")
    return attribute(python, owner, text_of(python, 1))


@answers("PyObject_GetOptionalAttr", "PyObject_GetOptionalAttrString")
def _optional_attribute(python: Python) -> int:
    by_text = python.process.current.endswith("String")
    name = python.string(1) if by_text else text_of(python, 1)
    found = attribute(python, python.argument(0), name)
    python.error = 0
    python.process.machine.write_word(python.argument(2), found)
    return int(found != 0)


@answers("PyObject_SetAttrString")
def _set_attribute_string(python: Python) -> int:
    return _set(python, python.string(1))


@answers("PyObject_SetAttr", "PyObject_GenericSetAttr")
def _set_attribute(python: Python) -> int:
    return _set(python, text_of(python, 1))


def _set(python: Python, name: str) -> int:
    owner = python.objects.known.setdefault(python.argument(0), Object("object"))
    owner.attributes[name] = python.argument(2)
    return 0


@answers("PyObject_HasAttrString", "PyObject_HasAttrStringWithError")
def _has_attribute_string(python: Python) -> int:
    return _has(python, python.string(1))


@answers("PyObject_HasAttr", "PyObject_HasAttrWithError")
def _has_attribute(python: Python) -> int:
    return _has(python, text_of(python, 1))


def _has(python: Python, name: str) -> int:
    known = python.objects.get(python.argument(0))
    if known is not None and (name in known.attributes or known.origin in ("create", "new")):
        return int(name in known.attributes or own_function(python, known, name) != 0)
    return python.process.oracle.ask(f"hasattr {name}", 2)


def text_of(python: Python, index: int) -> str:
    """Return the value of a str argument, or a name that no attribute has."""
    known = python.objects.get(python.argument(index))
    if python.argument(index) in python.vague:
        python.process.guess("an attribute of the module's spec")
    return str(known.value) if known is not None and known.kind == "str" else "?"


@answers("PyObject_Str", "PyObject_Repr", "PyObject_ASCII")
def _object_text(python: Python) -> int:
    """Return the text of a number or a string; of another object something that stands for it."""
    known = python.objects.get(python.argument(0))
    if known is not None and known.kind in ("int", "str"):
        return python.objects.text(str(known.value))
    python.process.guess(python.process.current)
    return python.objects.text(f"<{known.name if known else 'object'}>")
