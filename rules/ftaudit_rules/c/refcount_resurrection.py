"""FT333: an object that is revived while its last owner releases it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.locks import words

_ASSIGNED = re.compile(r"(?<![\w.>])(\w+)\s*=\s*(?:\([^()]*\*\s*\)\s*)?$")
_REGISTRY = frozenset({"registry", "instances", "live", "alive", "weak", "weakmap", "wrappers", "registered"})
_FINDING = frozenset({"find", "lookup", "search"})
_ARGUMENT = r"\s*\(\s*(?:\([^()]*\)\s*)?{n}\s*"
_TAKES = (
    rf"\bPy_X?INCREF{_ARGUMENT}\)|\bPy_X?NewRef{_ARGUMENT}\)|\bPy_SET_REFCNT{_ARGUMENT},"
    rf"|\bPy_REFCNT{_ARGUMENT}\)\s*(?:\+\+|\+?=(?!=))"
)


class RefcountResurrection(CRule):
    """A registry that does not own its objects can return one whose reference count is just falling to zero in another
    thread. `Py_INCREF` then revives an object that is being freed. A destructor that takes a new reference to its own
    object does the same. Without the GIL the look-up and the increment are not atomic."""

    info = RuleInfo(
        code="FT333",
        name="refcount-resurrection",
        summary=(
            "An object is looked up in a registry that does not own it and then increfed, or a destructor takes a new "
            "reference to its object."
        ),
        severity=Severity.ERROR,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy=(
            "Use `PyUnstable_TryIncRef` with `PyUnstable_EnableTryIncRef` (Python 3.14) under the lock of the "
            "registry, or use weak references."
        ),
        links=("https://docs.python.org/3.14/c-api/object.html",),
    )
    words = ("INCREF", "NewRef", "REFCNT")
    VALID = (
        SourceExample(
            code="""\
static PyObject *get(void *key) {
    PyMutex_Lock(&mu);
    PyObject *o = registry_find(key);
    if (o && !PyUnstable_TryIncRef(o)) o = NULL;
    PyMutex_Unlock(&mu);
    return o;
}
""",
            instead=True,
        ),
        SourceExample(
            code="""\
typedef struct { PyObject_HEAD char *buf; } Obj;
static void Obj_dealloc(Obj *self) { PyObject_CallFinalizerFromDealloc((PyObject *)self); free(self->buf); }
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyObject *get(void *key) {
    PyObject *o = registry_find(key);
    Py_INCREF(o);
    return o;
}
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
typedef struct { PyObject_HEAD char *buf; } Obj;
static void Obj_dealloc(Obj *self) {
    Py_SET_REFCNT(self, 1);
    notify(self);
}
""",
            lines=(3,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        code = unit.code
        if "INCREF" not in code and "NewRef" not in code and "REFCNT" not in code:
            return
        for function in unit.functions if "dealloc" in code else ():
            last = words(function.short_name)[-1:]
            if last == ("dealloc",) and function.parameters:
                taken = re.compile(_TAKES.replace("{n}", re.escape(function.parameters[0].name)))
                found = taken.search(code, function.body, function.end)
                if found:
                    yield self.finding(
                        f"`{function.short_name}` takes a new reference to the object that it destroys",
                        location=unit.place(found.start()),
                    )
        lookups = [name for name in unit.called_names if _REGISTRY & (parts := set(words(name))) and parts & _FINDING]
        for call in unit.calls(*lookups):
            assigned = _ASSIGNED.search(code, max(0, call.start - 80), call.start)
            if assigned is None or call.function is None or unit.guarded(call.start):
                continue
            taken = re.compile(_TAKES.replace("{n}", re.escape(assigned[1])))
            found = taken.search(code, call.end, min(call.function.end, call.end + 400))
            if found and "TryIncRef" not in code[call.end : found.start()]:
                yield self.finding(
                    f"another thread may already be freeing the object from `{call.name}` when it is increfed",
                    location=unit.place(found.start()),
                )
