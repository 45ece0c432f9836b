"""The C API's answers about comparisons, arithmetic of ints, and lists and tuples that are built step by step."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from ftaudit.binary.stubs.capi.emulated_python import Python, registry

SEQUENCE_ANSWERS, answers = registry()

_LONGEST: Final = 1 << 12
"""How many items of a list are kept: a hostile module's loop may append more."""
_DEEPEST, _COMPARED = 3, 32
"""How deep tuples are compared, and how many items of each: a hostile one may contain itself many times."""
_WIDEST: Final = 4096
"""The most bits of an int that is still computed."""


# Lists and tuples


@answers("PyTuple_New", "PyList_New")
def _sequence_new(python: Python) -> int:
    kind = "tuple" if "Tuple" in python.process.current else "list"
    return python.objects.sequence(kind, [0] * min(python.argument(0), 1 << 16))


@answers("PyTuple_Pack")
def _tuple_pack(python: Python) -> int:
    count = min(python.argument(0), 64)
    return python.objects.sequence("tuple", [python.argument(1 + index, fixed=1) for index in range(count)])


@answers("PyTuple_SetItem", "PyList_SetItem")
def _sequence_set(python: Python) -> int:
    start = python.objects.items_of(python.argument(0))
    python.process.machine.write_word(start + 8 * python.argument(1), python.argument(2))
    return 0


@answers("PyTuple_GetItem", "PyList_GetItem", "PyList_GetItemRef")
def _sequence_get(python: Python) -> int:
    address, index = python.argument(0), python.argument(1)
    known = python.objects.get(address)
    size = known.value if known is not None and known.kind in ("tuple", "list") else None
    if not isinstance(size, int) or index >= size:
        python.process.guess(f"an item of {known.name if known and known.name else 'an object'}")
        return python.objects.new("object", name="item")
    return python.process.machine.read_word(python.objects.items_of(address) + 8 * index)


@answers("PyBytes_Size", "Py_SIZE", "PyTuple_Size", "PyList_Size", "PySequence_Size", "PySequence_Length")
def _size(python: Python) -> int:
    known = python.objects.get(python.argument(0))
    if known is None or known.kind not in ("bytes", "tuple", "list"):
        python.process.guess(f"the size of {known.name if known and known.name else 'an object'}")
        return 0
    return python.process.machine.read_word(python.argument(0) + python.objects.layout.head)


def items(python: Python, address: int) -> list[int] | None:
    """Return the items of a list or tuple that is known, else `None`."""
    known = python.objects.get(address)
    if known is None or known.kind not in ("tuple", "list") or not isinstance(known.value, int):
        return None
    machine, size = python.process.machine, min(known.value, _LONGEST)
    content = machine.read(python.objects.items_of(address), 8 * size) if size else b""
    return [int.from_bytes(content[start : start + 8], "little") for start in range(0, 8 * size, 8)]


@answers("PyList_Append", "PyList_Insert")
def _list_append(python: Python) -> int:
    inserts = python.process.current == "PyList_Insert"
    address, item = python.argument(0), python.argument(2 if inserts else 1)
    found = items(python, address)
    if found is None or not item or len(found) >= _LONGEST:
        return 0
    found.insert(python.argument(1) if inserts else len(found), item)
    _store(python, address, found)
    return 0


def _store(python: Python, address: int, content: list[int]) -> None:
    """Give a list new items, in new memory if they outgrow its memory."""
    process, head = python.process, python.objects.layout.head
    known = python.objects.known[address]
    start = process.machine.read_word(address + head + 8)
    if 8 * len(content) + 8 > process.blocks.get(start, 0):
        start = process.allocate(16 * len(content) + 64)
        process.machine.write_word(address + head + 8, start)
    process.machine.write(start, b"".join(item.to_bytes(8, "little") for item in content))
    process.machine.write_word(address + head, len(content))
    known.value = len(content)


@answers("PySequence_Tuple", "PyList_AsTuple", "PySequence_List", "PySequence_Fast")
def _sequence_of(python: Python) -> int:
    found = items(python, python.argument(0))
    kind = "list" if python.process.current == "PySequence_List" else "tuple"
    return python.objects.sequence(kind, found or [])


@answers("PyTuple_GetSlice", "PyList_GetSlice", "PySequence_GetSlice")
def _sequence_slice(python: Python) -> int:
    found = items(python, python.argument(0))
    kind = "list" if "List" in python.process.current else "tuple"
    return python.objects.sequence(kind, (found or [])[python.argument(1) : python.argument(2)])


# Comparisons

