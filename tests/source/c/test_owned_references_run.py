"""Fixed functions run: no call leaks a reference or releases one too many, on any way out."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.freethreaded import interpreter_of

from ftaudit.model import Fix
from ftaudit.registry import load_rules
from ftaudit.rule import SourceExample, SourceRule
from ftaudit.source.fixing.fixed_examples import fix_example

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler")

RULES = {rule.info.code: rule for rule in load_rules().rules if isinstance(rule, SourceRule)}
DICT = "PyObject *v = PyDict_GetItemWithError(self->cache, k);\n"
CALLS = {
    "through_a_variable": ("FT311", f"{DICT}if (v == NULL) return NULL;\nreturn PyObject_Str(v);"),
    "without_braces": (
        "FT311",
        f"{DICT}if (v == NULL)\n    return NULL;\nif (PyObject_IsTrue(v) < 0)\n    return NULL;\nPy_RETURN_NONE;",
    ),
    "handed_over": ("FT311", f"{DICT}if (v != NULL) {{\n    Py_INCREF(v);\n    return v;\n}}\nPy_RETURN_NONE;"),
    "counted_at_once": ("FT311", f"{DICT}Py_XINCREF(v);\nif (v == NULL) Py_RETURN_NONE;\nreturn v;"),
    "error_label": (
        "FT311",
        f"{DICT}if (!v) goto error;\nif (PyObject_IsTrue(v)) goto error;\nPy_RETURN_NONE;\n"
        "error:\nPyErr_Clear();\nPy_RETURN_FALSE;",
    ),
    "in_a_loop": (
        "FT311",
        "for (int i = 0; i < 3; i++) {\n    PyObject *v = PyDict_GetItem(self->cache, k);\n"
        "    if (v == NULL) continue;\n"
        "    if (i == 1 && PyObject_IsTrue(v)) break;\n}\nPy_RETURN_NONE;",
    ),
    "assigned": (
        "FT311",
        "PyObject *v = NULL, *made = PyList_New(0);\nv = PyDict_GetItem(self->cache, k);\nif (v) {\n"
        "    if (PyList_Append(made, v) < 0) { Py_DECREF(made); return NULL; }\n}\nreturn made;",
    ),
    "an_item_of_it": (
        "FT311",
        f"{DICT}if (v == NULL) return NULL;\nif (!PyTuple_Check(v)) Py_RETURN_NONE;\n"
        "PyObject *first = PyTuple_GET_ITEM(v, 0);\nPy_INCREF(first);\nreturn first;",
    ),
    "by_name": (
        "FT311",
        'PyObject *v = PyDict_GetItemString(self->cache, "name");\nreturn Py_BuildValue("i", v != NULL);',
    ),
    "set_default": (
        "FT315",
        "PyObject *v = PyDict_SetDefault(self->cache, k, k);\nif (v == NULL) return NULL;\nreturn PyObject_Repr(v);",
    ),
    "item": (
        "FT310",
        "PyObject *v = PyList_GetItem(self->loops, 0);\nif (v == NULL) return NULL;\nreturn PyObject_Str(v);",
    ),
    "unchecked_item": ("FT310", "return Py_NewRef(PyList_GET_ITEM(self->loops, 0));"),
    "weak": (
        "FT313",
        "PyObject *v = PyWeakref_GetObject(self->weak);\nif (v == Py_None) Py_RETURN_FALSE;\nreturn PyObject_Str(v);",
    ),
    "a_module": (
        "FT314",
        'PyObject *v = PyImport_AddModule("ftaudit_made");\nif (v == NULL) return NULL;\n'
        "return PyModule_GetNameObject(v);",
    ),
}
"""By name: a rule's code and the body of a function."""
INCLUDES = "#define PY_SSIZE_T_CLEAN\n#include <Python.h>\n"
TYPES = """\
typedef struct { PyObject_HEAD PyObject *cache, *loops, *weak; } Obj;
static int add(Obj *self, PyObject *v) { return PyList_Append(self->loops, v); }
"""
TAIL = """
typedef PyObject *(*Function)(Obj *, PyObject *);
static PyObject *run(PyObject *m, PyObject *args)
{
    Obj held;
    PyObject *key;
    int number;
    if (!PyArg_ParseTuple(args, "iOOOO", &number, &held.cache, &held.loops, &held.weak, &key)) return NULL;
    static const Function functions[] = {%s};
    return functions[number](&held, key);
}
static PyMethodDef methods[] = {{"run", run, METH_VARARGS, NULL}, {NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "owned", NULL, -1, methods};
PyMODINIT_FUNC PyInit_owned(void) { return PyModule_Create(&definition); }
"""
DRIVER = """\
import sys, weakref
import owned
class Value:
    def __bool__(self): return True
class Fails(Value):
    def __bool__(self): raise ValueError
    def __str__(self): raise ValueError
    __repr__ = __str__
class Key:
    def __hash__(self): return 1
    def __eq__(self, other): raise ValueError
wrong = []
for number, name in enumerate(sys.argv[1:]):
    for value in (Value(), Fails(), (Value(), Value())):
        live = Value()
        for key, cache in (("k", {"k": value, "name": value}), ("gone", {"k": value}), (Key(), {"k": value, 1: value})):
            for loops in ([value], []):
                if name == "unchecked_item" and not loops:
                    continue
                for weak in (weakref.ref(live), weakref.ref(Value())):
                    seen = (value, key, live, loops, *(value if isinstance(value, tuple) else ()))
                    def call():
                        try:
                            owned.run(number, cache, loops, weak, key)
                        except (ValueError, KeyError, IndexError, SystemError):
                            pass
                    call()
                    before = [sys.getrefcount(each) for each in (*seen, None)]
                    for _ in range(20):
                        call()
                    after = [sys.getrefcount(each) for each in (*seen, None)]
                    # The interpreter itself takes and drops a few references to None.
                    if before[:-1] != after[:-1] or abs(before[-1] - after[-1]) > 15:
                        wrong.append((name, type(value).__name__, key, before, after))
print(wrong)
"""


