"""FT322: static variables of functions that are changed without a guard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.c_declarations import Variable
from ftaudit.source.c.state import find_shared_writes, holds_objects
from ftaudit.source.c.write_sites import sites_of

_MOST = 6
"""Static variables of one function that are reported one by one; translated Fortran has dozens."""


class MutableFunctionStatic(CRule):
    """All threads share a static variable of a function, even though it has local scope. Without the GIL two threads
    that run the function at the same time overwrite each other's buffer or flag."""

    info = RuleInfo(
        code="FT322",
        name="mutable-function-static",
        summary="A static variable of a function is changed without a guard, and any thread may run the function.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Make it thread-local (`_Thread_local`), per-module or per-object state, or atomic, guard it with a "
            "PyMutex, or leave out the cache under `#ifndef Py_GIL_DISABLED`."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://py-free-threading.github.io/porting-extensions/",
        ),
    )
    VALID = (
        SourceExample(
            code="""\
void fmt(int n, char *buf, size_t len) { snprintf(buf, len, "%d", n); }
""",
        ),
        SourceExample(
            code="""\
static int init(PyObject *self, PyObject *args, PyObject *kwds) {
    static char *kwlist[] = {"a", "b", NULL};
    int a, b;
    return PyArg_ParseTupleAndKeywords(args, kwds, "ii", kwlist, &a, &b) - 1;
}
""",
        ),
        SourceExample(
            code="""\
const std::string &name() { static const std::string n = build(); return n; }
""",
            path="a.cpp",
        ),
        SourceExample(
            code="""\
typedef struct { const char *const *names; char *text; } View;
int load(View *view) {
    static const char *const names[] = {"a", "b"};
    static char empty[] = "";
    view->names = names;
    view->text = empty;
    return 0;
}
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
char *fmt(int n) { static char buf[32]; snprintf(buf, sizeof buf, "%d", n); return buf; }
""",
            lines=(1,),
        ),
        SourceExample(
            code="""\
int setup(void) {
    static int done = 0;
    if (!done) { fill_tables(); done = 1; }
    return 0;
}
""",
            lines=(2,),
        ),
        SourceExample(
            code="""\
typedef struct { int n; } opcode_t; typedef struct { struct { opcode_t *output; } info; } Parser;
int open_parser(Parser *parser) {
    static opcode_t output[100];
    parser->info.output = output;
    return 0;
}
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
struct set_flag {
    bool &flag;
    explicit set_flag(bool &flag_) : flag(flag_) { flag_ = true; }
    ~set_flag() { flag = false; }
};
void convert() {
    static bool in_use = false;
    if (in_use) return;
    set_flag guard(in_use);
    work();
}
""",
            lines=(7,),
            path="convert.cpp",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        crowded: Counter[int] = Counter()

        def is_one_of_few(variable: Variable) -> bool:
            owner = variable.function
            return owner is not None and crowded[owner] < _MOST and not holds_objects(variable)

        for shared in find_shared_writes(unit, is_one_of_few):
            use, function = shared.first
            crowded[shared.variable.function or 0] += 1
            yield self.finding(
                f"`{shared.variable.name}` is one for all threads, and {function.short_name} changes it"
                f" with no guard (line {unit.line_at(use.at)})",
                location=unit.place(shared.variable.start),
                sites=sites_of(unit, shared),
                confidence=Confidence.MEDIUM if shared.variable.sure else Confidence.LOW,
            )
