"""FT326: types that are changed after they are ready."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit

_DICT = re.compile(r"PyDict_(?<!\wPyDict_)(?:SetItem|DelItem)\w*\s*\(\s*[^,;]*(?:->|\.)\s*tp_dict\b")
_SLOT = re.compile(r"tp_\w+\s*=(?!=)")
_BEFORE_SLOT = re.compile(r"(?<![\w.>])(\w+)\s*\.\s*$")
_MAKES_TYPE = re.compile(
    r"\bPyType_(?:Ready|FromSpec\w*|FromModuleAndSpec|FromMetaclass|GenericAlloc)\s*\(|->\s*tp_alloc\s*\("
)


class TypeDictMutation(CRule):
    """Code that writes a slot or the dictionary of a type bypasses the interpreter's method caches and their lock.
    Without the GIL other threads look up methods in that dictionary at the same time."""

    info = RuleInfo(
        code="FT326",
        name="type-dict-mutation",
        summary="A type's dictionary or slot is changed outside module initialization.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Change the type only in the `Py_mod_exec` function, with `PyObject_SetAttrString`, or create a heap type "
            "from a `PyType_Spec`."
        ),
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html",),
    )
    words = ("tp_",)
    VALID = (
        SourceExample(
            code="""\
extern PyObject *type, *func;
static int mod_exec(PyObject *m) { return PyObject_SetAttrString(type, "run", func); }
""",
            instead=True,
        ),
        SourceExample(
            code="""\
static int mod_exec(PyObject *m) { T.tp_base = &PyLong_Type; return PyType_Ready(&T); }
static PyModuleDef_Slot s[] = {{Py_mod_exec, mod_exec}, {0, NULL}};
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
PyObject *call_it(PyObject *self, PyObject *args, PyObject *kwargs);
static PyTypeObject T = {PyVarObject_HEAD_INIT(NULL, 0)};
static PyObject *hook(PyObject *m, PyObject *f) { PyDict_SetItemString(T.tp_dict, "run", f); Py_RETURN_NONE; }
static PyObject *slot(PyObject *m, PyObject *f) { T.tp_call = call_it; Py_RETURN_NONE; }
""",
            lines=(3, 4),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        code = unit.code
        if "tp_" not in code:
            return
        for pattern in (_DICT, _SLOT) if "tp_dict" in code else (_SLOT,):
            for found in pattern.finditer(unit.code):
                function = unit.function_at(found.start())
                if function is None or unit.at_import(function) or unit.maybe_at_import(function):
                    continue
                if unit.guarded(found.start()) or _MAKES_TYPE.search(unit.code, function.body, function.end):
                    continue
                owner = _BEFORE_SLOT.search(code, max(0, found.start() - 60), found.start())
                if pattern is _SLOT and (owner is None or not unit.is_shared_variable(owner[1], function)):
                    continue
                yield self.finding(
                    f"`{function.short_name}` changes a type while other threads may look up its methods",
                    location=unit.place(found.start()),
                )