def fixed() -> tuple[str, list[str]]:
    """Return a module of all functions with their fixes, and their names."""
    helpers: dict[str, None] = {}
    functions = []
    for name, (code, body) in CALLS.items():
        lines = "".join(f"    {line}\n" for line in body.split("\n"))
        function = f"{INCLUDES}{TYPES}static PyObject *{name}(Obj *self, PyObject *k)\n{{\n{lines}}}\n"
        text, _, offered = fix_example(RULES[code], SourceExample(code=function, path="m.c"))
        assert offered, name
        assert all(isinstance(fix, Fix) for fix in offered), (name, offered)
        helper, _, rest = text.removeprefix(INCLUDES).partition(TYPES)
        helpers[helper] = None
        functions.append(rest)
    return "".join((INCLUDES, TYPES, *helpers, *functions, TAIL % ", ".join(CALLS))), [*CALLS]


@pytest.mark.parametrize(
    "python",
    [
        pytest.param(lambda: sys.executable, id="this Python"),
        pytest.param(lambda: interpreter_of("3.14t"), id="3.14t", marks=pytest.mark.interpreter),
    ],
)
def test_no_fixed_function_leaks_or_releases_too_much(python: Callable[[], str], tmp_path: Path) -> None:
    path = python()
    told = "import sysconfig; print(sysconfig.get_path('include')); print(sysconfig.get_config_var('EXT_SUFFIX'))"
    answer = subprocess.run([path, "-Ic", told], capture_output=True, text=True, check=True)
    include, suffix = answer.stdout.split()
    if not (Path(include) / "Python.h").is_file():
        pytest.skip("no headers of this Python")
    text, names = fixed()
    source = tmp_path / "owned.c"
    source.write_text(text)
    module = str(tmp_path / f"owned{suffix}")
    command = ["gcc", "-shared", "-fPIC", "-O1", "-w", f"-I{include}", str(source), "-o", module]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    (tmp_path / "driver.py").write_text(DRIVER)
    ran = subprocess.run([path, "driver.py", *names], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr[-2000:]) == (0, "[]\n", ran.stderr[-2000:])
