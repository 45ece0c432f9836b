"""FT412: a C++ binding detaches its thread before it uses the Python objects that it gets as arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import Language, RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.text import closing

_DETACHES = re.compile(r"\bcall_guard\s*<[^<>;]{0,80}\bgil_scoped_release\b")
_OBJECT = re.compile(
    r"\b(?:py|pybind11|nb|nanobind)\s*::\s*(object|handle|array(?:_t)?|buffer|bytes|bytearray|str|list|tuple|dict|set|function"
    r"|callable|args|kwargs|iterable|iterator|sequence|slice|capsule|ndarray)\b"
)
_LONGEST = 4_000
"""How many characters after a lambda are searched for the end of the call that binds it."""


class PythonArgumentsDetached(CRule):
    """`py::call_guard<py::gil_scoped_release>()` detaches the thread from the interpreter before it calls the bound
    function. If a parameter is a Python object, the function then uses it, and releases its reference, while other
    threads can change or free it and the garbage collector does not wait for this thread.
    """

    info = RuleInfo(
        code="FT412",
        name="python-arguments-detached",
        summary="A bound function gets Python objects although its thread is detached from the interpreter.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        since="0.2.0",
        remedy=(
            "Take C++ types (`const std::vector<float> &`), or remove the call guard and put "
            "`py::gil_scoped_release` around the part of the function that uses no Python object."
        ),
        links=("https://pybind11.readthedocs.io/en/stable/advanced/misc.html",),
    )
    languages = frozenset({Language.CPP})
    words = ("gil_scoped_release",)
    VALID = (
        SourceExample(
            code="""\
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <vector>
namespace py = pybind11;
struct Stream { void accept(const float *data, size_t size); };
PYBIND11_MODULE(streams, m, py::mod_gil_not_used()) {
    py::class_<Stream>(m, "Stream")
        .def("accept", [](Stream &self, const std::vector<float> &wave) { self.accept(wave.data(), wave.size()); },
             py::call_guard<py::gil_scoped_release>())
        .def("name", [](Stream &self, py::str prefix) { return prefix; });
}
""",
            path="streams.cpp",
            instead=True,
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
#include <pybind11/pybind11.h>
#include <string>
namespace py = pybind11;
struct Stream { void accept(const std::string &data); };
PYBIND11_MODULE(streams, m, py::mod_gil_not_used()) {
    py::class_<Stream>(m, "Stream")
        .def("accept", [](Stream &self, py::bytes data) { self.accept(data); },
             py::arg("data"), py::call_guard<py::gil_scoped_release>());
}
""",
            lines=(7,),
            path="streams.cpp",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield the bound lambdas with Python objects among their parameters and a call guard that detaches."""
        for function in unit.bound_functions if unit.cpp else ():
            found = next((one for p in function.parameters if (one := _OBJECT.search(p.type))), None)
            if found is None:
                continue
            # The call continues after the lambda: an opening bracket before it makes `closing` find its end.
            rest = "(" + unit.code[function.end : function.end + _LONGEST]
            if _DETACHES.search(rest, 0, max(0, closing(rest, 0))):
                yield self.finding(
                    f"this function gets a `{found[0]}`, but the call guard detaches the thread before it runs",
                    location=unit.place(function.start),
                )
