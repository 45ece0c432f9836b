"""FT310: a list item that is used through a borrowed reference while another thread may release it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, NoFix, Severity, Site
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit, api
from ftaudit.source.c.borrowed import BorrowedCall, find_borrowed
from ftaudit.source.c.escape import ContainerOrigin
from ftaudit.source.c.owned_references import own_reference
from ftaudit.source.shared_state import AccessKind

_SEQUENCE_ITEM = "PySequence_Fast_GET_ITEM"
"""FT317 checks the result of PySequence_Fast; for a stored list, this returns a borrowed reference as well."""


_NEAR = 400
"""Characters before the call in which the head of its loop is searched for."""


class BorrowedListItem(CRule):
    """`PyList_GetItem` returns a borrowed reference: only the list keeps the item alive. Without the GIL another thread
    can replace or remove the item between the call and the use, and the pointer dangles. A list that other threads
    cannot reach is safe."""

    info = RuleInfo(
        code="FT310",
        name="borrowed-list-item",
        summary="`PyList_GetItem` returns a borrowed reference from a list that other threads can change.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Use `PyList_GetItemRef` (Python 3.13), and release the reference. It returns `NULL` and sets `IndexError` "
            "if the index is out of range."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/library/threadsafety.html",
            "https://docs.python.org/3.14/c-api/list.html",
        ),
        silenced_by=("borrowed-ref",),
    )
    words = (*api.LIST_ITEMS, _SEQUENCE_ITEM)
    VALID = (
        SourceExample(
            code="""\
static PyObject *first(PyObject *m, PyObject *lst) { return PyList_GetItemRef(lst, 0); }
""",
            instead=True,
        ),
        SourceExample(
            code="""\
static PyObject *build(PyObject *m, PyObject *n) {
    PyObject *list = PyList_New(3);
    fill(list);
    return Py_NewRef(PyList_GetItem(list, 0));
}
""",
        ),
        SourceExample(
            code="""\
static PyObject *first(PyObject *m, PyObject *lst) {
    PyObject *item;
    Py_BEGIN_CRITICAL_SECTION(lst);
    item = Py_XNewRef(PyList_GetItem(lst, 0));
    Py_END_CRITICAL_SECTION();
    return item;
}
""",
        ),
        SourceExample(
            code="""\
static int fill(PyObject *seq, const int is_list) {
#ifdef Py_GIL_DISABLED
    if (is_list) {
        return fill_from_list(seq);
    }
#endif
    PyObject *item = is_list ? PyList_GET_ITEM(seq, 0) : PyTuple_GET_ITEM(seq, 0);
    return use(item);
}
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyObject *first(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    PyObject *list = args[0];
    return Py_NewRef(PyList_GET_ITEM(list, 0));
}
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
static PyObject *first(PyObject *m, PyObject *lst) { return Py_NewRef(PyList_GetItem(lst, 0)); }
""",
            lines=(1,),
        ),
        SourceExample(
            code="""\
static PyObject *pending;
static PyObject *next(PyObject *m, PyObject *none) {
    PyObject *item = PyList_GET_ITEM(pending, 0);
    return PyObject_CallNoArgs(item);
}
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
typedef struct { PyObject_HEAD PyObject *loops; } Obj;
static PyObject *nth(Obj *self, Py_ssize_t i) {
    PyObject *item = PySequence_Fast_GET_ITEM(self->loops, i);
    return use(item);
}
static int add(Obj *self, PyObject *v) {
    PyObject *loops = self->loops;
    return PyList_Append(loops, v);
}
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
class list {
    PyObject *m_ptr;
    PyObject *at(Py_ssize_t i) const { return PyList_GET_ITEM(m_ptr, i); }
    void clear() { PyList_SetSlice(m_ptr, 0, PyList_GET_SIZE(m_ptr), nullptr); }
};
""",
            lines=(3,),
            path="list.hpp",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for found in find_borrowed(unit, *api.LIST_ITEMS, _SEQUENCE_ITEM):
            if found.call.name == _SEQUENCE_ITEM and found.origin not in (
                ContainerOrigin.MEMBER,
                ContainerOrigin.STATIC,
            ):
                continue
            loop = _loop_around(unit, found)
            name = found.call.function.short_name if found.call.function else ""
            places = [found.call.start] if loop is None else [loop, found.call.start]
            yield self.finding(
                f"`{found.call.name}` returns a borrowed reference from `{found.container}`, {found.origin.value}",
                location=unit.place(found.call.start),
                sites=tuple(
                    Site(location=unit.place(at), access=AccessKind.WALK.value, entry_point=name) for at in places
                )
                if loop is not None
                else (),
            )

    def fix(self, unit: CUnit, finding: Finding) -> Fix | NoFix:
        """Take a strong reference, and release it on every path."""
        return own_reference(unit, finding)


def _loop_around(unit: CUnit, found: BorrowedCall) -> int | None:
    """Return the place of the loop that goes through the same list up to its size, if the call is in one."""
    function = found.call.function
    if function is None or not found.container.isidentifier():
        return None
    heads = re.compile(rf"\bfor\s*\([^{{}}]*?\b(?:Py_SIZE|PyList_GET_SIZE|PyList_Size)\s*\(\s*{found.container}\s*\)")
    last = None
    for head in heads.finditer(unit.code, max(function.body, found.call.start - _NEAR), found.call.start):
        last = head.start()
    return last
