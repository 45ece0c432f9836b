"""FT319: memory of a bytearray that other code can resize meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.borrowed import find_borrowed

_POINTS = ("PyByteArray_AS_STRING", "PyByteArray_AsString")


class BytearrayMemory(CRule):
    """`PyByteArray_AS_STRING` returns a pointer into the object. If another thread appends to the bytearray, the memory
    moves, and the pointer refers to freed memory. `PyObject_GetBuffer` prevents that: a bytearray with an exported
    buffer cannot change its size."""

    info = RuleInfo(
        code="FT319",
        name="bytearray-memory",
        summary="A pointer into a bytearray is used while another thread can resize the bytearray.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Get the memory with `PyObject_GetBuffer` and release it with `PyBuffer_Release`, or hold a critical "
            "section on the bytearray while you use the pointer."
        ),
        links=("https://docs.python.org/3.14/c-api/buffer.html",),
    )
    words = _POINTS
    VALID = (
        SourceExample(
            code="""\
static PyObject *first(PyObject *self, PyObject *arg) {
    Py_buffer view;
    if (PyObject_GetBuffer(arg, &view, PyBUF_SIMPLE) < 0) return NULL;
    PyObject *result = PyLong_FromLong(view.len ? ((char *)view.buf)[0] : 0);
    PyBuffer_Release(&view);
    return result;
}
""",
            instead=True,
        ),
        SourceExample(
            code="""\
static PyObject *zeros(PyObject *self, PyObject *arg) {
    PyObject *made = PyByteArray_FromStringAndSize(NULL, 16);
    if (made != NULL) memset(PyByteArray_AS_STRING(made), 0, 16);
    return made;
}
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyObject *sum(PyObject *self, PyObject *arg) {
    if (!PyByteArray_Check(arg)) return NULL;
    char *data = PyByteArray_AS_STRING(arg);
    Py_ssize_t size = PyByteArray_GET_SIZE(arg);
    long total = 0;
    for (Py_ssize_t i = 0; i < size; i++) total += data[i];
    return PyLong_FromLong(total);
}
""",
            lines=(3,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield the calls that return a pointer into a bytearray which other threads reach."""
        for found in find_borrowed(unit, *_POINTS):
            yield self.finding(
                f"`{found.call.name}` points into `{found.container}`, {found.origin.value}, whose memory moves when "
                "another thread resizes it",
                location=unit.place(found.call.start),
            )
