"""Examples of rules in C++ are C++: one compiler process reads all of them, against the real headers of bindings."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import nanobind
import pybind11
import pytest
from support.freethreaded import interpreter_of

from ftaudit.model import Fix
from ftaudit.registry import load_rules
from ftaudit.rule import SourceRule
from ftaudit.source.fixing.fixed_examples import fix_example
from ftaudit.source.fixing.offer import can_fix

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")

_STANDARD = "".join(
    f"#include <{name}>\n"
    for name in (
        *("atomic", "cstdlib", "cstring", "functional", "map", "memory", "mutex", "optional", "string", "thread"),
        *("shared_mutex", "unordered_map", "unordered_set", "vector"),
    )
)
_FIXED = "fixed"
"""The end of the name of an example with every fix that its rule offers."""
_OLDER = """\
#if PY_VERSION_HEX < 0x030D0000
#define Py_BEGIN_CRITICAL_SECTION(op) {
#define Py_END_CRITICAL_SECTION() }
struct PyCriticalSection {};
void PyCriticalSection_Begin(PyCriticalSection *, PyObject *);
void PyCriticalSection_End(PyCriticalSection *);
#endif
"""
"""What the remedies say to define where older versions of CPython are supported."""
_BINDINGS = """\
#include <pybind11/pybind11.h>
#include <nanobind/nanobind.h>
namespace py = pybind11;
namespace nb = nanobind;
namespace boost::python { struct mod_gil_not_used {}; }
#define BOOST_PYTHON_MODULE(name, ...) void init_module_##name()
"""
"""Boost.Python is the one binding whose headers no distribution on the index has."""
_CACHE = (
    "using Key = int; struct Kernel {}; std::unique_ptr<Kernel> compile(Key); void *make(Key);"
    "struct Cache { std::mutex mutex; std::map<Key, std::unique_ptr<Kernel>> kernels; std::map<Key, void *> contexts;"
    "};"
)
_SPANS = (
    "struct Span {}; struct Spans { %s active(uint64_t); void reset(); std::mutex mutex;"
    "std::map<uint64_t, std::shared_ptr<Span>> spans; };"
)
_TRACKER = (
    "struct Records {}; std::string render(const Records &); struct Tracker { const char *name() const; %s report();"
    "mutable std::mutex mutex_; std::string name_, report_; Records records_; };"
)
_TABLE = (
    "struct Entry {}; struct Table { Entry *fresh(int); Entry &at(int); void drop(int); std::mutex mutex;"
    "std::map<int, Entry> entries; };"
)
_NAMES = {
    "FT302": "void f();",
    "FT311": "struct handle { PyObject *m_ptr; PyObject *ptr() const; }; struct object : handle {};"
    "object borrow(PyObject *);",
    "FT321-VALID-1": "",
    "FT321": "struct MutexLockIfGilDisabled { explicit MutexLockIfGilDisabled(std::mutex &); };"
    "extern std::mutex mutex;"
    "std::mutex &HooksMutex();"
    "void LOCK_IF_GIL_DISABLED(std::mutex &); void UNLOCK_IF_GIL_DISABLED(std::mutex &);",
    "FT322": "struct Raw; extern std::mutex mutex; struct Model { explicit Model(Raw *); ~Model(); Raw *raw_; };"
    "struct Ref { bool empty(); };"
    "void import_from(const char *, const char *, Ref &); std::string build(); void work();",
    "FT354": "template <typename F> void apply(F) {}",
    "FT360": "struct Clock { int localtime(int); }; namespace my { int rand(); }",
    "FT377": "struct Base { int Size(); void Reset(); };",
    "FT378": f"{_CACHE}{_TABLE}{_TRACKER % 'std::string'}{_SPANS % 'std::optional<Span>'}"
    "namespace absl { struct MutexLock { explicit MutexLock(std::mutex *); }; }",
    "FT378-INVALID-0": _TRACKER % "const char *",
    "FT378-INVALID-3": _SPANS % "const Span *",
    "FT410": "void f(); void build(py::module_ &);",
    "FT461": "void f(); template <typename F> void def(const char *, F);",
}
"""Names that the examples of a rule, or one example, use without a declaration."""
_OF_BINDINGS = re.compile(r"\b(?:py|nb|pybind11|nanobind|boost)\s*::|PYBIND11_|NB_MODULE|BOOST_PYTHON|\bMODULE\(")
_MODULE = re.compile(r"^(\s*\w*MODULE)\s*\(\s*(\w+)", re.MULTILINE)


def _examples() -> Iterator[tuple[str, str]]:
    """Yield each C++ example of a rule: its name and its code, headers first."""
    for rule in load_rules().rules:
        if not isinstance(rule, SourceRule):
            continue
        for kind, examples in (("VALID", rule.VALID), ("INVALID", rule.INVALID)):
            for number, example in enumerate(examples):
                if (example.path or "").endswith((".cpp", ".hpp")):
                    texts = [text for other, text in example.others if other.endswith(".h")]
                    name = f"{rule.info.code}-{kind}-{number}"
                    yield name, "\n".join((*texts, example.code))
                    if kind == "INVALID" and can_fix(rule):
                        fixed, _, offered = fix_example(rule, example)
                        if any(isinstance(fix, Fix) for fix in offered):
                            yield f"{name}-{_FIXED}", "\n".join((*texts, fixed))


def _apart(name: str, code: str) -> str:
    """Return an example in a namespace of its own, with a name of its own for its module."""
    tag = re.sub(r"\W", "_", name)
    code = re.sub(r"^\s*#\s*include\b.*$", "", code, flags=re.MULTILINE)
    code = _MODULE.sub(rf"\1(\2_{tag}", code)
    code = re.sub(r"\b(PyInit_\w+)", rf"\1_{tag}", code)
    macros = re.findall(r"^\s*#\s*define\s+(\w+)", code, flags=re.MULTILINE)
    names = _NAMES.get(name, _NAMES.get(name.partition("-")[0], ""))
    undefined = "".join(f"#undef {macro}\n" for macro in macros)
    return f'namespace example_{tag} {{\n{names}\n#line 1 "{name}"\n{code}\n}}\n{undefined}'


@pytest.mark.parametrize("target", ["host", pytest.param("3.14t", marks=pytest.mark.interpreter)])
def test_the_examples_of_cpp_rules_compile(target: str, tmp_path: Path) -> None:
    """The oldest Python reads the examples without a binding: the headers of bindings take most of the time."""
    if target == "host":
        include = sysconfig.get_path("include")
    else:
        command = [interpreter_of(target), "-Ic", "import sysconfig; print(sysconfig.get_path('include'))"]
        include = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    bindings = "" if target == "host" else _BINDINGS
    chosen = [
        (name, code)
        for name, code in _examples()
        if bindings or not (_OF_BINDINGS.search(code) or name.endswith(_FIXED))
    ]
    assert len(chosen) >= (20 if target == "host" else 50)
    assert target == "host" or any(name.endswith(_FIXED) for name, _ in chosen)
    source = tmp_path / "examples.cpp"
    parts = ["#include <Python.h>\n", bindings, _STANDARD, _OLDER, *(_apart(name, code) for name, code in chosen)]
    source.write_text("".join(parts), encoding="utf-8")
    folders = (include, pybind11.get_include(), nanobind.include_dir())
    command = ["g++", "-fsyntax-only", "-w", "-std=c++17", *(f"-I{folder}" for folder in folders), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "error:" in line] == []
    assert done.returncode == 0
