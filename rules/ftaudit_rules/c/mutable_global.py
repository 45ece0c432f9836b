"""FT321: file-scope variables that functions change without a guard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ftaudit.model import Confidence, Finding, Severity, Site
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.state import SharedWrite, find_shared_writes, holds_objects
from ftaudit.source.c.write_sites import sites_of
from ftaudit.source.shared_state import AccessKind


class MutableGlobal(CRule):
    """All threads share the variable. Without the GIL several threads read and write it at the same time: counters lose
    updates, free lists return the same entry twice, and readers see a half-written structure.

    A variable that only gets functions of the same file, chosen for the machine, is reported with `--pedantic`: all
    threads store the same one."""

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
            instead=True,
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
static double x0[100];
static double x1[100];
static double y0[100];
static double y1[100];
PyObject *clip(PyObject *self, PyObject *args) {
    x0[0] = x1[0] = 0;
    y0[0] = 1;
    y1[0] = 1;
    return area(self, args);
}
""",
            lines=(1,),
        ),
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
        """Yield what the rule finds in one file: one finding for each variable, or one for all if there are many."""
        found = list(find_shared_writes(unit, lambda one: one.function is None and not holds_objects(one)))
        # A comment that silences one variable must not silence the others.
        apart = [shared for shared in found if _is_marked(unit, shared)]
        others = [shared for shared in found if shared not in apart]
        groups = [others] if len(others) > _MOST_APART else [[shared] for shared in others]
        for some in [*groups, *([shared] for shared in apart)]:
            shared = some[0]
            use, function = shared.first
            message = (
                f"all threads share `{shared.variable.name}`, and `{function.short_name}` changes it without a lock "
                f"(line {unit.line_at(use.at)})"
            )
            if len(some) > 1:
                names = "`, `".join(each.variable.name for each in some[:_MOST_NAMES])
                more = f" and {len(some) - _MOST_NAMES} more" if len(some) > _MOST_NAMES else ""
                message = (
                    f"all threads share {len(some)} variables of this file (`{names}`{more}), and functions change "
                    f"them without a lock (`{function.short_name}`, line {unit.line_at(use.at)})"
                )
            yield self.finding(
                message,
                location=unit.place(shared.variable.start),
                severity=Severity.PEDANTIC if all(_dispatches(unit, each) for each in some) else None,
                sites=_sites(unit, some),
                confidence=Confidence.MEDIUM if any(each.variable.sure for each in some) else Confidence.LOW,
            )


_STORED_NAME: Final = re.compile(r"\w+\s*=\s*&?\s*([A-Za-z_]\w*)\s*;")


def _dispatches(unit: CUnit, shared: SharedWrite) -> bool:
    """Return whether a variable only gets functions of this file, chosen for the machine: the same in all threads."""
    names = {function.short_name for function in unit.functions}
    stored = [_STORED_NAME.match(unit.code, use.at) for use, _ in shared.writes]
    return all(one is not None and one[1] in names for one in stored)


_MOST_APART: Final = 3
"""How many variables of one file have findings of their own."""
_MOST_NAMES: Final = 4


def _is_marked(unit: CUnit, shared: SharedWrite) -> bool:
    """Return whether a comment at or above the declaration of a variable addresses ftaudit."""
    line = unit.line_at(shared.variable.start)
    above, own = ("", *unit.text.split("\n"))[line - 1 : line + 1]
    return "ftaudit:" in own or ("ftaudit:" in above and above.lstrip().startswith(("/", "*")))


def _sites(unit: CUnit, some: list[SharedWrite]) -> tuple[Site, ...]:
    if len(some) == 1:
        return sites_of(unit, some[0])
    found: list[Site] = []
    for each in some:
        declared = unit.place(each.variable.start)
        name = each.variable.name
        found.append(Site(location=declared, access=AccessKind.WRITE.value, entry_point=name))
        found += sites_of(unit, each)
    return tuple(found)
