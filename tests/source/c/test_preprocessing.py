"""The part of a file that a free-threaded build compiles, and its masking for the parser."""

from __future__ import annotations

import pytest
from support.c_units import unit

from ftaudit.rule import Language
from ftaudit.source.base import ParseError


def functions(text: str, **options: str) -> list[str]:
    return [function.name for function in unit(text, **options).functions]  # type: ignore[arg-type]


def compiled(text: str, **options: str) -> str:
    """Return the remaining text, without blanks at line ends."""
    return "\n".join(line.rstrip() for line in unit(text, **options).code.split("\n"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "condition",
    [
        "#ifndef Py_GIL_DISABLED",
        "#if !defined(Py_GIL_DISABLED)",
        "#if !Py_GIL_DISABLED",
        "#if defined(USE_IT) && !defined(Py_GIL_DISABLED)",
        "#if PY_VERSION_HEX < 0x030D0000",
        "#if PY_MAJOR_VERSION < 3 || (PY_MAJOR_VERSION == 3 && PY_MINOR_VERSION < 13)",
        "#if PY_VERSION_HEX < _Py_PACK_VERSION(3, 13) || defined(PYPY_VERSION)",
        "#if 0",
        "#ifdef PYPY_VERSION",
        "#if !defined(MY_FREE_THREADED)",
        "#ifdef Py_GIL_DISABLED\nint live;\n#else",
        "#if FOO && 0",
        "#if PY_VERSION_HEX > 0x03080000\nint live;\n#elif BAR",
        "#if BAR\nint live;\n#elif PY_VERSION_HEX >= 0x030d0000\nint live;\n#else",
        "#if BAR\nint live;\n#elif 1\nint live;\n#elif FOO",
        "#if (defined(Py_LIMITED_API) ? Py_LIMITED_API : PY_VERSION_HEX) < 0x030D0000",
        "#if BAR ? 0 : 0",
    ],
)
def test_a_region_that_the_free_threaded_build_leaves_out_is_blanked(condition: str) -> None:
    assert "dead" not in unit(f"{condition}\nint dead;\n#endif\nint after;\n").code


@pytest.mark.parametrize(
    "condition",
    [
        "#ifdef Py_GIL_DISABLED",
        "#if defined(HAVE_SOMETHING)",
        "#if Py_GIL_DISABLED + 0",
        "#if PY_VERSION_HEX >= 0x030D00A4",
        "#ifndef Py_GIL_DISABLED\n#elif 1",
        "#if UNKNOWN_FUNCTION(3) > 2",
        "#if " + "(" * 300 + "0" + ")" * 300,
        "#if " + "!" * 5000 + "0",
        "#if 09",
        "#if",
    ],
)
def test_a_region_that_it_compiles_or_may_compile_stays(condition: str) -> None:
    assert "kept" in unit(f"{condition}\nint kept;\n#endif\n").code


def test_nothing_moves_when_text_is_blanked() -> None:
    text = (
        "#define A \\\n  1\nchar *s = \"a\\\"b /* c */\"; // é ü\n/* two\nlines */ int x; char c = '\\'';\n"
        "#if 0\nint y;\n#endif\n"
    )
    code = unit(text).code
    assert len(code) == len(text)
    assert [i for i, c in enumerate(text) if c == "\n"] == [i for i, c in enumerate(code) if c == "\n"]
    assert code[text.index("int x")] == "i"
    assert "two" not in code
    assert "int y" not in code


@pytest.mark.parametrize(
    "text",
    [
        '"never closed\nint f(void) { return 0; }',
        "/* never closed int f(void) {}",
        "#if 1\nint f(void) { return 0; }",
        "#endif\n#else\n#elif X\nint f(void) { return 0; }",
        'R"(raw ) "text)" int f(void) { return 0; }',
        "\x00\x01\x02 int f(void) { return 0; }",
        "}}}}}} int f(void) { return 0; } {{{{",
        "int f(int a, int b",
        "@@@ # ### \\\n\\",
    ],
)
def test_broken_text_is_read_without_an_error(text: str) -> None:
    made = unit(text)
    assert len(made.code) == len(text)
    assert isinstance(made.functions, tuple)
    assert isinstance(made.shared_variables, dict)


def test_ten_thousand_nested_blocks_are_read() -> None:
    depth = 10_000
    text = "static int n;\nvoid f(void) {" + "{" * depth + "n++;" + "}" * depth + "}\n"
    text += "int g(void) { return " + "(" * depth + "1" + ")" * depth + "; }\n"
    made = unit(text)
    (variable,) = made.shared_variables["n"]
    assert [function.name for _, function in made.uses(variable)] == ["f"]
    assert [function.name for function in made.functions] == ["f", "g"]


@pytest.mark.parametrize("bracket", ["(", "{", "["])
def test_a_text_of_brackets_that_never_close_is_refused(bracket: str) -> None:
    with pytest.raises(ParseError, match="are unmatched"):
        unit(f"int f(void) {{ {bracket * 5000}")


def test_branches_that_cut_a_statement_in_two_leave_one_of_them() -> None:
    text = (
        "int f(int x) {\n#ifdef A\n  if (x) {\n#else\n  if (!x) {\n#endif\n    x++;\n  }\n  return x;\n}\n"
        "int g(void) { return 1; }\n"
    )
    assert functions(text) == ["f", "g"]
    assert "if (!x)" not in unit(text).code


def test_slots_with_conditions_between_them_are_one_variable() -> None:
    text = (
        "static PyModuleDef_Slot slots[] = {\n  {Py_mod_exec, f},\n#ifdef Py_mod_gil\n"
        "  {Py_mod_gil, Py_MOD_GIL_NOT_USED},\n#endif\n  {0, NULL}};\n"
    )
    (variable,) = unit(text).shared_variables["slots"]
    assert variable.array
    assert "Py_mod_gil" in unit(text).code


@pytest.mark.parametrize(
    ("declaration", "thread_local"),
    [
        ("NPX_NO_EXPORT int x = 0;", False),
        ("static MY_TLS int x = 0;", True),
        ("MY_TLS static int x = 0;", True),
        ("static volatile MY_TLS T x[] = {1};", True),
        ("static _Thread_local int x;", True),
        ("static __declspec(thread) int x;", True),
        ("static HANDLE x = 0;", False),
        ("static int x __attribute__((aligned(8))) = 0;", False),
    ],
)
def test_a_declaration_behind_a_macro_is_not_lost(declaration: str, thread_local: bool) -> None:
    made = unit(f"{declaration}\nint g(void) {{ return 1; }}\n", config="#define MY_TLS _Thread_local\n")
    (variable,) = [v for v in made.syntax.variables if v.name == "x"]
    assert made.is_thread_local(variable) is thread_local
    assert functions(f"{declaration}\nint g(void) {{ return 1; }}\n") == ["g"]


def test_statement_macros_without_semicolons_do_not_hide_what_follows() -> None:
    text = (
        "typedef struct { PyObject_HEAD int n; } T;\n"
        "int f(PyObject *d) {\n  Py_BEGIN_CRITICAL_SECTION(d)\n  work(d);\n  Py_END_CRITICAL_SECTION()\n"
        "  return 0;\n}\n"
        "SOME_DECLARATION(a, b)\nint @name@_g(void) { return 1; }\n"
    )
    assert functions(text) == ["f", "@name@_g"]


def test_a_function_that_the_parser_misses_is_found_by_its_brackets() -> None:
    text = "FOO(a) BAR int weird BAZ(int x) QUX {\n  return x;\n}\nint g(void) { return 1; }\n"
    assert "g" in functions(text)


def test_classes_with_export_macros_do_not_make_their_members_global() -> None:
    made = unit(
        "class MY_EXPORT Pool : public Base {\n  int n_;\n  void put() { n_ += 1; }\n};\n", language=Language.CPP
    )
    assert not made.shared_variables
    assert [function.name for function in made.functions] == ["put"]


def test_a_macro_of_another_file_that_depends_on_the_gil_counts_here() -> None:
    header = "#ifdef Py_GIL_DISABLED\n#define CACHE_SIZE 0\n#else\n#define CACHE_SIZE 32\n#endif\n"
    assert (
        "freelist" not in unit("#if CACHE_SIZE > 0\nstatic void *freelist[CACHE_SIZE];\n#endif\n", config=header).code
    )


def test_the_target_decides_what_its_version_brings() -> None:
    text = "#if PY_VERSION_HEX >= 0x030E0000\nint new_;\n#else\nint old_;\n#endif\n"
    assert "old_" in compiled(text, target="3.13t")
    assert "new_" in compiled(text, target="3.14t")


@pytest.mark.parametrize("text", ["int broken( {{{", "}}}\n", "{" * 9 + "}" * 2])
def test_a_source_file_most_of_whose_braces_are_open_is_no_c(text: str) -> None:
    with pytest.raises(ParseError, match=r"not C or C\+\+"):
        unit(text)


@pytest.mark.parametrize("text", ["{\n{\n", "{{{}", "#ifdef A\nint f(void) {\n#else\nint f(int x) {\n#endif\n}\n"])
def test_a_few_open_braces_are_read_all_the_same(text: str) -> None:
    assert unit(text).code
