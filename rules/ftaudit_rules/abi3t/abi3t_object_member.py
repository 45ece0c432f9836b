"""FT713: a member of one of CPython's structs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit_rules.abi3t._migration import LINKS, find_in_abi3t

_MEMBER = re.compile(
    r"(?:->|\.)\s*(?P<member>ob_(?:type|refcnt|size|base|item|sval|fval|digit)|tp_[a-z]\w*|m_ml|m_self|nb_[a-z]\w*"
    r"|sq_[a-z]\w*|mp_[a-z]\w*)\b(?!\s*=(?!=))"
    r"|\bPy_(?P<setter>TYPE|SIZE|REFCNT)\s*\([^()]*(?:\([^()]*\)[^()]*)*\)\s*(?:[-+]?=(?!=)|\+\+|--)"
    r"|(?:->)\s*(?P<set>ob_(?:type|refcnt|size))\s*=(?!=)"
)
_INSTEAD: Final = {
    "ob_type": "`Py_TYPE`, or `Py_SET_TYPE` to change the type",
    "ob_refcnt": "`Py_REFCNT`, `Py_INCREF` and `Py_DECREF`",
    "ob_size": "`Py_SIZE`, or the size function of the type",
    "ob_item": "`PyList_GetItemRef` or `PyTuple_GetItem`",
    "ob_sval": "`PyBytes_AsString`",
    "ob_fval": "`PyFloat_AsDouble`",
    "ob_digit": "`PyLong_AsNativeBytes` or `PyLong_Export`",
    "TYPE": "`Py_SET_TYPE`",
    "SIZE": "`Py_SET_SIZE`",
    "REFCNT": "`Py_SET_REFCNT`, or preferably `Py_INCREF`",
    "m_ml": "a closure of your own",
    "m_self": "`PyCFunction_GetSelf`",
}


class Abi3tObjectMember(CRule):
    """The structs of objects and types are opaque in `abi3t`: code cannot access their members. Functions of the
    limited API read and set them. `PyType_GetSlot` returns the functions of a type."""

    info = RuleInfo(
        code="FT713",
        name="abi3t-object-member",
        summary="The code uses a member of an object or type struct, which is opaque in a build for abi3t.",
        severity=Severity.INFO,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Use `Py_TYPE`, `Py_SET_TYPE`, `Py_REFCNT` and `Py_SIZE` for objects, and `PyType_GetSlot`, "
            "`PyType_GetFullyQualifiedName` or `PyType_GetFlags` for types."
        ),
        links=LINKS,
        default=False,
        migration=True,
    )
    words = ("ob_", "tp_", "Py_TYPE", "Py_SIZE", "Py_REFCNT", "m_ml", "m_self", "nb_", "sq_", "mp_")
    VALID = (
        SourceExample(
            code="""\
static void f(PyObject *o, PyTypeObject *T, PyVarObject *v) { if (Py_IS_TYPE(o, T)) Py_SET_SIZE(v, 3); }
static PyTypeObject U = {.tp_name = "m.U", .tp_free = 0};
""",
            target="3.15t",
            instead=True,
        ),
        SourceExample(code="static int f(PyObject *o, PyTypeObject *T) { return o->ob_type == T; }\n"),
    )
    INVALID = (
        SourceExample(
            code="""\
static void f(PyObject *o, PyTypeObject *T, PyListObject *list) {
    if (o->ob_type == T)
        Py_SIZE(list) = 3;
    Py_TYPE(o)->tp_free(o);
    use(list->ob_item[0]);
}
""",
            lines=(2, 3, 4, 5),
            target="3.15t",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for found in find_in_abi3t(unit, _MEMBER):
            name = found["member"] or found["set"] or found["setter"]
            if found["setter"] is not None:
                what = f"`Py_{name}` cannot be assigned in a build for abi3t"
            else:
                what = f"`{name}` is a member of a struct, which is opaque in a build for abi3t"
            instead = _INSTEAD.get(name, "`PyType_GetSlot`" if name.startswith(("tp_", "nb_", "sq_", "mp_")) else None)
            yield self.finding(
                what, location=unit.place(found.start()), remedy=None if instead is None else f"Use {instead}."
            )
