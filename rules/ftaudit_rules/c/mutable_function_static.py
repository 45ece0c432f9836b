"""FT322: static variables of functions that are changed without a guard."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from ftaudit.model import Confidence, Finding, Severity, Site
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.c_declarations import Variable
from ftaudit.source.c.functions import Function
from ftaudit.source.c.state import find_shared_writes, holds_objects
from ftaudit.source.c.text import closing
from ftaudit.source.c.write_sites import sites_of
from ftaudit.source.shared_state import AccessKind

_MOST = 6
"""Static variables of one function that are reported one by one; translated Fortran has dozens."""


class MutableFunctionStatic(CRule):
    """All threads share the static variables of a function. Without the GIL two threads that run the function at the
    same time overwrite each other's buffer or flag."""

    info = RuleInfo(
        code="FT322",
        name="mutable-function-static",
        summary="A function changes its static variable without a lock, and any thread may run the function.",
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
            path="casters.cpp",
            code="""\
static std::mutex casters_mutex;
static std::unordered_map<unsigned, int> &Casters() {
    static std::unordered_map<unsigned, int> casters;
    return casters;
}
void add(unsigned id, int caster) {
    std::lock_guard<std::mutex> guard(casters_mutex);
    Casters()[id] = caster;
}
int find(unsigned id) {
    std::lock_guard<std::mutex> guard(casters_mutex);
    return Casters().find(id)->second;
}
""",
            instead=True,
        ),
        SourceExample(
            code="""\
static std::unordered_map<Raw *, Model *> &Models() {
    static auto *models = new std::unordered_map<Raw *, Model *>();
    return *models;
}
Model::Model(Raw *raw) : raw_(raw) {
    std::lock_guard<std::mutex> guard(mutex);
    Models().insert({raw, this});
}
Model *find(Raw *raw) { return Models().find(raw)->second; }
""",
            path="models.cpp",
        ),
        SourceExample(
            code="""\
Ref &date_type() {
    static Ref type;
    static std::once_flag once;
    std::call_once(once, []() { import_from("datetime", "date", type); });
    return type;
}
""",
            path="types.cpp",
        ),
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
static std::unordered_map<unsigned, int> &Casters() {
    static std::unordered_map<unsigned, int> casters;
    return casters;
}
void add(unsigned id, int caster) { Casters()[id] = caster; }
int find(unsigned id) { return Casters().find(id)->second; }
""",
            lines=(2,),
            path="casters.cpp",
        ),
        SourceExample(
            code="""\
static std::unordered_map<Raw *, Model *> &Models() {
    static auto *models = new std::unordered_map<Raw *, Model *>();
    return *models;
}
Model::Model(Raw *raw) : raw_(raw) { Models().insert({raw, this}); }
Model::~Model() {
    auto &models = Models();
    models.erase(raw_);
}
""",
            lines=(2,),
            path="models.cpp",
        ),
        SourceExample(
            code="""\
