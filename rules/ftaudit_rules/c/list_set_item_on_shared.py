"""FT318: an item of a shared list that is stored with the macro for new lists."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit, api
from ftaudit.source.c.borrowed import find_borrowed
from ftaudit.source.c.escape import ContainerOrigin


class ListSetItemOnShared(CRule):
    """`PyList_SET_ITEM` takes no lock and does not release the old item: it is meant for filling a new list that no
    other code has a reference to. On a list that other threads can reach, it races with every reader, and the old item
    is leaked or released twice."""

    info = RuleInfo(
        code="FT318",
        name="list-set-item-on-shared",
        summary="`PyList_SET_ITEM` stores into a list that other threads can reach.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Use `PyList_SetItem`, which locks the list and releases the old item.",
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/c-api/list.html",
        ),
        silenced_by=("borrowed-ref",),
    )
    words = api.LIST_STORES
    VALID = (
        SourceExample(
            code="""\
static PyObject *build(PyObject *m, PyObject *v) {
    PyObject *list = PyList_New(1);
    PyList_SET_ITEM(list, 0, Py_NewRef(v));
    return list;
}
""",
        ),
        SourceExample(
            code="""\
typedef struct { PyObject_HEAD PyObject *items; } Obj;
static int put(Obj *self, Py_ssize_t i, PyObject *v) { return PyList_SetItem(self->items, i, v); }
""",
            instead=True,
        ),
        SourceExample(
            code="""\
typedef struct task { struct task *parent; PyObject *obj; Py_ssize_t index; } Task;
static void *fill(const Task *task, PyObject *v) {
    PyObject *parent = (PyObject *)task->parent->obj;
    PyList_SET_ITEM(parent, task->index, v);
    return v;
}
static int note(Task *task, PyObject *k) { return PyDict_SetItem(task->obj, k, Py_None); }
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
typedef struct { PyObject_HEAD PyObject *items; } Obj;
static int put(Obj *self, Py_ssize_t i, PyObject *v) {
    Py_DECREF(PyList_GET_ITEM(self->items, i));
    PyList_SET_ITEM(self->items, i, v);
    return 0;
}
""",
            lines=(4,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for found in find_borrowed(unit, *api.LIST_STORES):
            function = found.call.function
            replaces = function is not None and any(
                read.function == function and unit.same(read.arguments[0], found.container)
                for read in unit.calls("PyList_GET_ITEM", "PyList_GetItem")
                if read.arguments
            )
            # Code often passes a list around while it fills it, or stores it in its builder, before others see it.
            if found.origin in (ContainerOrigin.PARAMETER, ContainerOrigin.MEMBER) and not replaces:
                continue
            yield self.finding(
                f"`PyList_SET_ITEM` stores into `{found.container}`, {found.origin.value}",
                location=unit.place(found.call.start),
            )
