"""FT411: Python objects in static C++ variables."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.state import find_shared_writes

_OBJECT = re.compile(
    r"\b(?:py|pybind11|bp|nb|nanobind)\s*::\s*(?:object|module_?|function|dict|list|str|tuple|set|type|cpp_function|none|exception|int_|bytes|array\w*|dtype|class_|handle|callable)\b"
)
_MEMBER = re.compile(r"::\s*[a-z]")
"""Text in every match of `_OBJECT`: most files do not have it, and this check is faster."""
_RUNS_PYTHON = re.compile(r"\b(?:import_?|attr|module_|eval|exec|cast)\b")
_ONCE = re.compile(r"call_once|get_stored")


class Pybind11StaticPyObject(CRule):
    """C++ runs the initializer of a static variable once, and holds a lock of the C++ runtime meanwhile. If the
    initializer runs Python code, an attached thread that waits for the lock can deadlock with a stop-the-world pause.
    All interpreters share the object, and it is destroyed after the last interpreter has ended."""

    info = RuleInfo(
        code="FT411",
        name="pybind11-static-py-object",
        summary=("The initializer of a static `py::object` runs Python code under a lock of the C++ runtime."),
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Use `PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<T>` (safe without the GIL since pybind11 "
            "2.13.2), or keep the object in the module."
        ),
        links=("https://pybind11.readthedocs.io/en/stable/advanced/misc.html",),
    )
    VALID = (
        SourceExample(
            code="""\
py::object &cls() {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> c;
    return c.call_once_and_store_result([] { return py::module_::import("json").attr("dumps"); }).get_stored();
}
""",
            path="a.cpp",
            instead=True,
        ),
        SourceExample(
            code="""\
py::object f() { py::object c = py::module_::import("json"); return c; }
static py::object g(py::object x);
""",
            path="a.cpp",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
py::object cls() { static py::object c = py::module_::import("json").attr("dumps"); return c; }
""",
            lines=(1,),
            path="a.cpp",
        ),
        SourceExample(
            code="""\
static py::object handler;


void set_handler(py::object h) { handler = h; }
""",
            lines=(1,),
            path="a.cpp",
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        if not unit.cpp or not _MEMBER.search(unit.code) or not _OBJECT.search(unit.code):
            return
        written = {shared.variable.start for shared in find_shared_writes(unit)}
        for variable in unit.syntax.variables:
            if unit.is_thread_local(variable) or "gil_safe" in variable.type:
                continue
            value = unit.code[slice(*variable.initializer)] if variable.initializer else ""
            object_ = bool(_OBJECT.search(variable.type))
            if variable.function is not None:
                runs = bool(_OBJECT.search(value) and _RUNS_PYTHON.search(value)) or (
                    object_ and bool(_RUNS_PYTHON.search(value))
                )
                handle = "handle" in variable.type or "&" in variable.type
                if _ONCE.search(value) or not (runs or (object_ and not handle)):
                    continue
                message = f"the initializer of `{variable.name}` runs Python code under a lock of the C++ runtime"
            elif object_ and variable.start in written:
                message = (
                    f"all threads share the Python reference `{variable.name}`, and functions assign it without a lock"
                )
            else:
                continue
            yield self.finding(message, location=unit.place(variable.start))
