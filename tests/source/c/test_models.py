"""The guard, escape and reach models, through a unit."""

from __future__ import annotations

import pytest
from support.c_units import unit

from ftaudit.rule import Language
from ftaudit.source.c.escape import ContainerOrigin
from ftaudit.source.c.unit import CUnit


def guarded(body: str, *, language: Language = Language.C, before: str = "", **others: str) -> bool:
    made = unit(f"{before}\nstatic void f(Obj *self, int e) {{\n{body}\n}}\n", language=language, **others)
    return made.guarded(made.code.rindex("work("))


@pytest.mark.parametrize(
    "body",
    [
        "work();",
        "PyMutex_Lock(&m); PyMutex_Unlock(&m); work();",
        "work(); PyMutex_Lock(&m); PyMutex_Unlock(&m);",
        "PyGILState_Ensure(); work(); PyGILState_Release(s);",
        "Py_BEGIN_ALLOW_THREADS work(); Py_END_ALLOW_THREADS",
        "self->lock = PyThread_allocate_lock(); work();",
        "blocking(); clock(); unblock(); work();",
        "if (is_locked(self)) work();",
    ],
)
def test_what_takes_no_lock_guards_nothing(body: str) -> None:
    assert not guarded(body)


@pytest.mark.parametrize(
    "body",
    [
        "PyMutex_Lock(&m); work(); PyMutex_Unlock(&m);",
        "PyMutex_Lock(&m); if (e) { PyMutex_Unlock(&m); return; } work(); PyMutex_Unlock(&m);",
        "Py_BEGIN_CRITICAL_SECTION(self); work(); Py_END_CRITICAL_SECTION();",
        "Py_BEGIN_CRITICAL_SECTION2(self, self);\nwork();\nPy_END_CRITICAL_SECTION2()\n",
        "PyThread_acquire_lock(l, 1); work(); PyThread_release_lock(l);",
        "pthread_mutex_lock(&m); work(); pthread_mutex_unlock(&m);",
        "EnterCriticalSection(&m); work(); LeaveCriticalSection(&m);",
        "AcquireSRWLockExclusive(&m); work(); ReleaseSRWLockExclusive(&m);",
        "LOCK_CACHE(); work(); UNLOCK_CACHE();",
        "if (!cache_lock_acquire(self)) return; work(); cache_lock_release(self);",
        "PyObject_CallNoArgs(self->lock_data); work(); PyObject_CallNoArgs(self->unlock_data);",
        'PyObject_CallMethod(self->mutex, "acquire", NULL); work(); PyObject_CallMethod(self->mutex, "release", NULL);',
    ],
)
def test_what_stands_between_taking_and_giving_back_a_lock_is_guarded(body: str) -> None:
    assert guarded(body)


@pytest.mark.parametrize(
    "body",
    [
        "std::lock_guard<std::mutex> g(m); work();",
        "const std::unique_lock<std::mutex> g{m}; work();",
        "py::scoped_critical_section g(self); work();",
        "nb::ft_lock_guard guard(m); work();",
        "absl::MutexLock lock(&m); work();",
        "std::call_once(flag, [&] { work(); });",
    ],
)
def test_guard_objects_hold_to_the_end_of_their_block(body: str) -> None:
    assert guarded(body, language=Language.CPP)
    assert not guarded(body.replace("; work();", ";") + "} void other() { work();", language=Language.CPP)


def test_a_guard_of_the_gil_is_no_lock() -> None:
    assert not guarded("py::gil_scoped_acquire g(x); work();", language=Language.CPP)


def test_a_macro_or_function_of_the_tree_that_takes_a_lock_is_one() -> None:
    header = "#define ENTER() PyMutex_Lock(&mu)\n#define LEAVE() PyMutex_Unlock(&mu)\n"
    assert guarded("ENTER(); work(); LEAVE();", config=header)
    helper = (
        "static void into(void) { pthread_mutex_lock(&mu); }\nstatic void out(void) { pthread_mutex_unlock(&mu); }\n"
    )
    assert guarded("into(); work(); out();", before=helper)
    assert not guarded("into(); work(); out();")


