"""FT301: an extension module without a GIL declaration, so importing it turns the GIL back on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, GilDeclaration, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit.source.c.module_declaration import declare_module

_DECLARES = re.compile(r"Py(?<!\wPy)(?:_mod_gil\b|Unstable_Module_SetGIL\s*\(|_MOD_GIL_)")
_ENTRY = re.compile(r"^(?:PyInit|PyModExport)U?_\w+$")
_MARKED = re.compile(r"\bPyMOD(?:INIT|EXPORT)_FUNC\b")
_MADE = re.compile(r"PyInit_|PyMODINIT_FUNC|PyModExport_")
_NAME = re.compile(r"[A-Za-z_]\w*")
_EXPORT = re.compile(r"\bPyMODEXPORT_FUNC\b|\bPyModExportU?_")
_CALLS = re.compile(r"\w\s*\(")
_RETURNS = re.compile(r"\w\s*\(|\breturn\s*[(&]*\s*(?!NULL\b|nullptr\b)[A-Za-z_]")
"""The body of an export hook: usually it returns a static array and calls nothing (PEP 793)."""
_NEAR = 8
"""Lines; if PyModule_Create is further down than this, the finding is at the entry point's name instead."""
_CREATE = re.compile(r"PyModule(?<!\wPyModule)(?:_Create2?|_FromDefAndSpec2?|Def_Init)\s*\(")


_OWN_MACROS = ("INIT_FUNC", "INITFUNC", "MOD_INIT", "MODINIT", "MODULE_INIT", "INIT_MODULE", "MODULE_FUNC")
"""Words in the names of macros for entry points; the tree itself shows which macros they are."""


