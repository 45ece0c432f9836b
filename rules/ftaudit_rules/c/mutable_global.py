"""FT321: file-scope variables that functions change without a guard."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.state import find_shared_writes, holds_objects
from ftaudit.source.c.write_sites import sites_of


class MutableGlobal(CRule):
    """All threads share the variable. Without the GIL several threads read and write it at the same time: counters lose
    updates, free lists return the same entry twice, and readers see a half-written structure."""

    info = RuleInfo(
        code="FT321",
        name="mutable-global",
        summary="A function changes a file-scope variable without a lock, and any thread may run the function.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Make the variable thread-local (`_Thread_local`) or atomic, move it into the module state or an object, "
            "or guard it with a `PyMutex`. If it is a cache, you can disable it in free-threaded builds (`#ifndef "
            "Py_GIL_DISABLED`)."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://py-free-threading.github.io/porting-extensions/",
        ),
    )
    VALID = (
        SourceExample(
            code="""\
static int hooks;
PYBIND11_MODULE(ext, m, py::mod_gil_not_used()) {
    m.def("add", []() {
        MutexLockIfGilDisabled lock(HooksMutex());
        hooks += 1;
    });
    m.def("drop", []() {
        LOCK_IF_GIL_DISABLED(mutex);
        hooks -= 1;
        UNLOCK_IF_GIL_DISABLED(mutex);
    });
}
""",
            path="ext.cpp",
        ),
        SourceExample(
            code="""\
static std::map<int, int> table;
static std::mutex mutex;
NB_MODULE(ext, m) {
    table.clear();
    m.def("put", [](int k, int v) {
        std::lock_guard<std::mutex> guard(mutex);
        table[k] = v;
    });
}
""",
            path="ext.cpp",
        ),
        SourceExample(
            code="""\
static _Atomic int calls; static PyObject *f(PyObject *m, PyObject *a) { calls++; Py_RETURN_NONE; }
""",
        ),
        SourceExample(
            code="""\
static const int table[] = {1, 2, 3};
static int get(int i) { return table[i]; }
""",
        ),
        SourceExample(
            code="""\
static int ready;
static int mod_exec(PyObject *m) { ready = 1; return 0; }
static PyModuleDef_Slot slots[] = {{Py_mod_exec, mod_exec}, {0, NULL}};
""",
        ),
        SourceExample(
            code="""\
#ifdef Py_GIL_DISABLED
#define N_FREE 0
#else
#define N_FREE 8
#endif
#if N_FREE > 0
static void *freelist[N_FREE];
static void put(void *p) { freelist[0] = p; }
#endif
""",
        ),
        SourceExample(
            code="""\
#define MY_TLS _Thread_local
static MY_TLS int depth;
static void enter(void) { depth++; }
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
#include <Python.h>
#include <vector>
static std::vector<PyObject *> kept;
void keep(PyObject *value) { kept.push_back(Py_NewRef(value)); }
PyObject *last() { return Py_NewRef(kept.back()); }
""",
            lines=(3,),
            path="kept.cpp",
        ),
        SourceExample(
            code="""\
#include <functional>
#include <map>
static std::map<int, std::function<int(void *, int)>> feeders;
static void fill(int kind) {
    feeders[kind] = [](void *, int value) -> int { return value; };
}
int feed(int kind, void *to, int value) {
    if (feeders.find(kind) == feeders.end()) fill(kind);
    return feeders.find(kind)->second(to, value);
}
""",
            lines=(3,),
            path="feed.cpp",
        ),
        SourceExample(
            code="""\
static int total;
static std::mutex lock;
int read() { std::lock_guard<std::mutex> add(lock); return 1; }
int add() { return ++total; }
PYBIND11_MODULE(ext, m, py::mod_gil_not_used()) {
    m.def("read", &read);
    m.def("add", &add);
}
""",
            lines=(1,),
            path="ext.cpp",
        ),
        SourceExample(
            code="""\
static std::map<int, int> table;
static int ready;

PYBIND11_MODULE(ext, m, py::mod_gil_not_used()) {
    ready = 1;
    m.def("put", [](int k, int v) { table[k] = v; });
}
""",
            lines=(1,),
            path="ext.cpp",
        ),
        SourceExample(
            code="""\
static int calls; static PyObject *f(PyObject *m, PyObject *a) { calls++; Py_RETURN_NONE; }
""",
            lines=(1,),
        ),
        SourceExample(
            code="""\
typedef struct { int n; } Item;
static Item *freelist[8];
static int nfree = 0;
static jmp_buf env;

static Item *take(void) { return freelist[--nfree]; }
static void give(Item *i) { freelist[nfree++] = i; }
static int guarded(void) { return setjmp(env); }
""",
            lines=(2, 3, 4),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for shared in find_shared_writes(unit, lambda one: one.function is None and not holds_objects(one)):
            use, function = shared.first
            yield self.finding(
                f"all threads share `{shared.variable.name}`, and `{function.short_name}` changes it without a lock "
                f"(line {unit.line_at(use.at)})",
                location=unit.place(shared.variable.start),
                sites=sites_of(unit, shared),
                confidence=Confidence.MEDIUM if shared.variable.sure else Confidence.LOW,
            )