def test_a_function_that_is_only_called_under_a_lock_is_guarded() -> None:
    text = "static void f(void) { work(); }\nvoid a(void) { PyMutex_Lock(&m); f(); PyMutex_Unlock(&m); }\n"
    made = unit(text)
    assert made.guarded(made.code.index("work("))
    made = unit(text + "void b(void) { f(); }\n")
    assert not made.guarded(made.code.index("work("))


def test_functions_that_call_each_other_are_not_taken_for_guarded() -> None:
    made = unit("static void f(void) { g(); work(); }\nstatic void g(void) { f(); }\n")
    assert not made.guarded(made.code.index("work("))


def origin(text: str, *, language: Language = Language.C) -> ContainerOrigin:
    made: CUnit = unit(text, language=language)
    (call,) = made.calls("PyDict_GetItem")
    return made.origin(call)


@pytest.mark.parametrize(
    "body",
    [
        "PyObject *d = PyDict_New(); PyDict_GetItem(d, k);",
        "PyObject *d = NULL; d = PyDict_Copy(arg); PyDict_GetItem((PyObject *)d, k);",
        "PyDict_GetItem(kwargs, k);",
        "PyObject *d = PyObject_CallNoArgs(arg); PyDict_GetItem(d, k);",
        "PyObject *d = PyThreadState_GetDict(); PyDict_GetItem(d, k);",
        "PyDict_GetItem(self->never_changed, k);",
        "struct S s; PyDict_GetItem(s.d, k);",
    ],
)
def test_a_container_that_no_other_thread_has_is_not_shared(body: str) -> None:
    assert not origin(f"static void f(Obj *self, PyObject *arg, PyObject *kwargs, PyObject *k) {{ {body} }}").shared


@pytest.mark.parametrize(
    "body",
    [
        "PyDict_GetItem(arg, k);",
        'PyObject *d; PyArg_ParseTuple(args, "O", &d); PyDict_GetItem(d, k);',
        "PyDict_GetItem(table, k);",
        "PyObject *d = self->cache; PyDict_GetItem(d, k);",
        "PyDict_GetItem(self->type->tp_dict, k);",
    ],
)
def test_a_container_that_other_threads_reach_is_shared(body: str) -> None:
    before = "static PyObject *table;\nstatic void put(Obj *self) { PyDict_SetItem(self->cache, k, v); }\n"
    assert origin(f"{before}static void f(Obj *self, PyObject *arg, PyObject *args) {{ {body} }}").shared


def test_a_parameter_that_every_caller_makes_itself_is_not_shared() -> None:
    text = "static void f(PyObject *d) { PyDict_GetItem(d, k); }\nvoid a(void) { f(PyDict_New()); }\n"
    assert not origin(text).shared
    assert origin(text + "void b(PyObject *x) { f(x); }\n").shared


def at_import(text: str, name: str, **others: str) -> bool:
    made = unit(text, **others)
    return made.at_import(next(function for function in made.functions if function.short_name == name))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PyMODINIT_FUNC PyInit_m(void) { f(); }\nstatic void f(void) { g(); }\nstatic void g(void) {}", True),
        (
            "static int f(PyObject *m) { g(); }\nvoid g(void) {}\n"
            "static PyModuleDef_Slot s[] = {{Py_mod_exec, f}, {0}};",
            True,
        ),
        ("static int f(PyObject *m) { g(); }\nstatic void g(void) {}", False),
        ("PyMODINIT_FUNC PyInit_m(void) { g(); }\nvoid other(void) { g(); }\nstatic void g(void) {}", False),
        ("PyMODINIT_FUNC PyInit_m(void) { g(); }\nstatic PyMethodDef t[] = {{0, g}};\nstatic void g(void) {}", False),
        ("static void g(void) {}\nvoid f(void) { pthread_once(&once, g); }", True),
    ],
)
def test_only_what_module_initialization_alone_calls_runs_at_import(text: str, expected: bool) -> None:
    assert at_import(text, "g") is expected