class MissingModGil(CRule):
    """CPython turns the GIL back on, for the whole process, when it imports a module that does not declare `Py_mod_gil`
    or call `PyUnstable_Module_SetGIL` (PEP 703). One such module is enough."""

    info = RuleInfo(
        code="FT301",
        name="missing-mod-gil",
        summary=(
            "A module has no `Py_mod_gil` slot and does not call `PyUnstable_Module_SetGIL`, so importing it turns the "
            "GIL back on."
        ),
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        asks_to_declare=True,
        remedy=(
            "Fix the other findings first. Then add `{Py_mod_gil, Py_MOD_GIL_NOT_USED}` to the slots, under `#ifdef "
            "Py_mod_gil`. Without slots, call `PyUnstable_Module_SetGIL(m, Py_MOD_GIL_NOT_USED)` under `#ifdef "
            "Py_GIL_DISABLED`, after you check that `m` is not `NULL`. In a `PySlot` array (CPython 3.15), the entry "
            "is `PySlot_DATA(Py_mod_gil, Py_MOD_GIL_NOT_USED)`."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://peps.python.org/pep-0703/",
            "https://docs.python.org/3.14/c-api/module.html",
        ),
        declares=GilDeclaration.UNDECLARED,
    )
    words = ("PyInit", "PyModExport", "PyMODINIT_FUNC", "PyMODEXPORT_FUNC", *_OWN_MACROS)
    VALID = (
        SourceExample(
            code="""\
static PySlot slots[] = {
    PySlot_STATIC_DATA(Py_mod_abi, &abi_info),
    PySlot_DATA(Py_mod_gil, Py_MOD_GIL_NOT_USED),
    PySlot_END};
PyMODEXPORT_FUNC PyModExport_m(void) { return slots; }
""",
            target="3.15t",
        ),
        SourceExample(
            code="""\
#include <Python.h>
static PyModuleDef_Slot slots[] = {
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, .m_name = "m", .m_slots = slots};
PyMODINIT_FUNC PyInit_m(void) { return PyModuleDef_Init(&def); }
""",
            instead=True,
        ),
        SourceExample(
            code="""\
PyMODINIT_FUNC PyInit_m(void) {
    PyObject *m = PyModule_Create(&def);
    if (m == NULL) return NULL;
#ifdef Py_GIL_DISABLED
    PyUnstable_Module_SetGIL(m, Py_MOD_GIL_NOT_USED);
#endif
    return m;
}
""",
        ),
        SourceExample(
            code="""\
PyMODINIT_FUNC PyInit_m(void) {
    PyObject *m = PyModule_Create(&def);
    setup_module(m);
    return m;
}
""",
            others=(
                ("other.c", "void setup_module(PyObject *m) { PyUnstable_Module_SetGIL(m, Py_MOD_GIL_NOT_USED); }\n"),
            ),
        ),
        SourceExample(
            code="""\
PyMODINIT_FUNC PyInit_m(void);  /* a prototype, for embedding */
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
#include <Python.h>
static PyMethodDef methods[] = {{NULL, NULL, 0, NULL}};
#define MOD_INIT(name) PyMODINIT_FUNC PyInit_##name(void)
#define MOD_DEF(ob, name, doc, methods) \\
    static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, name, doc, -1, methods}; \\
    ob = PyModule_Create(&def);
MOD_INIT(m)
{
    PyObject *m;
    MOD_DEF(m, "m", "documentation", methods);
    if (m == NULL) return NULL;
    return m;
}
""",
            lines=(7,),
        ),
        SourceExample(
            code="""\
#include <Python.h>
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "m", NULL, -1, NULL};
#define MAKE_MODULE(where) where = PyModule_Create(&def);
PyMODINIT_FUNC PyInit_m(void)
{
    PyObject *made;
    MAKE_MODULE(made);
    return made;
}
""",
            lines=(4,),
        ),
        SourceExample(
            code="""\
#define MODULE(name) PyMODINIT_FUNC PyInit_##name(void) { return PyModule_Create(&def); }
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "fast", NULL, -1, NULL};
MODULE(fast)
""",
            lines=(3,),
        ),
        SourceExample(
            code="""\
#include "init.h"
MODULE_INIT(m) {
    return PyModule_Create(&def);
}
""",
            others=(("init.h", "#define MODULE_INIT(name) PyMODINIT_FUNC PyInit_##name(void)\n"),),
            lines=(3,),
        ),
        SourceExample(
            code="""\
#include "init.h"
EXT_INIT_FUNC {
    PyObject *m = EXT_CREATE(&def);
    return m;
}
""",
            others=(
                (
                    "init.h",
                    "#define EXT_INIT_FUNC PyMODINIT_FUNC JOIN(PyInit_, EXT_MODULE)(void)\n"
                    "#define EXT_CREATE(def) (PyModule_Create(def))\n",
                ),
            ),
            lines=(2,),
        ),
        SourceExample(
            code="""\
static PySlot slots[] = {
    PySlot_STATIC_DATA(Py_mod_abi, &abi_info),
    PySlot_FUNC(Py_mod_exec, mod_exec),
    PySlot_END};
PyMODEXPORT_FUNC PyModExport_m(void) { return slots; }
""",
            lines=(1,),
            target="3.15t",
        ),
        SourceExample(
            code="""\
#include <Python.h>
PyMODINIT_FUNC
PyInit_m(void)
{
    /* Py_mod_gil would go here */
    return PyModule_Create(&def);
}
""",
            lines=(6,),
        ),
        SourceExample(
            code="""\
static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, mod_exec},
    {0, NULL}};
PyMODINIT_FUNC PyInit_m(void) { return PyModuleDef_Init(&def); }
""",
            lines=(1,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        macros = unit.tree.entry_macros | {
            name for name, macro in unit.preprocessed.macros.items() if _MADE.search(macro.body)
        }
        if not macros and not any(word in unit.code for word in self.words):
            return
        if _DECLARES.search(unit.code):
            return
        declaring = unit.tree.declares_gil | {
            name for name, macro in unit.preprocessed.macros.items() if _DECLARES.search(macro.body)
        }
        if declaring and declaring & set(_NAME.findall(unit.code)):
            return
        for name, macro in unit.preprocessed.macros.items():
            if _MADE.search(macro.body) and _CREATE.search(macro.body) and "{" in macro.body:
                # The macro is the whole entry point: `MODULE(fast)`.
                for used in re.finditer(rf"^{re.escape(name)}\s*\([^()]*\)", unit.code, re.MULTILINE):
                    yield self.finding(
                        f"the entry point from `{name}` does not call `PyUnstable_Module_SetGIL`: importing the module "
                        "turns the GIL back on",
                        location=unit.place(used.start()),
                    )
        for function in unit.functions:
            entry = function.short_name in macros or _ENTRY.match(function.short_name)
            if not (entry or _MARKED.search(function.header)):
                continue
            exports = _EXPORT.search(unit.code, function.at, function.body) is not None
            if not (_RETURNS if exports else _CALLS).search(unit.code, function.body, function.end):
                continue
            at, how = self._place(unit, function.body, function.end, function.at)
            yield self.finding(
                f"`{function.short_name}` {how}: importing the module turns the GIL back on", location=unit.place(at)
            )

    @staticmethod
    def _place(unit: CUnit, start: int, end: int, entry: int) -> tuple[int, str]:
        """Return where the declaration is missing, and the message."""
        multi_phase = re.search(r"\bPyModuleDef_Init\s*\(|\bPyModExportU?_", unit.code[entry:end])
        slots = [v for v in unit.syntax.variables if v.words & {"PyModuleDef_Slot", "PySlot"}]
        used = set(_NAME.findall(unit.code[start:end]))
        slots = [v for v in slots if v.name in used] or slots
        if multi_phase and slots:
            return slots[0].declared, f"returns a definition whose slots `{slots[0].name}` have no `Py_mod_gil`"
        create = _CREATE.search(unit.code, start, end)
        near = create is not None and unit.line_at(create.start()) - unit.line_at(entry) <= _NEAR
        at = create.start() if create and near else entry
        return at, (
            "returns a definition without a `Py_mod_gil` slot"
            if multi_phase
            else "does not call `PyUnstable_Module_SetGIL`"
        )

    def fix(self, unit: CUnit, finding: Finding) -> Fix | NoFix:
        """Add the slot, or the call."""
        return declare_module(unit, finding)
