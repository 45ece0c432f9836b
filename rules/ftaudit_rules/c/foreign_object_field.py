"""FT374: code outside CPython replaces a reference in one of CPython's own objects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.functions import Function

_FIELDS: Final = (
    "func_(?:code|name|qualname|dict|globals|builtins|defaults|kwdefaults|closure|annotations|doc|module|type_params)"
    "|f_(?:trace|locals|globals|builtins|back)|im_(?:func|self)|m_(?:self|module)|md_(?:dict|name|weaklist)"
    "|co_(?:consts|names|name|qualname|filename|linetable|exceptiontable)|ob_ref|d_(?:name|qualname|type)|cl_\\w+"
)
_REPLACES: Final = re.compile(
    rf"\b(Py_X?SETREF|Py_CLEAR)\s*\(\s*([A-Za-z_]\w*)\s*->\s*({_FIELDS})\b"
    rf"|(?<![\w.>])([A-Za-z_]\w*)\s*->\s*({_FIELDS})\s*=(?!=)"
)
_OF_CPYTHON: Final = re.compile(
    r"\bPy(?:Function|Code|Frame|Method|InstanceMethod|CFunction|CMethod|Module|Cell|Descr|MethodDescr|GetSetDescr"
    r"|WrapperDescr|MemberDescr)Object\b"
)
_MADE: Final = re.compile(
    r"\bPy(?:Function|Code|Unstable_Code|Frame|Method|CFunction|CMethod|Module|Cell|Descr)_\w*New"
)


class ForeignObjectField(CRule):
    """The fields of functions, frames, methods, modules and cells belong to CPython. The interpreter reads them without
    your lock. While your thread replaces a reference and releases the old object, another thread may have loaded the
    old pointer without taking a reference yet. That thread then uses freed memory.
    """

    info = RuleInfo(
        code="FT374",
        name="foreign-object-field",
        summary="The code directly replaces a reference in a function, frame, method, module or cell object.",
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Use the API that stores the attribute (`PyFunction_SetDefaults`, `PyCell_Set`, `PyObject_SetAttr`). If "
            "the field has no API, store your value elsewhere instead of replacing the field."
        ),
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html",),
    )
    words = ("->func_", "->f_", "->im_", "->m_", "->md_", "->co_", "->ob_ref", "->d_")
    VALID = (
        SourceExample(
            code="""\
static PyObject *rename(PyFunctionObject *func, PyObject *name) {
    if (PyObject_SetAttrString((PyObject *)func, "__qualname__", name) < 0) return NULL;
    Py_RETURN_NONE;
}
""",
            instead=True,
        ),
        SourceExample(
            code="""\
static PyObject *make(PyObject *code, PyObject *globals, PyObject *name) {
    PyFunctionObject *func = (PyFunctionObject *)PyFunction_New(code, globals);
    if (func == NULL) return NULL;
    Py_XSETREF(func->func_qualname, Py_NewRef(name));
    return (PyObject *)func;
}
""",
        ),
        SourceExample(
            code="""\
typedef struct { PyObject_HEAD PyObject *m_self; } Bound;
static void reset(Bound *bound) {
    Py_BEGIN_CRITICAL_SECTION(bound);
    Py_CLEAR(bound->m_self);
    Py_END_CRITICAL_SECTION();
}
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static int watch(int event, PyFunctionObject *func, PyObject *value) {
    if (event == 2) {
        Py_INCREF(value);
        Py_XSETREF(func->func_code, value);
    }
    return 0;
}
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
static PyObject *empty(PyObject *self, PyObject *arg) {
    PyCellObject *cell = (PyCellObject *)arg;
    Py_CLEAR(cell->ob_ref);
    Py_RETURN_NONE;
}
""",
            lines=(3,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield the stores in objects that the function did not make."""
        for function in unit.functions:
            if unit.at_import(function):
                continue
            for found in _REPLACES.finditer(unit.code, function.body, function.end):
                name, field = found[2] or found[4], found[3] or found[5]
                if not _is_of_cpython(unit, function, name, found.start()):
                    continue
                yield self.finding(
                    f"`{field}` belongs to CPython and is replaced here while another thread may read it",
                    location=unit.place(found.start()),
                )


def _is_of_cpython(unit: CUnit, function: Function, name: str, before: int) -> bool:
    """Return whether a name stands for an object of CPython that the function received."""
    kind = next((parameter.type for parameter in function.parameters if parameter.name == name), None)
    if kind is None:
        declared = re.compile(rf"(\bPy\w+Object)\s*\*\s*(?:const\s+)?{re.escape(name)}\b").search(
            unit.code, function.body, before
        )
        kind = declared[1] if declared else ""
    if _OF_CPYTHON.search(kind) is None:
        return False
    return not any(_MADE.search(value) for value in unit.assigned(function, name, before))