Ref &date_type() {
    static Ref type;
    if (type.empty()) {
        import_from("datetime", "date", type);
    }
    return type;
}
""",
            lines=(2,),
            path="types.cpp",
        ),
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
        for start, name, places in _static_containers(unit):
            changed, first = places[0]
            yield self.finding(
                f"all threads share `{name}`, and `{first.short_name}` changes it without a lock (line "
                f"{unit.line_at(changed)})",
                location=unit.place(start),
                sites=tuple(
                    Site(location=unit.place(place), access=AccessKind.CHANGE.value, entry_point=writer.short_name)
                    for place, writer in places
                ),
            )
        crowded: Counter[int] = Counter()

        def is_one_of_few(variable: Variable) -> bool:
            owner = variable.function
            return owner is not None and crowded[owner] < _MOST and not holds_objects(variable)

        reported: set[int] = set()
        for shared in find_shared_writes(unit, is_one_of_few):
            reported.add(shared.variable.start)
            use, function = shared.first
            crowded[shared.variable.function or 0] += 1
            yield self.finding(
                f"all threads share `{shared.variable.name}`, and `{function.short_name}` changes it without a lock "
                f"(line {unit.line_at(use.at)})",
                location=unit.place(shared.variable.start),
                sites=sites_of(unit, shared),
                confidence=Confidence.MEDIUM if shared.variable.sure else Confidence.LOW,
            )
        for variable in unit.syntax.variables if unit.cpp else ():
            if variable.function is None or variable.start in reported or not _may_be_filled(unit, variable):
                continue
            around = unit.function_at(variable.start)
            at = None if around is None else _filled_if_empty(unit, variable, around)
            if at is None or around is None:
                continue
            yield self.finding(
                f"all threads share `{variable.name}`, and `{around.short_name}` fills it without a lock if it is "
                f"empty (line {unit.line_at(at)})",
                location=unit.place(variable.start),
                sites=tuple(
                    Site(location=unit.place(place), access=kind.value, entry_point=around.short_name)
                    for place, kind in ((variable.start, AccessKind.READ), (at, AccessKind.DECIDE))
                ),
                confidence=Confidence.MEDIUM if variable.sure else Confidence.LOW,
            )


_ACCESSOR: Final = re.compile(
    r"\b([A-Za-z_]\w*)\s*\(\s*(?:void\s*)?\)\s*(?:noexcept\s*)?\{\s*(static\b[^;{}]*?\b([A-Za-z_]\w*)"
    r"\s*(?:=[^;]*|\{[^{};]*\}|\([^;]*\))?);\s*return\s+\*?\s*\3\s*;\s*\}"
)
_CONTAINER: Final = re.compile(
    r"\b(?:\w*(?:map|set|multimap|multiset)|vector|list|deque|queue|stack)\s*<|\b\w*(?:Map|Set|Vector|List|Cache|Registry)\b"
)
_RESIZES: Final = (
    r"\s*(?:\.|->)\s*(?:insert\w*|emplace\w*|try_emplace|erase|clear|push_\w+|pop_\w+|extract|merge|resize|swap)\s*\("
)

_CHANGES: Final = rf"{_RESIZES}|\s*\[[^\]]*\]\s*=(?!=)"


def _static_containers(unit: CUnit) -> Iterator[tuple[int, str, list[tuple[int, Function]]]]:
    """Yield the static containers that a function returns, with the unguarded places that change them through it."""
    if not unit.cpp or "static" not in unit.code:
        return
    for found in _ACCESSOR.finditer(unit.code):
        if not _CONTAINER.search(found[2]) or re.search(r"\bconst\b|\bthread_local\b|[mM]utex|atomic", found[2]):
            continue
        name = re.escape(found[1])
        places: list[tuple[int, Function]] = []
        for use in re.finditer(rf"\b{name}\s*\(\s*\)({_CHANGES})?", unit.code):
            function = unit.function_at(use.start())
            if function is None or function.body <= found.start(2) < function.end:
                continue
            at = use.start() if use[1] else _changed_through_alias(unit, function, use.start())
            if at is not None and not unit.at_import(function) and not unit.guarded(at):
                places.append((at, function))
        if places:
            yield found.start(2), found[3], places


def _changed_through_alias(unit: CUnit, function: Function, at: int) -> int | None:
    """Return where a function changes the container that it keeps under a name: `auto& map = Objects();`."""
    alias = re.search(r"\b(?:auto|\w[\w:<>, ]*)\s*&\s*(\w+)\s*=\s*\Z", unit.code[max(function.body, at - 80) : at])
    if alias is None:
        return None
    name = re.escape(alias[1])
    change = re.compile(rf"\b{name}(?:{_CHANGES})").search(unit.code, at, function.end)
    return None if change is None else change.start()


def _may_be_filled(unit: CUnit, variable: Variable) -> bool:
    if unit.is_thread_local(variable) or unit.is_synchronized(variable):
        return False
    return "static" in variable.words and not {"const", "constexpr"} & set(variable.words)


def _filled_if_empty(unit: CUnit, variable: Variable, function: Function) -> int | None:
    """Return the place where a function tests whether a static object is empty and then uses it to fill it."""
    if unit.at_import(function) or unit.is_local(function, variable.name):
        return None
    name = re.escape(variable.name)
    test = re.compile(
        rf"\bif\s*\(\s*(?:!\s*{name}\b(?:\s*\.\s*(?:get|has_value)\s*\(\s*\))?"
        rf"|{name}\s*\.\s*(?:empty|is_none)\s*\(\s*\)"
        rf"|{name}\b(?:\s*\.\s*get\s*\(\s*\))?\s*==\s*(?:nullptr|NULL))\s*\)\s*(\{{)?"
    )
    for found in test.finditer(unit.code, variable.start, function.end):
        end = closing(unit.code, found.end() - 1, function.end) if found[1] else unit.code.find(";", found.end())
        filled = end > 0 and re.compile(rf"\b{name}\b").search(unit.code, found.end(), end)
        if filled and not unit.guarded(found.start()):
            return found.start()
    return None
