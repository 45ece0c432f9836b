"""FT372: a field that a getter hands out while a setter may release it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.fields import find_swaps, instance_names

_TAKEN = re.compile(r"\bPy_(?:X?INCREF|X?NewRef)\s*\(\s*(?:\([^()]*\)\s*)?(\w+)\s*->\s*(\w+)\s*\)")


class UnlockedFieldBorrow(CRule):
    """The getter reads the pointer and then takes a reference. Without the GIL a setter in another thread can
    replace the field and release the object between the two, and the getter increfs what is freed."""

    info = RuleInfo(
        code="FT372",
        name="unlocked-field-borrow",
        summary=("A getter takes a reference to a field that a setter of the same file replaces, with no lock."),
        severity=Severity.INFO,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Read and increment inside Py_BEGIN_CRITICAL_SECTION(self), as the setter must too.",
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/c-api/synchronization.html",
        ),
        default=False,
    )
    VALID = (
        SourceExample(
            code="""\
static PyObject *get_cb(Obj *self, void *c) {
    PyObject *r;
    Py_BEGIN_CRITICAL_SECTION(self);
    r = Py_NewRef(self->cb);
    Py_END_CRITICAL_SECTION();
    return r;
}
static int set_cb(Obj *self, PyObject *v, void *c) { Py_XSETREF(self->cb, Py_NewRef(v)); return 0; }
""",
        ),
        SourceExample(
            code="""\
static PyObject *get_name(Obj *self, void *c) { return Py_NewRef(self->name); }
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyObject *get_cb(Obj *self, void *c) { return Py_NewRef(self->cb); }
static int set_cb(Obj *self, PyObject *v, void *c) { Py_XSETREF(self->cb, Py_NewRef(v)); return 0; }
""",
            lines=(1,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        if "INCREF" not in unit.code and "NewRef" not in unit.code:
            return
        replaced = {swap.field.rpartition("->")[2] for swap in find_swaps(unit)}
        if not replaced:
            return
        for found in _TAKEN.finditer(unit.code):
            function = unit.function_at(found.start())
            if function is None or found[2] not in replaced or found[1] not in instance_names(unit, function):
                continue
            if not unit.guarded(found.start()) and function.body not in {
                swap.function.body for swap in find_swaps(unit)
            }:
                yield self.finding(
                    f"`{found[1]}->{found[2]}` may be released by another thread before the reference is taken",
                    location=unit.place(found.start()),
                )
