"""The C API's answers about dictionaries: the code's own, those of modules, and others'."""

from __future__ import annotations

from ftaudit.binary.stubs.capi.attributes import attribute, own_function
from ftaudit.binary.stubs.capi.emulated_python import Python, registry
from ftaudit.binary.stubs.capi.objects_in_memory import Object

DICT_ANSWERS, answers = registry()


@answers("PyDict_New", "_PyDict_NewPresized")
def _dict_new(python: Python) -> int:
    return python.objects.new("dict")


_EMPTY = frozenset({"PyInterpreterState_GetDict()", "PyThreadState_GetDict()"})
"""Dictionaries in which a new interpreter has nothing: extension modules keep there what they share."""


def _key(python: Python, index: int) -> object:
    known = python.objects.get(python.argument(index))
    return known.value if known is not None and known.kind in ("str", "int", "bytes") else python.argument(index)


def _asked(python: Python) -> object:
    """Return the key in the second argument: a text if the function's name says so."""
    return python.string(1) if python.process.current.endswith("String") else _key(python, 1)


def _record(python: Python, address: int) -> Object:
    return python.objects.known.setdefault(address, Object("dict"))


@answers("PyDict_SetItemString", "PyMapping_SetItemString")
def _dict_set_string(python: Python) -> int:
    _record(python, python.argument(0)).items[python.string(1)] = python.argument(2)
    return 0


@answers("PyDict_SetItem", "PyObject_SetItem", "_PyDict_SetItem_KnownHash")
def _dict_set(python: Python) -> int:
    _record(python, python.argument(0)).items[_key(python, 1)] = python.argument(2)
    return 0


@answers("PyDict_GetItemString", "_PyDict_GetItemStringWithError")
def _dict_get_string(python: Python) -> int:
    return _found(python, python.string(1))


@answers("PyDict_GetItem", "PyDict_GetItemWithError", "_PyDict_GetItem_KnownHash")
def _dict_get(python: Python) -> int:
    return _found(python, _key(python, 1))


@answers("PyDict_GetItemRef")
def _dict_get_reference(python: Python) -> int:
    return _reference_out(python, _key(python, 1), python.argument(2))


@answers("PyDict_GetItemStringRef")
def _dict_get_string_reference(python: Python) -> int:
    return _reference_out(python, python.string(1), python.argument(2))


def _reference_out(python: Python, key: object, where: int) -> int:
    found = _found(python, key)
    python.process.machine.write_word(where, found)
    return int(found != 0)


@answers("PyDict_SetDefault")
def _dict_default(python: Python) -> int:
    return _record(python, python.argument(0)).items.setdefault(_key(python, 1), python.argument(2))


@answers("PyDict_SetDefaultRef")
def _dict_default_reference(python: Python) -> int:
    items = _record(python, python.argument(0)).items
    was_there = _key(python, 1) in items
    value = items.setdefault(_key(python, 1), python.argument(2))
    if python.argument(3):
        python.process.machine.write_word(python.argument(3), value)
    return int(was_there)


@answers("PyDict_Contains", "PyDict_ContainsString")
def _dict_contains(python: Python) -> int:
    return int(_found(python, _asked(python)) != 0)


def dictionary_item(python: Python) -> int:
    """Return what the dictionary in the first argument holds under the key in the second, or 0."""
    return _found(python, _asked(python))


def _found(python: Python, key: object) -> int:
    """Look a key up: in a dictionary of the code's own what it put there, in another's what is plausible."""
    known = python.objects.get(python.argument(0))
    if known is None:
        python.process.guess("a dictionary of another module")
        return 0
    if key in known.items:
        return known.items[key]
    if known.kind == "object":
        # Another module's object: any name that is looked up in it exists.
        if python.process.oracle.ask(f"{known.name}[{key!r}]", 2) == 0:
            known.items[key] = python.objects.new("object", name=f"{known.name}[{key!r}]")
        return known.items.get(key, 0)
    holder = python.objects.get(known.value) if isinstance(known.value, int) else None
    if holder is not None and holder.origin in ("create", "new"):
        return own_function(python, holder, key) if isinstance(key, str) else 0
    if known.name.endswith(("__dict__", "__pyx_capi__")) and isinstance(key, str):
        owner = known.name.removesuffix(".__dict__")
        module = python.modules.get(owner)
        if module is not None:
            found = python.objects.known[module].attributes.get(key)
            if found is None and python.process.oracle.ask(f"{owner}.{key}", 2):
                found = attribute(python, module, key)
            if found:
                python.process.guess(f"{owner}.{key}")
            return found or 0
    if (known.name and known.name not in _EMPTY) or known.value is not None:
        python.process.guess(f"{known.name or 'a dictionary'}[{key!r}]")
    return 0


@answers("PyDict_Next")
def _dict_next(python: Python) -> int:
    return 0


@answers("PyObject_GetItem", "PyMapping_GetItemString")
def _item(python: Python) -> int:
    key = _asked(python)
    return _found(python, key) or python.objects.new("object", name=f"[{key}]")
