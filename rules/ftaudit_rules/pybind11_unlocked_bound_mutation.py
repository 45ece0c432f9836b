"""FT412: bound methods that change their object with no lock."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit

_BOUND = re.compile(r"\.\s*def\s*\([^;]*?&\s*(?:\w+\s*::\s*)*(\w+)\s*::\s*(\w+)\s*[,)]")
_CHANGES = re.compile(
    r"(?<![\w.>:])(?:this\s*->\s*)?(\w+_|m_\w+)\s*(?:(?:[-+*/|&^]|<<|>>)?=(?!=)|\+\+|--|\.\s*(?:push_back|insert|erase|clear|emplace\w*|resize)\s*\()"
)


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
    int n = 0;
    void inc() { std::lock_guard<std::mutex> g(mu); n_ += 1; }
};
PYBIND11_MODULE(ext, m, py::mod_gil_not_used()) { py::class_<T>(m, "T").def("inc", &T::inc); }
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
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        if not unit.cpp or ".def" not in unit.code:
            return
        bound = {(found[1], found[2]) for found in _BOUND.finditer(unit.code)}
        for function in unit.functions:
            owners = {name for start, end, name in unit.syntax.classes if start < function.start < end}
            owners |= set(function.name.split("::")[:-1])
            if not any((owner.strip(), function.short_name) in bound for owner in owners):
                continue
            changed = _CHANGES.search(unit.code, function.body, function.end)
            if changed and not unit.guarded(changed.start()):
                yield self.finding(
                    f"{function.short_name} changes `{changed[1]}` with no lock, and threads may share the object",
                    location=unit.place(changed.start()),
                )