def test_module_initialization_in_another_file_counts() -> None:
    entry = "PyMODINIT_FUNC PyInit_m(void) { ready(); }\nstatic void ready(void) { fill_tables(); }\n"
    assert at_import("void fill_tables(void) {}", "fill_tables", entry=entry)
    assert not at_import("void fill_tables(void) {}\nvoid f(void) { fill_tables(); }", "fill_tables", entry=entry)


BINDING = (
    "static int n;\nvoid fill(py::module_ &m) {\n    n = 1;\n"
    '    m.def("plain", &plain);\n    m.def("put", [](int v) { work(); n = v; }, py::arg("v"));\n'
    '    m.def("init", py::cpp_function([]() -> int { auto f = [&](int i) { return i; }; return f(n); }));\n'
    '    t[0].def_property("x", [](T &t) { return t.x; }, [](T &t, int v) { t.x = v; });\n}\n'
    "PYBIND11_MODULE(ext, m) { fill(m); }\n"
)


def test_the_lambdas_of_a_binding_are_functions_that_do_not_run_at_import() -> None:
    made = unit(BINDING, language=Language.CPP)
    bound = [function for function in made.functions if function.bound]
    assert [function.short_name for function in bound] == [
        "the lambda 'put'",
        "the lambda 'init'",
        "the lambda 'x'",
        "the lambda 'x'",
    ]
    assert not any(made.at_import(function) or made.maybe_at_import(function) for function in bound)
    assert made.at_import(made.functions_named("fill")[0])
    assert [parameter.name for parameter in bound[3].parameters] == ["t", "v"]
    assert made.function_at(made.code.index("work(")) is bound[0]


@pytest.mark.parametrize(
    "text",
    [
        "void f(X &m) { std::sort(a, b, [](int i, int j) { return i < j; }); }",
        "void f(X &m) { m.def(table[0], values[1]); }",
        'void f(X &m) { m.def("a", &T::a); if (x[0]) { work(); } }',
        'void f(X &m) { m.def("a", [](int',
        'void f(X &m) { auto g = [] { work(); }; g(); m.def("a", &h); }',
        'void f(X &m) { m.def("a", g); auto g = [] { work(); }; }',
    ],
)
def test_what_is_no_lambda_of_a_binding_is_no_function(text: str) -> None:
    assert not any(function.bound for function in unit(text, language=Language.CPP).functions)


def test_a_lambda_that_has_a_name_first_is_bound_by_its_name() -> None:
    text = (
        "void f(X &m) { auto g = [](int i) { use(i); }; auto h = [] { work(); };\n"
        '  std::function<int(int)> k([](int i) -> int { return i; }); m.def("a", g).def("b", std::move(k), "doc"); }\n'
    )
    bound = [function for function in unit(text, language=Language.CPP).functions if function.bound]
    assert [function.short_name for function in bound] == ["the lambda 'a'", "the lambda 'b'"]


def test_a_local_that_a_lambda_captures_is_no_variable_of_the_file() -> None:
    text = 'static int n;\nvoid f(X &m) { int n = 0; m.def("a", [&n](int v) { n = v; }); }\n'
    made = unit(text, language=Language.CPP)
    bound = next(function for function in made.functions if function.bound)
    assert not made.is_shared_variable("n", bound)


def test_a_field_of_a_local_structure_that_static_functions_are_handed_is_private() -> None:
    body = "Py_LOCAL_INLINE(void) f(Info *info) { PyList_Append(info->list, x); PyDict_GetItem(info->list, k); }\n"
    assert not origin(body + "void a(void) { Info info; f(&info); }\n").shared
    assert origin(body.replace("Py_LOCAL_INLINE(void)", "void") + "void a(void) { Info info; f(&info); }\n").shared
