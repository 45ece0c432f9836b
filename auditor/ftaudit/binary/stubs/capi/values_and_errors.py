"""The C API's answers about errors, text and numbers."""

from __future__ import annotations

import struct

from ftaudit.binary.stubs.capi.emulated_python import Answer, Python, registry
from ftaudit.binary.stubs.capi.names import RETURNS_OBJECT
from ftaudit.binary.stubs.capi.objects_in_memory import Object
from ftaudit.binary.stubs.capi.types import derives

OBJECT_ANSWERS, answers = registry()

_SIGNED = 1 << 63


def _signed(value: int) -> int:
    return value - (1 << 64) if value & _SIGNED else value


# Errors

ERROR_OCCURRED = "PyErr_Occurred()"


def invert_error(python: Python) -> None:
    """Set an exception where none is set, and the reverse: the code takes the path of the other answer."""
    _set(python, 0 if python.error else python.objects.new("object", name="exception"))


def _set(python: Python, error: int) -> None:
    """Let this be the exception that is set, or 0 for none, whatever was set before."""
    python.error = error
    if python.process.calls_flow is not None:
        python.process.calls_flow.flow.may_have_failed = False


@answers("PyErr_Occurred")
def _error_occurred(python: Python) -> int:
    calls = python.process.calls_flow
    if calls is not None and calls.flow.may_have_failed:
        # The inverted branch may be one that an exception leads to.
        python.process.guess(ERROR_OCCURRED)
    return python.objects.type_of(python.error) if python.error else 0


@answers("PyErr_Clear", "PyErr_Print", "PyErr_PrintEx", "PyErr_WriteUnraisable", "PyErr_FormatUnraisable")
def _error_clear(python: Python) -> int:
    _set(python, 0)
    return 0


@answers(
    "PyErr_SetString", "PyErr_SetObject", "PyErr_SetNone", "PyErr_Format", "PyErr_FormatV", "PyErr_SetFromErrno",
    "PyErr_SetFromErrnoWithFilename", "PyErr_SetImportError", "PyErr_SetRaisedException", "PyErr_Restore",
)  # fmt: skip
def _error_set(python: Python) -> int:
    exception = python.argument(0)
    if python.process.current.startswith("PyErr_SetImportError"):
        exception = python.objects.type("PyExc_ImportError")
    _set(python, 0)
    if not exception:
        return 0
    known = python.objects.get(exception)
    text = known.name if known else "exception"
    if python.process.current in ("PyErr_SetString", "PyErr_Format"):
        text += f": {python.process.machine.read_text(python.argument(1))[:120]}"
    python.raise_(exception, text)
    return 0


@answers("PyErr_NoMemory", "PyErr_BadInternalCall", "_PyErr_BadInternalCall", "PyErr_BadArgument")
def _error_fixed(python: Python) -> int:
    return python.fail("PyExc_SystemError")


@answers("PyErr_ExceptionMatches")
def _error_matches(python: Python) -> int:
    return _matches(python, python.error, python.argument(0))


@answers("PyErr_GivenExceptionMatches")
def _given_error_matches(python: Python) -> int:
    return _matches(python, python.argument(0), python.argument(1))


def _matches(python: Python, given: int, wanted: int) -> int:
    if not given or not wanted:
        python.process.guess(f"{python.process.current}()")
        return 0
    kind = given if python.objects.kind_of(given) == "type" else python.objects.type_of(given)
    if python.objects.kind_of(wanted) == "tuple":
        return python.process.oracle.ask("exception matches a tuple", 2)
    return int(derives(python, kind, wanted))


@answers("PyErr_Fetch")
def _error_fetch(python: Python) -> int:
    machine = python.process.machine
    kind = python.objects.type_of(python.error) if python.error else 0
    for index, value in enumerate((kind, python.error, 0)):
        if python.argument(index):
            machine.write_word(python.argument(index), value)
    _set(python, 0)
    return 0


@answers("PyErr_GetRaisedException")
def _error_take(python: Python) -> int:
    error = python.error
    _set(python, 0)
    return error


