"""FT325: types that are made ready in functions that any thread may run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.locks import words

_SETTING_UP = frozenset(
    [
        "init",
        "initialise",
        "initialize",
        "setup",
        "add",
        "register",
        "ready",
        "type",
        "types",
        "module",
        "exec",
        "define",
        "prepare",
        "load",
        "import",
        "enable",
        "install",
        "bootstrap",
    ]
)
_INSTALLS = re.compile(r"\bPyModule_Add\w*\s*\(|\bPyModule_Create|\bPyDict_SetItemString\s*\(")


class LateTypeReady(CRule):
    """`PyType_Ready` writes the type's flags, its method resolution order and its dictionary. If two threads call it
    for the same static type, or one thread uses the type during the call, they race."""

    info = RuleInfo(
        code="FT325",
        name="late-type-ready",
        summary="`PyType_Ready` is called outside module initialization.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Call `PyType_Ready` in the `Py_mod_exec` function, before other threads can use the type.",
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html",),
    )
    words = ("PyType_Ready",)
    VALID = (
        SourceExample(
            code="""\
static int mod_exec(PyObject *m) { return PyType_Ready(&T); }
static PyModuleDef_Slot s[] = {{Py_mod_exec, mod_exec}, {0, NULL}};
""",
            instead=True,
        ),
        SourceExample(
            code="""\
int setup_types(PyObject *m) {
    if (PyType_Ready(&T) < 0) return -1;
    return PyModule_AddObjectRef(m, "T", (PyObject *)&T);
}
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
static PyObject *make(PyObject *m, PyObject *a) { if (PyType_Ready(&T) < 0) return NULL; return T.tp_alloc(&T, 0); }
""",
            lines=(1,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for call in unit.calls("PyType_Ready"):
            function = call.function
            if (
                function is None
                or unit.at_import(function)
                or unit.maybe_at_import(function)
                or unit.guarded(call.start)
            ):
                continue
            called = bool(unit.reach.callers.get(function.short_name))
            body = unit.code[function.body : function.end]
            sets_up = _SETTING_UP & set(words(function.short_name)) and function.body not in unit.reach.methods
            if sets_up and (not called or _INSTALLS.search(body)) and "::" not in function.name:
                continue
            yield self.finding(
                f"`{function.short_name}` calls `PyType_Ready` on a type that other threads may already use",
                location=unit.place(call.start),
            )
