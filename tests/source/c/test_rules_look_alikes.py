"""The rules for C and C++ on code that only looks like a flaw, and on flaws in an unusual form."""

from __future__ import annotations

import pytest

from ftaudit.source.run_rules import check_texts
from ftaudit.target import parse_target
from ftaudit_rules.c.borrowed_list_item import BorrowedListItem
from ftaudit_rules.c.critical_section_escape import CriticalSectionEscape
from ftaudit_rules.c.direct_object_header import DirectObjectHeader
from ftaudit_rules.c.missing_mod_gil import MissingModGil
from ftaudit_rules.c.mutable_function_static import MutableFunctionStatic
from ftaudit_rules.c.mutable_global import MutableGlobal
from ftaudit_rules.c.static_pyobject_cache import StaticPyobjectCache
from ftaudit_rules.c.thread_unsafe_libc import ThreadUnsafeLibc

STATE = (MutableGlobal(), MutableFunctionStatic(), StaticPyobjectCache())


def lines(rules: tuple[object, ...], text: str, *, path: str = "a.c", **others: str) -> list[int]:
    """Return the lines of a file that the rules flag."""
    files = {path: text, **{f"{name}.h": other for name, other in others.items()}}
    checked = check_texts(files, rules, parse_target("3.14t"))  # type: ignore[arg-type]
    assert not checked.skipped
    return sorted({f.location.line or 0 for f in checked.findings if f.location and f.location.path == path})


@pytest.mark.parametrize(
    "text",
    [
        "static const char *names[] = {0};\nint f(int i) { return names[i] != 0; }",
        "static int n;\nint f(void) { return n; }",
        "static int n;\nvoid f(void) { int n; n = 1; }",
        "static int n;\nvoid f(int n) { n++; }",
        "static int n;\nvoid f(T *x) { x->n = 1; x->y.n++; }",
        "static atomic_int n;\nvoid f(void) { n++; }",
        "static PyMutex m;\nvoid f(void) { PyMutex_Lock(&m); PyMutex_Unlock(&m); }",
        "static PyThread_type_lock l;\nvoid f(void) { l = PyThread_allocate_lock(); }",
        "static int n;\nvoid f(void) { __atomic_store_n(&n, 1, 0); }",
        "static PyObject *f(PyObject *self);\nstatic PyObject *f(PyObject *self) { return 0; }",
        "int f(void) { static const int t[] = {1}; return t[0]; }",
        "static PyMethodDef methods[] = {{0}};\nvoid f(void) { use(methods); }",
        "static PyTypeObject T;\nvoid f(void) { T.tp_new = 0; }",
        "static int n;\nvoid f(void) { if (n == 1) g(); }",
        "static int *p;\nvoid f(void) { int k = 2 * *p; }",
        "extern int n;\nvoid f(void) { use(n); }",
        "#ifndef Py_GIL_DISABLED\nstatic int n;\nvoid f(void) { n++; }\n#endif",
        "static PyObject *o;\nvoid f(void) { Py_INCREF(o); use(o); }",
        "enum { A, B };\ntypedef struct { int n; } S;\nvoid f(S *s) { s->n = A; }",
    ],
)
def test_shared_state_that_is_safe_is_not_flagged(text: str) -> None:
    assert lines(STATE, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "void f() { static std::atomic<int> n{0}; n++; }",
        "std::string g() { static const std::string s = build(); return s; }",
        "void f() { thread_local int n = 0; n++; }",
        "class A { static std::mutex m_; int n_; void f() { n_++; } };",
        "struct A { int n; };\nvoid f(A &a) { a.n = static_cast<int>(2); int k = static_cast<int>(3); k++; }",
        "static std::mutex m;\nstatic int n;\nvoid f() { std::scoped_lock l(m); n++; }",
    ],
)
def test_shared_state_of_cpp_that_is_safe_is_not_flagged(text: str) -> None:
    assert lines(STATE, text, path="a.cpp") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("static int n;\n\n\n\nvoid f(void) { n += 1; }", [1]),
        ("static int n;\nvoid f(void) { --n; }", [1]),
        ("static struct S s;\nvoid f(void) { s.count = 1; }", [1]),
        ("static char buf[8];\nvoid f(char *t) { memcpy(buf, t, 8); }", [1]),
        ("static T t;\nstatic void fill(T *x) { x->n = 1; }\nvoid f(void) { fill(&t); }", [1]),
        ("void f(void) { static PyObject *cache[4];\n  if (!cache[0]) cache[0] = make(); }", [1]),
        ("NPX_NO_EXPORT int n = 0;\nNPX_NO_EXPORT void f(void) { n = 1; }", [1]),
        ("int f(void) { static int a, b; b = 1; return a; }", [1]),
        ("#define LOCKED 1\nstatic int n;\nvoid f(void) { int blocking = 1; n = blocking; }", [2]),
        ("static int (*hook)(int);\nvoid set_hook(int (*h)(int)) { hook = h; }", [1]),
    ],
)
def test_shared_state_that_is_written_is_flagged_where_it_is_declared(text: str, expected: list[int]) -> None:
    assert lines(STATE, text) == expected


