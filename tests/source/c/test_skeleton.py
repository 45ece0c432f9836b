"""The text that the parser skips never defines anything: functions and variables keep their place."""

from __future__ import annotations

import pytest
from support.c_units import unit

from ftaudit.rule import Language
from ftaudit.source.c.text import top_level_blocks

FILLER = "    total += step(total) * 3 + offset_of(total);\n" * 20
LASTING = {"seen", "table"}


def names(text: str, language: Language = Language.C) -> list[str]:
    return [function.name for function in unit(text, language=language).functions]


def test_functions_keep_name_parameters_and_place_when_their_bodies_are_left_out() -> None:
    text = (
        f"int before;\nint one(int a)\n{{\n{FILLER}}}\nint between;\n"
        f"static int two(int b, char *c) {{\n{FILLER}}}\nint z;\n"
    )
    made = unit(text)
    one, two = made.functions
    assert (one.name, two.name) == ("one", "two")
    assert [p.name for p in (*one.parameters, *two.parameters)] == ["a", "b", "c"]
    for function in (one, two):
        assert text[function.at :].startswith(function.name)
        assert text[function.body] == "{"
        assert text[function.end - 1] == "}"
        assert FILLER in text[function.body : function.end]
    assert two.is_static
    assert not one.is_static
    assert {v.name: text[v.start : v.start + len(v.name)] for v in made.syntax.variables} == {
        name: name for name in ("before", "between", "z")
    }


@pytest.mark.parametrize(
    "body",
    [
        f"    static int seen;\n{FILLER}",
        f"{FILLER}    static int seen;\n",
        f"{FILLER}    static int seen;\n{FILLER}",
        f"    if (x) {{\n{FILLER}        static int seen;\n    }}\n{FILLER}",
        f"    do {{ static int seen; {FILLER} }} while (x);\n{FILLER}",
        f"    for (static int seen = 0; seen < 3; seen++) {{\n{FILLER}    }}\n",
        f'    static char *table[] = {{"a", "b", 0}}, *seen;\n{FILLER}',
        f"{FILLER}    static thread_local int seen;\n{FILLER}",
    ],
)
def test_a_variable_that_outlives_the_call_is_known_wherever_it_is_declared(body: str) -> None:
    made = unit(f"int f(int x)\n{{\n{body}}}\nint g(void)\n{{\n{FILLER}}}\n")
    f, g = made.functions
    assert (f.name, g.name) == ("f", "g")
    known = {v.name: v.function for v in made.syntax.variables}
    assert known["seen"] == f.body
    assert known.keys() <= LASTING


def test_automatic_variables_are_known_in_a_body_that_was_left_out() -> None:
    made = unit(f"int cache;\nint f(int x)\n{{\n    int cache = 0, *other;\n{FILLER}}}\nint g(int y)\n{{\n{FILLER}}}\n")
    f, g = made.functions
    assert made.is_local(f, "cache")
    assert made.is_local(f, "other")
    assert made.is_local(f, "x")
    assert not made.is_local(g, "cache")
    assert not made.is_local(f, "total")


def test_brackets_without_a_counterpart_hide_no_function() -> None:
    one = f"int one(int a)\n{{\n    if (a) {{\n{FILLER}}}\n\n"
    two = f"int two(int b)\n{{\n{FILLER}}}\n\n"
    three = f"int three(int c)\n{{\n    }}\n{FILLER}}}\n"
    assert {"two", "three"} <= set(names(one + two + three))


def test_what_the_grammar_cannot_read_in_a_body_takes_nothing_of_what_follows() -> None:
    odd = "    LOOP_OVER (a) b {\n        x @ y;\n    }\n"
    text = f"static int one(int a)\n{{\n{odd}{FILLER}}}\nstatic int last;\nint two(int b)\n{{\n{FILLER}}}\n"
    made = unit(text)
    assert [f.name for f in made.functions] == ["one", "two"]
    assert [(v.name, v.function) for v in made.syntax.variables] == [("last", None)]


@pytest.mark.parametrize("head", ["TEST_OF(fast, path)", "MOD_INIT(speedups)"])
@pytest.mark.parametrize("rest", ["", "int x = ;\n"])
def test_a_body_that_a_macro_heads_is_a_function_whether_or_not_the_rest_parses(head: str, rest: str) -> None:
    text = f"{head}\n{{\n{FILLER}}}\nint f(void)\n{{\n{FILLER}}}\n{rest}"
    assert names(text) == [head.partition("(")[0], "f"]


@pytest.mark.parametrize("head", ["struct Pool", "class POOL_OF(T)", "class API Pool : public Base<(3 > 2)>"])
def test_methods_of_classes_are_functions_whatever_heads_the_class(head: str) -> None:
    text = f"{head} {{\n  int take(int n) const {{\n{FILLER}  }}\n  void give() {{\n{FILLER}  }}\n}};\n"
    assert names(text, Language.CPP)[-2:] == ["take", "give"]


def test_methods_of_a_class_inside_a_function_are_functions() -> None:
    inner = f"  struct Local {{\n    int get() {{ return 1; }}\n  }};\n{FILLER}"
    assert names(f"void f() {{\n{FILLER}{inner}}}\nint g() {{\n{FILLER}}}\n", Language.CPP) == ["f", "get", "g"]


def test_an_initializer_in_braces_is_no_body() -> None:
    values = "1, 2, 3, 4,\n    " * 20
    made = unit(f"static int *table = VECTOR(int)\n{{\n    {values}\n}};\nint f(void)\n{{\n{FILLER}}}\n")
    assert [variable.name for variable in made.syntax.variables] == ["table"]


@pytest.mark.parametrize("comma", ["", ","])
@pytest.mark.parametrize("first", ["PyVarObject_HEAD_INIT(NULL, 0)", "PyObject_HEAD_INIT(&PyType_Type)"])
def test_a_type_object_parses_with_and_without_a_comma_after_its_head(first: str, comma: str) -> None:
    made = unit(
        f'static PyTypeObject T = {{\n    {first}{comma}\n    "t.T",\n    sizeof(T_object)\n}};\nstatic int n;\n'
    )
    assert [(variable.name, variable.sure) for variable in made.syntax.variables] == [("T", True), ("n", True)]


def test_a_block_ends_where_its_own_bracket_stands() -> None:
    bodies = ["{\n  return o.n;\n}", "{ return {1}; }", "{\nlabel:\n  go();\n}"]
    text = f"int f(Options o = {{}}) {bodies[0]}\nint g() {bodies[1]}\nint h() {bodies[2]}\n"
    assert [text[f.body : f.end] for f in unit(text, language=Language.CPP).functions] == bodies


def test_blocks_that_are_never_closed_end_the_list() -> None:
    code = "struct { int a[2]; } x = {{1}, {2}};\nint f(void)\n{\n    if (a) {\n    }\n}\nint h(void) {"
    assert [code[start:end] for start, end in top_level_blocks(code)][1:] == ["{\n    if (a) {\n    }\n}"]