@answers("PyErr_NewException", "PyErr_NewExceptionWithDoc")
def _error_new(python: Python) -> int:
    return python.objects.type(f"PyExc_{python.string(0)}")


# Reference counts: every object is immortal, so nothing happens.


@answers(
    "Py_IncRef",
    "Py_DecRef",
    "_Py_IncRef",
    "_Py_DecRef",
    "_Py_DecRefShared",
    "_Py_MergeZeroLocalRefcount",
    "_Py_Dealloc",
)
def _reference(python: Python) -> int:
    return 0


@answers("Py_NewRef", "Py_XNewRef", "_Py_NewRef", "PyObject_SelfIter")
def _same(python: Python) -> int:
    return python.argument(0)


# Strings, numbers, bytes


@answers("PyUnicode_FromString", "PyUnicode_InternFromString", "PyUnicode_DecodeFSDefault")
def _text_from_string(python: Python) -> int:
    return python.objects.text(python.string(0))


@answers(
    "PyUnicode_FromStringAndSize", "PyUnicode_DecodeUTF8", "PyUnicode_DecodeASCII", "PyUnicode_DecodeLatin1",
    "PyUnicode_Decode",
)  # fmt: skip
def _text_from_bytes(python: Python) -> int:
    start, size = python.argument(0), min(python.argument(1), 1 << 20)
    content = python.process.machine.read(start, size) if start and size else b""
    return python.objects.text(content.decode("utf-8", "replace"))


@answers("PyUnicode_FromFormat", "PyUnicode_FromFormatV")
def _text_from_format(python: Python) -> int:
    return python.objects.text(python.string(0))


@answers("PyUnicode_InternInPlace")
def _text_intern(python: Python) -> int:
    return 0


@answers("PyUnicode_AsUTF8", "PyUnicode_AsUTF8AndSize", "_PyUnicode_AsUTF8AndSize", "_PyUnicode_AsString")
def _text_as_utf8(python: Python) -> int:
    known = _known_text(python, 0)
    content = str(known.value).encode() if known is not None else b"text"
    if python.process.current.endswith("AndSize") and python.argument(1):
        python.process.machine.write_word(python.argument(1), len(content))
    return python.process.text(content)


@answers("PyUnicode_GetLength")
def _text_length(python: Python) -> int:
    known = _known_text(python, 0)
    return len(str(known.value)) if known is not None else 0


def _known_text(python: Python, index: int) -> Object | None:
    """Return the string value of an argument, or `None`, and note that the answer is a guess."""
    known = python.objects.get(python.argument(index))
    if known is not None and known.kind == "str":
        if python.argument(index) in python.vague:
            python.process.guess(f"{python.process.current}()")
        return known
    python.process.guess(f"{python.process.current}()")
    return None


@answers("PyUnicode_Compare", "PyUnicode_CompareWithASCIIString", "PyUnicode_EqualToUTF8", "PyUnicode_Equal")
def _text_compare(python: Python) -> int:
    first = _known_text(python, 0)
    left = str(first.value) if first else ""
    if python.process.current in ("PyUnicode_CompareWithASCIIString", "PyUnicode_EqualToUTF8"):
        right = python.string(1)
    else:
        second = _known_text(python, 1)
        right = str(second.value) if second else ""
    if python.process.current.startswith("PyUnicode_Equal"):
        return int(left == right)
    return (left > right) - (left < right)


@answers("PyBytes_FromString")
def _bytes_from_string(python: Python) -> int:
    return _bytes(python, python.string(0).encode())


@answers("PyBytes_FromStringAndSize")
def _bytes_from_bytes(python: Python) -> int:
    start, size = python.argument(0), min(python.argument(1), 1 << 24)
    return _bytes(python, python.process.machine.read(start, size) if start else bytes(size))


def _bytes(python: Python, content: bytes) -> int:
    head = python.objects.layout.head
    address = python.objects.new("bytes", value=content, size=head + 24 + len(content))
    python.process.machine.write(address + head, struct.pack("<qq", len(content), -1) + content)
    return address