_COMPARISONS: tuple[Callable[[Any, Any], bool], ...] = (
    operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge,
)  # fmt: skip
"""By the number of `Py_LT` and similar constants (Include/object.h)."""
_EQUAL, _UNEQUAL = 2, 3


def _compared(python: Python, left: int, right: int, number: int) -> bool | None:
    """Return how two objects compare, or `None` if that is not known."""
    if number in (_EQUAL, _UNEQUAL) and (told := _same(python, left, right)) is not None:
        return told is (number == _EQUAL)
    if number >= len(_COMPARISONS):
        return None
    first, second = _value(python, left, _DEEPEST), _value(python, right, _DEEPEST)
    if first is None or second is None:
        return None
    try:
        return _COMPARISONS[number](first, second)
    except TypeError:
        return None


def _same(python: Python, left: int, right: int) -> bool | None:
    """Return whether two objects are equal if that shows at once: NumPy compares tuples of types by the thousand."""
    if left == right:
        return True
    first, second = items(python, left), items(python, right)
    if first is None or second is None:
        return None
    if first == second or len(first) != len(second):
        return first == second
    known = python.objects.known
    differing = next(pair for pair in zip(first, second, strict=True) if pair[0] != pair[1])
    kinds = {known[item].kind if item in known else "" for item in differing}
    return False if kinds == {"type"} else None


def _value(python: Python, address: int, depth: int) -> object:
    """Return a value that stands for an object, or `None`: types and modules stand for themselves."""
    known = python.objects.get(address)
    if known is None:
        return None
    if known.kind in ("int", "str", "bytes"):
        return known.value
    if known.kind in ("type", "module", "none", "bool"):
        return (known.kind, address)
    found = items(python, address) if depth else None
    if found is None or len(found) > _COMPARED:
        return None
    values = tuple(_value(python, item, depth - 1) for item in found)
    return None if None in values else values


@answers("PyObject_RichCompareBool")
def _compare_to_bool(python: Python) -> int:
    return int(_compared(python, python.argument(0), python.argument(1), python.argument(2)) or False)


@answers("PyObject_RichCompare")
def _compare(python: Python) -> int:
    told = _compared(python, python.argument(0), python.argument(1), python.argument(2))
    if told is None:
        return python.objects.new("object", name="PyObject_RichCompare()")
    return python.process.symbol("_Py_TrueStruct" if told else "_Py_FalseStruct")


# Arithmetic

_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "Add": operator.add, "Subtract": operator.sub, "Multiply": operator.mul, "FloorDivide": operator.floordiv,
    "Remainder": operator.mod, "And": operator.and_, "Or": operator.or_, "Xor": operator.xor,
    "Lshift": operator.lshift, "Rshift": operator.rshift, "Power": operator.pow,
}  # fmt: skip


@answers(*(f"PyNumber_{name}" for name in _ARITHMETIC), *(f"PyNumber_InPlace{name}" for name in _ARITHMETIC))
def _arithmetic(python: Python) -> int:
    """Compute with ints; the result for anything else is an object."""
    name = python.process.current.removeprefix("PyNumber_").removeprefix("InPlace")
    left, right = _int(python, python.argument(0)), _int(python, python.argument(1))
    if left is not None and right is not None and _is_small(name, left, right):
        return python.objects.integer(_ARITHMETIC[name](left, right))
    return python.objects.new("object", name=f"{python.process.current}()")


def _is_small(name: str, left: int, right: int) -> bool:
    """Return whether the result is defined, and short enough to be computed."""
    if max(left.bit_length(), right.bit_length()) > _WIDEST:
        return False
    match name:
        case "FloorDivide" | "Remainder":
            return right != 0
        case "Lshift" | "Rshift":
            return 0 <= right <= _WIDEST
        case "Power":
            return 0 <= right <= _WIDEST and max(left.bit_length(), 1) * right <= _WIDEST
        case _:
            return True


@answers(
    "PyNumber_Negative", "PyNumber_Positive", "PyNumber_Invert", "PyNumber_Absolute", "PyNumber_Long", "PyNumber_Index"
)
def _unary(python: Python) -> int:
    value, name = _int(python, python.argument(0)), python.process.current.removeprefix("PyNumber_")
    if value is None:
        return python.objects.new("object", name=f"{python.process.current}()")
    if name in ("Positive", "Long", "Index"):
        return python.argument(0)
    return python.objects.integer({"Negative": -value, "Invert": ~value, "Absolute": abs(value)}[name])


def _int(python: Python, address: int) -> int | None:
    known = python.objects.get(address)
    return known.value if known is not None and known.kind == "int" and isinstance(known.value, int) else None
