"""C and C++: the cheap tests that skip a parse never hide a finding of the full check."""

from __future__ import annotations

from pathlib import PurePath

import pytest

from ftaudit.registry import load_rules
from ftaudit.rule import Language, SourceExample
from ftaudit.source import CRule
from ftaudit.source.base import SourceFile, TreeContext
from ftaudit.source.c import READER
from ftaudit.source.c.candidates import may_have_written_variables
from ftaudit.source.examples import check_example, example_path
from ftaudit.source.languages import languages_of
from ftaudit.target import parse_target

RULES = [rule for rule in load_rules().rules if isinstance(rule, CRule)]


def unit_of(code: str, *, path: str = "a.c"):
    language = Language.CPP if path.endswith((".cpp", ".hpp")) else Language.C
    source = SourceFile(path=path, language=language, text=code, target=parse_target("3.14t"))
    return READER.parse(source, TreeContext())


@pytest.mark.parametrize(
    ("rule", "example"),
    [
        pytest.param(rule, example, id=f"{rule.info.name}-{index}")
        for rule in RULES
        for index, example in enumerate((*rule.INVALID, *rule.VALID))
    ],
)
def test_a_rule_is_asked_about_every_text_in_which_it_finds_something(rule: CRule, example: SourceExample) -> None:
    findings, _ = check_example(rule, example)
    path = example_path(rule, example)
    for language in {Language.C, Language.CPP} & set(languages_of(PurePath(path), b"")):
        source = SourceFile(path=path, language=language, text=example.code, target=parse_target(example.target))
        assert not findings or rule in READER.select(source, [rule])


def test_a_rule_is_not_asked_about_a_text_without_its_words() -> None:
    source = SourceFile(
        path="a.c", language=Language.C, text="int f(void) { return 0; }\n", target=parse_target("3.14t")
    )
    spared = [rule for rule in RULES if rule.words]
    assert len(spared) > 20
    assert not READER.select(source, spared)


@pytest.mark.parametrize(
    "code",
    [
        "static const int t[] = {1, 2}, *p;\nvoid f(void) { p = t; }\n",
        "static const int a = 1, *p = &a;\nvoid f(void) { p = 0; }\n",
        "struct state { int n; } shared;\nvoid f(void) { shared.n = 1; }\n",
        "static struct { int n; } shared = {0};\nvoid f(void) { shared.n++; }\n",
        "enum kind { A, B } last;\nvoid f(void) { last = B; }\n",
        "int a, b;\nvoid f(void) { ++b; }\n",
        "int *a = 0, *b[3];\nvoid f(void) { b[1] = a; }\n",
        "static void (*hook)(int);\nvoid f(void) { hook = 0; }\n",
        "static int x __attribute__((unused)) = 1;\nvoid f(void) { x -= 1; }\n",
        'void f(void) { static char buf[9]; snprintf(buf, 9, "x"); }\n',
        "static char name[9];\nstatic void fill(char *to) { to[0] = 1; }\nvoid f(void) { fill(name); }\n",
        "static int n;\nstatic void fill(to) int *to; { *to = 1; }\nvoid f(void) { fill(&n); }\n",
        "static int a[] = {1}, b;\nvoid f(void) { b = 2; }\n",
        "static int n; /* first */ void f(void) { n = 1; }\n",
    ],
)
def test_a_variable_that_is_written_is_no_constant_to_the_first_look(code: str) -> None:
    assert may_have_written_variables(unit_of(code).code, cpp=False)


@pytest.mark.parametrize(
    "code",
    [
        "static std::vector<int> seen;\nvoid f() { seen.push_back(1); }\n",
        "struct Pool { static int used; };\nint Pool::used = 0;\nvoid f() { Pool::used++; }\n",
        "static Pool pool(4);\nvoid f() { pool.size = 2; }\n",
        "void f(int n) { static Pool pool(n); pool.size = 2; }\n",
        "namespace {\n    double ratio = 1;\n    void f() { ratio = 2; }\n}\n",
        "namespace a {\nint used{0};\nvoid f() { used = 1; }\n}\n",
    ],
)
def test_a_variable_of_cpp_that_is_written_is_no_constant_to_the_first_look(code: str) -> None:
    assert may_have_written_variables(unit_of(code, path="a.cpp").code, cpp=True)


@pytest.mark.parametrize(
    "code",
    [
        "static const double table[2 * 2] = {1, 2, 3, 4};\ndouble f(int i) { return table[i]; }\n",
        "static PyMethodDef methods[] = {{0}};\nvoid f(void) { use(methods); }\n",
        "extern int used;\nvoid f(void) { used = 1; }\n",
        "static int helper(int n);\nint f(int n) { n = helper(n); return n; }\n",
        "static int limit = 4;\nint f(int n) { return n < limit; }\n",
        "struct state { int n; };\nint f(struct state *s) { s->n = 1; return 0; }\n",
    ],
)
def test_a_file_without_a_written_variable_needs_no_parse(code: str) -> None:
    assert not may_have_written_variables(unit_of(code).code, cpp=False)