@answers("PyUnicode_AsUTF8String", "PyUnicode_AsASCIIString", "PyUnicode_AsLatin1String", "PyUnicode_AsEncodedString")
def _text_to_bytes(python: Python) -> int:
    known = python.objects.get(python.argument(0))
    return _bytes(python, str(known.value).encode() if known is not None and known.kind == "str" else b"text")


@answers("PyBytes_AsString", "PyByteArray_AsString")
def _bytes_as_string(python: Python) -> int:
    if python.objects.kind_of(python.argument(0)) != "bytes":
        python.process.guess(f"{python.process.current}()")
    if python.objects.kind_of(python.argument(0)) in _NEVER_BYTES:
        return python.fail("PyExc_TypeError")
    return python.argument(0) + python.objects.layout.head + 16


_NEVER_BYTES = frozenset({"int", "float", "complex", "str", "tuple", "list", "dict", "none", "bool", "module", "type"})


@answers(
    "PyLong_FromLong", "PyLong_FromLongLong", "PyLong_FromSsize_t", "PyLong_FromInt64", "PyLong_FromInt32",
)  # fmt: skip
def _int_from_signed(python: Python) -> int:
    return python.objects.integer(_signed(python.argument(0)))


@answers(
    "PyLong_FromUnsignedLong", "PyLong_FromUnsignedLongLong", "PyLong_FromSize_t", "PyLong_FromVoidPtr",
    "PyLong_FromUInt32", "PyLong_FromUInt64",
)  # fmt: skip
def _int_from_unsigned(python: Python) -> int:
    return python.objects.integer(python.argument(0))


@answers(
    "PyLong_AsLong", "PyLong_AsLongLong", "PyLong_AsSsize_t", "PyLong_AsInt", "PyLong_AsUnsignedLong",
    "PyLong_AsUnsignedLongLong", "PyLong_AsSize_t", "PyLong_AsVoidPtr", "PyNumber_AsSsize_t",
    "PyLong_AsUnsignedLongMask", "PyLong_AsUnsignedLongLongMask", "PyLong_AsLongAndOverflow",
)  # fmt: skip
def _int_value(python: Python) -> int:
    known = python.objects.get(python.argument(0))
    if known is None or known.kind != "int" or not isinstance(known.value, int):
        python.process.guess(f"{python.process.current}()")
        return 0
    return known.value


@answers("PyBool_FromLong")
def _bool(python: Python) -> int:
    return python.process.symbol("_Py_TrueStruct" if python.argument(0) else "_Py_FalseStruct")


@answers("PyObject_IsTrue")
def _is_true(python: Python) -> int:
    address = python.argument(0)
    known = python.objects.get(address)
    if known is not None and known.kind in ("int", "str", "bytes", "float"):
        return int(bool(known.value))
    if known is not None and known.kind in ("bool", "none"):
        return int(address == python.process.symbol("_Py_TrueStruct"))
    return 1 - python.process.oracle.ask("the truth of an object", 2)


@answers("Py_GetConstant", "Py_GetConstantBorrowed")
def _constant(python: Python) -> int:
    names = (
        "_Py_NoneStruct",
        "_Py_FalseStruct",
        "_Py_TrueStruct",
        "_Py_EllipsisObject",
        "_Py_NotImplementedStruct",
    )
    number = python.argument(0)
    if number < len(names):
        return python.process.symbol(names[number])
    match number:
        case 5 | 6:
            return python.objects.integer(number - 5)
        case 7:
            return python.objects.text("")
        case 8:
            return _bytes(python, b"")
        case _:
            return python.objects.sequence("tuple", [])


def default_answer(name: str) -> Answer:
    """Return the default answer of a C API function: success, by the return type in its header."""

    def new_object(python: Python) -> int:
        return python.objects.new("object", name=f"{name}()")

    def success(python: Python) -> int:
        return 0

    return new_object if name in RETURNS_OBJECT else success
