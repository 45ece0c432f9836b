"""FT359: a value of a shared dictionary that is read, changed and stored back without a lock."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.text import normalized

_GETS = (
    "PyDict_GetItem",
    "PyDict_GetItemWithError",
    "PyDict_GetItemString",
    "PyDict_GetItemRef",
    "PyDict_GetItemStringRef",
    "PyObject_GetItem",
)
_SETS = ("PyDict_SetItem", "PyDict_SetItemString", "PyObject_SetItem")
_COMPUTES = re.compile(
    r"Py(?:Number_(?:InPlace)?(?:Add|Subtract|Or|And|Xor|Multiply)|Long_From\w+|Float_FromDouble|Sequence_(?:InPlace)?Concat)\s*\("
)
_LONGEST = 2_500
"""Characters between the read and the store."""


class DictReadModifyWrite(CRule):
    """The read and the store each lock the dictionary, but nothing protects the steps between them. Two threads read
    the same number, both add to it, and one of the two updates is lost."""

    info = RuleInfo(
        code="FT359",
        name="dict-read-modify-write",
        summary="A value of a shared dictionary is read, changed and stored under the same key, without a lock.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Hold a critical section on the dictionary from the read to the store.",
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html",),
    )
    words = _SETS
    VALID = (
        SourceExample(
            code="""\
static PyObject *counts;
static int note(PyObject *key) {
    int result = -1;
    Py_BEGIN_CRITICAL_SECTION(counts);
    PyObject *old = PyDict_GetItemWithError(counts, key);
    PyObject *sum = PyLong_FromLong((old ? PyLong_AsLong(old) : 0) + 1);
    if (sum != NULL) result = PyDict_SetItem(counts, key, sum);
    Py_XDECREF(sum);
    Py_END_CRITICAL_SECTION();
    return result;
}
""",
            instead=True,
        ),
        SourceExample(
            code="""\
static PyObject *count(PyObject *words) {
    PyObject *counts = PyDict_New();
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(words); i++) {
        PyObject *old = PyDict_GetItemWithError(counts, PyTuple_GET_ITEM(words, i));
        PyObject *sum = PyLong_FromLong((old ? PyLong_AsLong(old) : 0) + 1);
        PyDict_SetItem(counts, PyTuple_GET_ITEM(words, i), sum);
        Py_DECREF(sum);
    }
    return counts;
}
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyObject *counts;
static int note(PyObject *key) {
    PyObject *old;
    if (PyDict_GetItemRef(counts, key, &old) < 0) return -1;
    PyObject *sum = PyLong_FromLong((old ? PyLong_AsLong(old) : 0) + 1);
    Py_XDECREF(old);
    int result = sum ? PyDict_SetItem(counts, key, sum) : -1;
    Py_XDECREF(sum);
    return result;
}
""",
            lines=(7,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield the stores."""
        stores = unit.calls(*_SETS)
        reads = unit.calls(*_GETS) if stores else []
        for store in stores:
            if store.function is None or len(store.arguments) < 3 or unit.at_import(store.function):
                continue
            where = tuple(map(normalized, store.arguments[:2]))
            for read in reversed(reads):
                if read.function is not store.function or not store.start - _LONGEST < read.start < store.start:
                    continue
                if len(read.arguments) < 2 or tuple(map(normalized, read.arguments[:2])) != where:
                    continue
                if unit.guarded(store.start) or not unit.origin(store).shared:
                    break
                if _COMPUTES.search(unit.code, read.end, store.start) and self._uses(unit, read.end, store):
                    key = "a key" if '"' in where[1] else f"`{where[1]}`"
                    yield self.finding(
                        f"the value of {key} in `{where[0]}`, read on line {unit.line_at(read.start)}, is stored here: "
                        "an update that another thread makes in between is lost",
                        location=unit.place(store.start),
                    )
                break

    @staticmethod
    def _uses(unit: CUnit, after: int, store: object) -> bool:
        """Return whether the stored value was computed between the two calls."""
        arguments = store.arguments  # type: ignore[attr-defined]
        name = normalized(arguments[2])
        start = store.start  # type: ignore[attr-defined]
        made = re.compile(rf"\b{re.escape(name)}\s*=(?!=)") if name.isidentifier() else None
        return made is None or made.search(unit.code, after, start) is not None
