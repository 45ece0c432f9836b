"""FT412: bound methods that change their object with no lock."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.functions import Function

_BOUND = re.compile(r"\.\s*def\w*\s*\([^;]{0,500}?&\s*(?:\w+\s*::\s*){0,9}(\w+)\s*::\s*(\w+)\s*[,)]")
_OF_SINGLETON = re.compile(r"\b(\w+)\s*::\s*\w+\s*\(\s*\)\s*(?:\.|->)\s*(\w+)\s*\(")
"""`Registry::get().add(…)`: the one object of a class, so its methods run for all threads."""
_CHANGE = (
    r"\s*(?:\[[^\[\]]*\]\s*)?(?:(?:[-+*/%|&^]|<<|>>)?=(?!=)|\+\+|--|\.\s*(?:push_back|push_front|push|pop\w*|insert\w*|erase|clear"
    r"|emplace\w*|resize|assign|append|merge|swap|reset)\s*\()"
)
_CHANGES = re.compile(r"(?<![\w.>:*& ])\s{0,80}(?:this\s*->\s*)?\b([A-Za-z_]\w*)" + _CHANGE)
_MEMBER = re.compile(r"\b([A-Za-z_]\w*)\s*(?:\[[^\[\]]*\]\s*)*(?:=[^;]*|\{[^;{}]*\}\s*)?;")
_NO_MEMBER = re.compile(r"\b(?:using|typedef|friend|static|thread_local|return|const|constexpr|atomic\w*|\w*mutex)\b")
_INNER = re.compile(r"\{[^{}]*\}")


class Pybind11UnlockedBoundMutation(CRule):
    """pybind11 takes no lock around a bound method. Where two Python threads share the object, they are in the
    method at once."""

    info = RuleInfo(
        code="FT412",
        name="pybind11-unlocked-bound-mutation",
        summary="A method that is bound with pybind11 changes members of its object with no lock.",
        severity=Severity.PEDANTIC,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy="Guard the members with a std::mutex, or the method with py::scoped_critical_section.",
        links=("https://pybind11.readthedocs.io/en/stable/advanced/misc.html",),
        default=False,
    )
    VALID = (
        SourceExample(
            code="""\
struct T {
    std::mutex mu;
    int n_ = 0;
    void inc() { std::lock_guard<std::mutex> g(mu); n_ += 1; }
};
PYBIND11_MODULE(ext, m, py::mod_gil_not_used()) { py::class_<T>(m, "T").def("inc", &T::inc); }
""",
            path="a.cpp",
        ),
        SourceExample(
            code="""\
struct T {
    int n = 0;
    int twice() const { int n = this->n; n += n; return n; }
};
PYBIND11_MODULE(ext, m, py::mod_gil_not_used()) {
    py::class_<T>(m, "T").def("twice", &T::twice).def("copy", [](T t) { t.n = 0; return t; });
}
""",
            path="a.cpp",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
struct T {
    int n_ = 0;
    void inc() { n_ += 1; }
};
PYBIND11_MODULE(ext, m, py::mod_gil_not_used()) { py::class_<T>(m, "T").def("inc", &T::inc); }
""",
            lines=(3,),
            path="a.cpp",
        ),
        SourceExample(
            code="""\
struct Sum {
    int x;
    void add(int v) { x += v; }
};
struct Registry {
    static Registry &get() { static Registry r; return r; }
    std::vector<int> items;
    void add(int v) { items.push_back(v); }
};
NB_MODULE(ext, m) {
    nb::class_<Sum>(m, "Sum").def("add", &Sum::add).def("reset", [](Sum &self) { self.x = 0; });
    m.def("register", [](int v) { Registry::get().add(v); });
}
""",
            lines=(3, 8, 11),
            path="a.cpp",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        if not unit.cpp or ".def" not in unit.code:
            return
        bound = {(found[1], found[2]) for found in _BOUND.finditer(unit.code)}
        members: dict[tuple[int, int, str], set[str]] = {}
        bound |= {(found[1], found[2]) for found in _OF_SINGLETON.finditer(unit.code)}
        for function in unit.functions:
            if function.bound:
                changed = _changes_argument(unit, function)
            elif owners := {owner for owner in _owners(unit, function) if (owner, function.short_name) in bound}:
                fresh = (span for span in unit.syntax.classes if span[2] in owners and span not in members)
                members |= {span: _members(unit, *span[:2]) for span in fresh}
                own = set().union(*(names for span, names in members.items() if span[2] in owners))
                changed = _changes_member(unit, function, own)
            else:
                continue
            if changed is not None:
                yield self.finding(
                    f"{function.short_name} changes `{changed[1]}` with no lock, and threads may share the object",
                    location=unit.place(changed.start(1)),
                )


def _owners(unit: CUnit, function: Function) -> set[str]:
    owners = {name.strip() for start, end, name in unit.syntax.classes if start < function.start < end}
    return owners | {part.strip() for part in function.name.split("::")[:-1]}


def _changes_member(unit: CUnit, function: Function, members: set[str]) -> re.Match[str] | None:
    """Return where a method first changes a member of its class unguarded; `x_` and `m_x` are members anywhere."""
    if "const" in unit.code[function.at : function.body].rpartition(")")[2]:
        return None
    for found in _CHANGES.finditer(unit.code, function.body, function.end):
        name = found[1]
        if not (name in members or name.endswith("_") or name.startswith("m_")) or unit.is_local(function, name):
            continue
        if not unit.guarded(found.start(1)):
            return found
    return None


def _changes_argument(unit: CUnit, function: Function) -> re.Match[str] | None:
    """Return where a lambda first changes a field of the object that it is given by reference or pointer."""
    first = next(iter(function.parameters), None)
    if first is None or "const" in first.type or not first.type.rstrip().endswith(("&", "*")):
        return None
    if "lock_self" in unit.code[function.end : function.end + 200].partition(".def")[0]:
        return None
    pattern = re.compile(rf"(?<![\w.>]){re.escape(first.name)}\s*(?:\.|->)\s*([A-Za-z_]\w*)" + _CHANGE)
    for found in pattern.finditer(unit.code, function.body, function.end):
        if not unit.guarded(found.start()):
            return found
    return None


def _members(unit: CUnit, start: int, end: int) -> set[str]:
    """Return the data members that a class declares: constants, atomics and locks aside."""
    body = unit.code[start + 1 : end]
    for _ in range(6):
        body, before = _INNER.sub("{;}", body) if "{" in body else body, body
        body = body.replace("{;}", ";")
        if body == before:
            break
    found: set[str] = set()
    for statement in re.split(r"(?<=;)|(?<=[^:]):(?=[^:])", body):
        declared = None if "(" in statement else _MEMBER.search(statement)
        if declared and not _NO_MEMBER.search(statement):
            words = re.findall(r"\w+", statement[: declared.start()])
            if words:
                found.add(declared[1])
    return found
