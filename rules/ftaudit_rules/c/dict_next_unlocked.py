"""FT312: a dict or a set that is iterated without a lock while another thread may change it."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit, api
from ftaudit.source.c.borrowed import find_borrowed


class DictNextUnlocked(CRule):
    """`PyDict_Next` takes no lock and returns borrowed references to keys and values. Without the GIL another thread
    can resize the dict during the loop, or release the key and value that the call has just returned.
    `_PySet_NextEntry` has the same problem for sets."""

    info = RuleInfo(
        code="FT312",
        name="dict-next-unlocked",
        summary=("`PyDict_Next` iterates over a dict that other threads can change, outside a critical section."),
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Put the whole loop between `Py_BEGIN_CRITICAL_SECTION(d)` and `Py_END_CRITICAL_SECTION()` (Python 3.13), "
            "and leave it with `break`, never with `return` or `goto`."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://docs.python.org/3.14/library/threadsafety.html",
            "https://docs.python.org/3.14/c-api/dict.html",
        ),
        silenced_by=("borrowed-ref",),
    )
    words = api.DICT_ITERATION
    VALID = (
        SourceExample(
            code="""\
static PyObject *any_item(PyObject *m, PyObject *set) {
    Py_ssize_t pos = 0; Py_hash_t hash; PyObject *item; int found;
    Py_BEGIN_CRITICAL_SECTION(set);
    found = _PySet_NextEntryRef(set, &pos, &item, &hash);
    Py_END_CRITICAL_SECTION();
    if (!found) Py_RETURN_NONE;
    return item;
}
""",
        ),
        SourceExample(
            code="""\
static int each(PyObject *m, PyObject *opts) {
    Py_ssize_t p = 0; PyObject *k, *v; int err = 0;
    Py_BEGIN_CRITICAL_SECTION(opts);
    while (PyDict_Next(opts, &p, &k, &v)) {
        if (use(k, v) < 0) { err = 1; break; }
    }
    Py_END_CRITICAL_SECTION();
    return err;
}
""",
            instead=True,
        ),
        SourceExample(
            code="""\
static int init(Obj *self, PyObject *args, PyObject *kwds) {
    Py_ssize_t p = 0; PyObject *k, *v;
    while (PyDict_Next(kwds, &p, &k, &v)) use(k, v);
    return 0;
}
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyObject *any_item(PyObject *m, PyObject *set) {
    Py_ssize_t pos = 0; Py_hash_t hash; PyObject *item;
    if (!_PySet_NextEntry(set, &pos, &item, &hash)) Py_RETURN_NONE;
    return Py_NewRef(item);
}
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
static int each(PyObject *m, PyObject *opts) {
    Py_ssize_t p = 0; PyObject *k, *v;
    while (PyDict_Next(opts, &p, &k, &v)) use(k, v);
    return 0;
}
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
static int step(PyObject *m, PyObject *dict, Py_ssize_t *pos) {
    PyObject *key, *value;
    if (unlikely(!PyDict_Next(dict, pos, &key, &value))) return 0;
    return use(key, value);
}
""",
            lines=(3,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for found in find_borrowed(unit, *api.DICT_ITERATION):
            yield self.finding(
                (
                    f"`{found.call.name}` iterates over `{found.container}`, {found.origin.value}, outside a critical "
                    "section"
                ),
                location=unit.place(found.call.start),
            )
