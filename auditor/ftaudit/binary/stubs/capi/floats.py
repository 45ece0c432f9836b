"""The C API's answers about floats and context variables, and its output arguments."""

from __future__ import annotations

from ftaudit.binary.stubs.capi.dicts import dictionary_item
from ftaudit.binary.stubs.capi.emulated_python import Python, registry

VALUE_ANSWERS, answers = registry()


@answers("PyFloat_FromDouble", "PyNumber_Float")
def _float(python: Python) -> int:
    """Make a float of no particular value: its source is in a floating-point register."""
    if python.process.current == "PyNumber_Float" and python.objects.kind_of(python.argument(0)) == "float":
        return python.argument(0)
    return python.objects.new("float", value=1.0)


@answers(
    "PyComplex_AsCComplex", "_Py_c_sum", "_Py_c_diff", "_Py_c_neg", "_Py_c_prod", "_Py_c_quot", "_Py_c_pow",
)  # fmt: skip
def _complex_value(python: Python) -> int:
    """Answer with a `Py_complex` of two doubles: in memory on Windows, else in registers, which are unchanged."""
    if python.process.format != "pe":
        return 0
    place = python.process.machine.result_object()
    python.process.machine.write(place, bytes(16))
    return place


def _leave(python: Python, index: int, value: int) -> int:
    """Write a pointer to the place that an argument points to, and return whether the argument is a pointer."""
    if python.argument(index):
        python.process.machine.write_word(python.argument(index), value)
    return int(value != 0)


@answers("PyContextVar_New")
def _context_variable(python: Python) -> int:
    variable = python.objects.new("object", name=f"ContextVar {python.string(0)}")
    python.objects.known[variable].items["default"] = python.argument(1)
    return variable


@answers("PyContextVar_Get")
def _context_value(python: Python) -> int:
    """Leave the value that the variable has in every context: its default, or the caller's."""
    known = python.objects.get(python.argument(0))
    own = known.items.get("default", 0) if known is not None else 0
    _leave(python, 2, python.argument(1) or own)
    return 0


@answers("PyMapping_GetOptionalItem", "PyMapping_GetOptionalItemString")
def _optional_item(python: Python) -> int:
    return _leave(python, 2, dictionary_item(python))


@answers("PyDict_Pop", "PyDict_PopString")
def _dict_pop(python: Python) -> int:
    found = dictionary_item(python)
    known = python.objects.get(python.argument(0))
    if known is not None:
        known.items = {key: value for key, value in known.items.items() if value != found}
    return _leave(python, 2, found)


@answers("PyWeakref_NewRef", "PyWeakref_NewProxy")
def _weak_reference(python: Python) -> int:
    reference = python.objects.new("object", name="weakref")
    python.objects.known[reference].items["object"] = python.argument(0)
    return reference


@answers("PyWeakref_GetRef")
def _weak_referent(python: Python) -> int:
    known = python.objects.get(python.argument(0))
    return _leave(python, 1, known.items.get("object", 0) if known is not None else 0)


@answers("PyBytes_AsStringAndSize")
def _bytes_and_size(python: Python) -> int:
    address, known = python.argument(0), python.objects.get(python.argument(0))
    if known is None or known.kind != "bytes":
        python.process.guess(f"{python.process.current}()")
    head = python.objects.layout.head
    _leave(python, 1, address + head + 16)
    _leave(python, 2, len(known.value) if known is not None and isinstance(known.value, bytes) else 0)
    return 0


@answers("PyLong_AsInt32", "PyLong_AsInt64", "PyLong_AsUInt32", "PyLong_AsUInt64")
def _int_to_place(python: Python) -> int:
    known = python.objects.get(python.argument(0))
    value = known.value if known is not None and isinstance(known.value, int) else 0
    if known is None or known.kind != "int":
        python.process.guess(f"{python.process.current}()")
    if python.process.current.endswith("32"):
        python.process.machine.write_int(python.argument(1), value)
    else:
        python.process.machine.write_word(python.argument(1), value)
    return 0
