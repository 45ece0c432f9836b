"""The model of a Cython file: its content, and its robustness."""

from __future__ import annotations

import pytest

from ftaudit.rule import Language
from ftaudit.source.base import SourceFile, TreeContext
from ftaudit.source.cython import READER, CythonUnit
from ftaudit.target import parse_target


def parse(text: str, path: str = "m.pyx") -> CythonUnit:
    source = SourceFile(path=path, language=Language.CYTHON, text=text, target=parse_target("3.14t"))
    return READER.parse(source, TreeContext())


def survey(text: str, path: str = "m.pyx") -> dict[str, object]:
    source = SourceFile(path=path, language=Language.CYTHON, text=text, target=parse_target("3.14t"))
    return dict(READER.survey(source) or {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n#\n",
        '"""never closed',
        "'never closed\ncdef int x\n",
        "(" * 10_000,
        "cdef " * 10_000,
        "def f(" + "(" * 5_000 + "):\n    pass\n",
        "\n".join(" " * depth + "if x:" for depth in range(2_000)),
        "cdef\ncpdef\nglobal\nwith\nfor\n@\nasync\n",
        "\\",
        "x = 'a\\",
        "\x00\ufeff\u2028",
        "cdef class\ncdef class :\nclass\n    def f\n",
        "}}}]]]\n)(\n",
    ],
)
def test_any_text_makes_a_unit(text: str) -> None:
    unit = parse(text)
    assert unit.functions is unit.functions
    assert unit.variables is unit.variables
    assert isinstance(unit.init_only, frozenset)
    assert isinstance(unit.locks, frozenset)
    assert isinstance(unit.setup_only, frozenset)


def test_an_unclosed_bracket_does_not_swallow_the_rest() -> None:
    unit = parse("x = (1,\n\ndef f():\n    pass\n\ncdef int n\n")
    assert [function.name for function in unit.functions] == ["f"]
    assert [variable.name for variable in unit.variables] == ["n"]


@pytest.mark.parametrize(
    "line",
    [
        "cdef int f(int x)",
        "cdef extern from 'x.h'",
        "cdef enum E:",
        "cdef struct S:",
        "cdef class C",
        "cpdef enum E:",
        "ctypedef int t",
        "cdef inline int f(int x) noexcept nogil:",
    ],
)
def test_what_is_no_variable_is_none(line: str) -> None:
    assert parse(f"{line}\n    pass\n").variables == []


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("cdef int a, b = 5, *c, d[10]", ["a", "b", "c", "d"]),
        ("cdef public dict cache = {}", ["cache"]),
        ("cdef unsigned long long n", ["n"]),
        ("cdef double[:, ::1] view", ["view"]),
        ("cdef vector[int] v", ["v"]),
        ("cdef int (*callback)(int, void *)", ["callback"]),
        ("cdef char[SIZE] buffer", ["buffer"]),
        ("cdef x", ["x"]),
    ],
)
def test_variables_have_their_names(line: str, names: list[str]) -> None:
    assert [variable.name for variable in parse(f"{line}\n").variables] == names


def test_arrays_are_told_from_views_and_templates() -> None:
    unit = parse("cdef char a[4]\ncdef char[4] b\ncdef double[:] c\ncdef vector[int] d\n")
    assert [variable.array for variable in unit.variables] == [True, True, False, False]


def test_extern_blocks_declare_no_state_of_the_module() -> None:
    unit = parse('cdef extern from "x.h":\n    int level\n    int f(int)\ncdef:\n    int own\n')
    assert [variable.name for variable in unit.variables] == ["own"]


def test_methods_know_their_class_and_what_kind_it_is() -> None:
    unit = parse(
        "cdef class A:\n"
        "    def f(self): pass\n"
        "class B:\n"
        "    def g(self): pass\n"
        "    class C:\n"
        "        def h(self): pass\n"
    )
    assert [(f.name, f.owner, f.owner_is_cdef) for f in unit.functions] == [
        ("f", "A", True),
        ("g", "B", False),
        ("h", "C", False),
    ]


def test_templates_keep_their_lines() -> None:
    unit = parse("{{py:\nx = 1\n}}\ncdef int n{{suffix}}\ncdef int m\n", path="m.pyx.in")
    assert [(variable.name, variable.line) for variable in unit.variables if variable.name == "m"] == [("m", 5)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("# cython: language_level=3, freethreading_compatible=True\n", True),
        ("#cython: freethreading_compatible = True\n", True),
        ("# -*- coding: utf-8 -*-\n\n# cython: freethreading_compatible=True\nimport x\n", True),
        ("# cython: freethreading_compatible=False\n", False),
        ("import x\n# cython: freethreading_compatible=True\n", None),
        ('"""doc"""\n# cython: freethreading_compatible=True\n', None),
        ("# freethreading_compatible=True\n", None),
        ("x = '# cython: freethreading_compatible=True'\n", None),
    ],
)
def test_only_leading_comments_declare(text: str, value: bool | None) -> None:
    assert survey(text)["directive"] is value


def test_a_file_that_is_included_is_known_to_be() -> None:
    files = {"a/m.pyx": 'include "part.pyx"\n', "a/part.pyx": "x = 1\n", "b/part.pyx": "y = 1\n"}
    context = READER.gather({path: survey(text, path) for path, text in files.items()})
    assert {module.path: module.included for module in context.modules} == {
        "a/m.pyx": False,
        "a/part.pyx": True,
        "b/part.pyx": False,
    }
