"""FT330: the header of an object, whose fields are read or written directly."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.header_access import use_accessor

_MEMBER = re.compile(r"(?:->|\.)\s*$")
_HEADER = re.compile(
    r"ob_(?P<field>refcnt|type)\b"
    r"|Py_REFCNT(?<!\wPy_REFCNT)\s*\([^()]*(?:\([^()]*\)[^()]*)*\)\s*(?P<set>(?:[-+]?=(?!=)|\+\+|--))"
    r"|_PyObject_(?<!\w_PyObject_)(?P<extra>EXTRA_INIT)\b|Py_SET_(?<!\wPy_SET_)(?P<setter>REFCNT)\s*\("
)
_ALLOCATES = re.compile(r"(?i)alloc|new|init|free|resurrect|py_set_refcnt|dealloc")
_STORED = re.compile(r"\s*=(?!=)")
_NAMES = re.compile(r"\s*->\s*tp_(?:name|doc)\b")
"""The parts of a message; they never change."""
_OWN = re.compile(r"\s*(?:\([^()]*\)\s*)?&")
"""The address of a variable: an object that the code is setting up itself."""
_POLYFILL = re.compile(r"^_?Py_(?:SET_)?(?:TYPE|REFCNT|SIZE|IS_TYPE|NewRef|XNewRef)")


class DirectObjectHeader(CRule):
    """The free-threaded build has a different object header: `ob_refcnt` does not exist there, reference counts are
    split in two, and types are written atomically. Code that uses the fields does not compile, or it corrupts objects.
    Reads of `ob_type` compile and are mostly harmless, so the rule reports them only with `--pedantic`."""

    info = RuleInfo(
        code="FT330",
        name="direct-object-header",
        summary="The code uses a field of the object header, or sets a reference count, directly.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy=(
            "Use `Py_TYPE`, `Py_SET_TYPE`, `Py_REFCNT`, `Py_INCREF`, `Py_DECREF`, and, to test whether a reference is "
            "unique, the `PyUnstable_Object_` functions."
        ),
        links=(
            "https://peps.python.org/pep-0703/",
            "https://docs.python.org/3.14/c-api/object.html",
        ),
    )
    words = ("ob_refcnt", "ob_type", "REFCNT", "EXTRA_INIT")
    VALID = (
        SourceExample(
            code="""\
static void f(PyObject *o) { if (Py_IS_TYPE(o, &T) && !PyUnstable_Object_IsUniquelyReferenced(o)) copy(o); }
""",
            instead=True,
        ),
        SourceExample(
            code="""\
#if PY_VERSION_HEX < 0x030900A4
static inline void _set_type(PyObject *o, PyTypeObject *t) { o->ob_type = t; }
#endif
""",
        ),
        SourceExample(
            code="""\
static void fresh(PyObject *o) { Py_SET_TYPE(o, &T); }
static void refuse(PyObject *o) { PyErr_Format(PyExc_TypeError, "not %s", o->ob_type->tp_name); }
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static void f(PyObject *o) {
    if (o->ob_type == &T && o->ob_refcnt > 1)
        copy(o);
    Py_REFCNT(o) = 1;
}
""",
            lines=(
                2,
                4,
            ),
        ),
        SourceExample(
            code="""\
static void g(Obj *o, PyObject *other) {
    o->ob_base.ob_refcnt++;
    other->ob_type = (PyTypeObject *)o->ob_base.ob_type;
}
""",
            lines=(2, 3),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        if not any(word in unit.code for word in ("ob_refcnt", "ob_type", "REFCNT", "EXTRA_INIT")):
            return
        for found in _HEADER.finditer(unit.code):
            function = unit.function_at(found.start())
            if found["field"] and not _MEMBER.search(unit.code, max(0, found.start() - 20), found.start()):
                continue
            if function is not None and _POLYFILL.match(function.short_name):
                continue
            if found["setter"] and (
                function is None or _ALLOCATES.search(function.short_name) or _OWN.match(unit.code, found.end())
            ):
                continue
            if found["field"] == "type" and unit.at_import(function):
                continue
            if found["field"]:
                message = f"`ob_{found['field']}` is used directly: " + (
                    "it does not exist in a free-threaded build"
                    if found["field"] == "refcnt"
                    else "a free-threaded build writes it atomically"
                )
            elif found["extra"]:
                message = "`_PyObject_EXTRA_INIT` no longer exists, and the object header has a different layout"
            else:
                message = "a reference count is set directly, but a free-threaded build splits it in two"
            read = found["field"] == "type" and not _STORED.match(unit.code, found.end())
            if read and _NAMES.match(unit.code, found.end()):
                continue
            yield self.finding(
                message,
                location=unit.place(found.start()),
                severity=Severity.PEDANTIC if read else None,
            )

    def fix(self, unit: CUnit, finding: Finding) -> Fix | NoFix:
        """Use the accessor of the C API."""
        return use_accessor(unit, finding)
