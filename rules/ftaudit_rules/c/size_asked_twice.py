"""FT361: memory that is allocated for the size of a sequence and filled up to a size that is read again."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.file import Call
from ftaudit.source.c.text import normalized

_SIZES = (
    "PySequence_Size",
    "PySequence_Length",
    "PyObject_Size",
    "PyObject_Length",
    "PyList_Size",
    "PyList_GET_SIZE",
    "PyDict_Size",
    "PyDict_GET_SIZE",
    "PySet_Size",
    "PySet_GET_SIZE",
    "PyByteArray_Size",
    "PyByteArray_GET_SIZE",
    "PyMapping_Size",
    "PyMapping_Length",
)
_ALLOCATES = re.compile(
    r"\b(?:\w*(?:malloc|calloc|realloc|alloca)|PyMem_(?:Raw)?(?:Malloc|Calloc|Realloc|New)|PyMem_NEW|PyObject_Malloc"
    r"|PyTuple_New|PyBytes_FromStringAndSize|new)\b\s*[(\w]",
)
_TUPLE = re.compile(r"PyTuple_Check|PySequence_Tuple|PyList_AsTuple")


class SizeAskedTwice(CRule):
    """If another thread appends to the list between the two calls, the loop writes past the end of the memory that was
    allocated for the first size."""

    info = RuleInfo(
        code="FT361",
        name="size-asked-twice",
        summary="The code reads the size of an object to allocate memory, and reads it again afterwards.",
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Read the size once and keep it. Copy the object into a tuple first (`PySequence_Tuple`), so that its "
            "items do not change."
        ),
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html",),
    )
    words = _SIZES
    VALID = (
        SourceExample(
            code="""\
static PyObject *sum(PyObject *m, PyObject *list) {
    Py_ssize_t n = PySequence_Size(list);
    double *values = PyMem_Malloc(n * sizeof(double));
    for (Py_ssize_t i = 0; i < n; i++) values[i] = value_of(list, i);
    return total(values, n);
}
""",
            instead=True,
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyObject *sum(PyObject *m, PyObject *list) {
    double *values = PyMem_Malloc(PySequence_Size(list) * sizeof(double));
    for (Py_ssize_t i = 0; i < PySequence_Size(list); i++) values[i] = value_of(list, i);
    return total(values);
}
""",
            lines=(3,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield the second call."""
        first: dict[tuple[int, str], Call] = {}
        for call in unit.calls(*_SIZES):
            if call.function is None or len(call.arguments) != 1:
                continue
            key = call.function.body, normalized(call.arguments[0])
            before = first.setdefault(key, call)
            if before is call or unit.guarded(call.start) or not unit.origin(call).shared:
                continue
            start = max(unit.code.rfind(";", 0, before.start), unit.code.rfind("{", 0, before.start))
            code = unit.code[start : call.start]
            if _ALLOCATES.search(code) and not _TUPLE.search(code):
                yield self.finding(
                    f"the size of `{key[1]}` is read again, but the memory was allocated for the size from line "
                    f"{unit.line_at(before.start)}",
                    location=unit.place(call.start),
                )
                first[key] = call
