"""FT332: the internal fields of a list, dict, set or bytearray, accessed directly."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.escape import ContainerOrigin, origin_of

_FIELDS = {
    "PyListObject": "ob_item|allocated|ob_base\\s*\\.\\s*ob_size",
    "PyDictObject": r"ma_\w+",
    "PySetObject": "table|fill|used|mask|finger",
    "PyByteArrayObject": "ob_bytes|ob_start|ob_alloc|ob_exports",
}
_CAST = re.compile(
    r"\(\s*(?:const\s+)?(PyListObject|PyDictObject|PySetObject|PyByteArrayObject)\s*\*\s*\)\s*(?P<what>[^;{}]*?)\)\s*->\s*(?P<field>(?:ob_base\s*\.\s*)?\w+)"
)
_CPP_CAST = re.compile(
    r"_cast\s*<\s*(?:const\s+)?(PyListObject|PyDictObject|PySetObject|PyByteArrayObject)\s*\*\s*>\s*\((?P<what>[^;{}]*?)\)\s*->\s*(?P<field>\w+)"
)
_DECLARED = re.compile(r"(Py(?<!\wPy)(?:List|Dict|Set|ByteArray)Object)\s*\*\s*(?:const\s+)?(\w+)")


class DirectContainerFields(CRule):
    """The functions of the C API lock lists, dicts, sets and bytearrays. Code that reads `ob_item` or `ma_used`
    directly takes no lock: without the GIL another thread can move and free the array during the read."""

    info = RuleInfo(
        code="FT332",
        name="direct-container-fields",
        summary="The code uses a field of a list, dict, set or bytearray directly, without a lock.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Use the C API (`PyList_GetItemRef` from Python 3.13 on, `PyDict_Size`, …), or hold a critical section on "
            "the container."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/library/threadsafety.html",
        ),
    )
    words = tuple(_FIELDS)
    VALID = (
        SourceExample(
            code="""\
static void f(PyObject *lst) { PyObject *it = PyList_GetItemRef(lst, 0); use(it); Py_XDECREF(it); }
""",
            instead=True,
        ),
        SourceExample(
            code="""\
static PyObject *f(PyTupleObject *t) { return t->ob_item[0]; }
""",
        ),
        SourceExample(
            code="""\
static PyObject *build(void) {
    PyListObject *l = (PyListObject *)PyList_New(2);
    l->ob_item[0] = make();
    return (PyObject *)l;
}
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static void f(PyObject *lst) {
    PyObject **items = ((PyListObject *)lst)->ob_item;
    use(items[0]);
}
""",
            lines=(2,),
        ),
        SourceExample(
            code="""\
static int count(PyListObject *self) { return use(self->ob_item[0]); }
""",
            lines=(1,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        if not any(kind in unit.code for kind in _FIELDS):
            return
        places: dict[int, str] = {}
        for pattern in (_CAST, _CPP_CAST):
            for found in pattern.finditer(unit.code):
                if re.fullmatch(_FIELDS[found[1]], found["field"]):
                    self._note(unit, places, found.start(), found[1], found["field"], found["what"])
        for declared in _DECLARED.finditer(unit.code):
            function = unit.function_at(declared.start()) or next(
                (f for f in unit.functions if f.start <= declared.start() < f.body), None
            )
            if function is None:
                continue
            used = re.compile(rf"(?<![\w.>]){re.escape(declared[2])}\s*->\s*({_FIELDS[declared[1]]})\b")
            for found in used.finditer(unit.code, function.body, function.end):
                self._note(unit, places, found.start(), declared[1], found[1], declared[2])
        for at in sorted(places):
            yield self.finding(places[at], location=unit.place(at))

    @staticmethod
    def _note(unit: CUnit, places: dict[int, str], at: int, kind: str, field: str, container: str) -> None:
        function = unit.function_at(at)
        if function is None or unit.guarded(at) or unit.at_import(function):
            return
        if origin_of(unit, function, container.strip(), at) not in (ContainerOrigin.PRIVATE, ContainerOrigin.KEYWORDS):
            places[at] = (
                f"`{' '.join(field.split())}` of a {kind} is read without a lock: another thread can move or free it"
            )