def test_a_lock_macro_of_a_header_guards_the_state() -> None:
    text = "static int n;\nvoid f(void) { WITH_POOL n++; END_POOL }"
    header = "#define WITH_POOL PyMutex_Lock(&pool_mutex);\n#define END_POOL PyMutex_Unlock(&pool_mutex);\n"
    assert lines(STATE, text, pool=header) == []
    assert lines(STATE, text) == [1]


def test_a_static_member_is_told_from_that_of_another_class() -> None:
    text = (
        "struct A { static int n; };\nint A::n = 0;\n"
        "struct B { int n; void f() { n = 1; } };\nvoid A::g() { use(n); }\n"
    )
    assert lines(STATE, text, path="a.cpp") == []
    assert lines(STATE, text + "void A::h() { n++; }\n", path="a.cpp") == [2]


@pytest.mark.parametrize(
    "text",
    [
        "PyMODINIT_FUNC PyInit_m(void) { PyObject *m = PyModule_Create(&d); MY_SET_GIL(m); return m; }",
        "PyObject *PyInit_m(void);\nint main(void) { PyInit_m(); return 0; }",
        "/* PyMODINIT_FUNC PyInit_m(void) { return PyModule_Create(&d); } */",
        '#if PY_MAJOR_VERSION < 3\nPyMODINIT_FUNC initm(void) { Py_InitModule("m", 0); }\n#endif',
    ],
)
def test_a_module_that_declares_the_gil_or_is_none_is_not_flagged(text: str) -> None:
    macros = "#ifdef Py_GIL_DISABLED\n#define MY_SET_GIL(m) PyUnstable_Module_SetGIL(m, Py_MOD_GIL_NOT_USED)\n#endif\n"
    assert lines((MissingModGil(),), text, config=macros) == []


def test_a_goto_within_a_section_and_a_loop_of_its_own_do_not_leave_it() -> None:
    text = (
        "int f(PyObject *d) {\n  Py_BEGIN_CRITICAL_SECTION(d);\n  do { if (x) break; } while (0);\n"
        "  switch (x) { case 1: break; }\n  for (;;) if (x) break;\n  goto end;\nend:;\n"
        "  Py_END_CRITICAL_SECTION();\n  return 0;\n}"
    )
    assert lines((CriticalSectionEscape(),), text) == []
    assert lines((CriticalSectionEscape(),), text.replace("goto end", "goto elsewhere")) == [6]


def test_members_that_are_called_like_libc_are_not_libc() -> None:
    text = "void f(Clock *c) { c->localtime(c); }\nint g(void) { return my_rand() + ns::rand(); }"
    assert lines((ThreadUnsafeLibc(),), text, path="a.cpp") == []
    assert lines((ThreadUnsafeLibc(),), "int g() { return std::rand(); }", path="a.cpp") == [1]


def test_a_tuple_and_a_list_of_ones_own_are_not_borrowed_from() -> None:
    text = (
        "static PyObject *f(PyObject *self, PyObject *args) {\n  PyObject *l = PySequence_List(args);\n"
        "  use(PyList_GET_ITEM(l, 0));\n  return PyTuple_GET_ITEM(args, 0);\n}"
    )
    assert lines((BorrowedListItem(),), text) == []


def test_a_polyfill_of_the_header_macros_is_not_flagged() -> None:
    text = "static inline PyTypeObject *Py_TYPE_(PyObject *o) { return 0; }\nvoid f(PyObject *o) { o->ob_types = 1; }"
    assert lines((DirectObjectHeader(),), text) == []
