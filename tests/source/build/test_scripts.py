"""The facts of a build script in Python."""

from __future__ import annotations

import pytest

from ftaudit.rule import Language
from ftaudit.source.base import ParseError, SourceFile
from ftaudit.source.build import READER, BuildFact, FactKind
from ftaudit.target import parse_target


def facts(text: str, *kinds: FactKind, path: str = "setup.py") -> list[BuildFact]:
    source = SourceFile(path=path, language=Language.BUILD, text=text, target=parse_target("3.14t"))
    survey = READER.survey(source)
    return list(READER.gather({path: survey} if survey else {}).of(*kinds))


def unsettled(text: str) -> list[int]:
    return sorted({fact.line for fact in facts(text, FactKind.LIMITED_API) if not fact.settled})


@pytest.mark.parametrize(
    "text",
    [
        "setup(",
        "x = '\ud800'\n",
        "(" * 10_000,
        "\0",
        "-" * 100_000 + "1\n",
    ],
)
def test_what_is_not_python_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ParseError):
        facts(text)


def test_a_very_long_sum_is_read_or_refused_but_never_ends_the_scan() -> None:
    try:
        facts("x = " + "+".join(["1"] * 50_000) + "\n")
    except ParseError as error:
        assert "not valid Python" in error.reason


@pytest.mark.parametrize(
    "text",
    [
        "Extension('m', [], py_limited_api=False)\n",
        "Extension('m', [], py_limited_api=not sysconfig.get_config_var('Py_GIL_DISABLED'))\n",
        "if '3.13t' in sys.abiflags:\n    x = 0\nelse:\n    Extension('m', [], py_limited_api=True)\n",
        "def main():\n"
        "    if sysconfig.get_config_var('Py_GIL_DISABLED'):\n"
        "        return\n"
        "    macros.append(('Py_LIMITED_API', '0x03090000'))\n",
        "class abi3(bdist_wheel):\n    def get_tag(self):\n        return 'cp39', 'abi3', 'any'\n"
        "ft = is_freethreaded()\ncmdclass = {} if ft else {'bdist_wheel': abi3}\n",
        "LIMITED = True\n"
        "if sysconfig.get_config_var('Py_GIL_DISABLED'):\n"
        "    LIMITED = False\n"
        "Extension('m', [], py_limited_api=LIMITED)\n",
        "if '--limited' in sys.argv:\n    macros.append(('Py_LIMITED_API', '0x03090000'))\n",
        "macros.remove(('Py_LIMITED_API', '0x03090000'))\n",
        "'''py_limited_api=True'''\n",
    ],
)
def test_what_depends_on_the_interpreter_is_settled(text: str) -> None:
    assert unsettled(text) == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("Extension('m', [], py_limited_api=True)\n", [1]),
        ("LIMITED = True\nExtension('m', [], py_limited_api=LIMITED)\n", [1]),
        ("if os.environ.get('ABI3'):\n    macros.append(('Py_LIMITED_API', '0x03090000'))\n", [2]),
        (
            "class abi3(bdist_wheel):\n"
            "    def get_tag(self):\n"
            "        return 'cp39', 'abi3', 'any'\n"
            "setup(cmdclass={'b': abi3})\n",
            [3],
        ),
        ("for e in exts:\n    e.py_limited_api = 'cp39'\n", [2]),
        (
            "ok = not sysconfig.get_config_var('Py_GIL_DISABLED')\nkw = {}\n"
            "kw['ext'] = [Extension('m', [], py_limited_api=ok, define_macros=[('Py_LIMITED_API', '1')])]\n",
            [3],
        ),
    ],
)
def test_what_does_not_depend_on_it_is_not(text: str, lines: list[int]) -> None:
    assert unsettled(text) == lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("cythonize(['m.pyx'])\n", 1),
        ("cythonize(\n    ['m.pyx'],\n    compiler_directives={\n        'a': 1,\n    })\n", 3),
        ("d = {'language_level': 3}\ncythonize(['m.pyx'], compiler_directives=d)\n", 1),
        ("o = {\n    'compiler_directives': {'a': 1}}\ncythonize(['m.pyx'], **o)\n", 2),
        (
            "FLAGS = ['-O2']\n"
            "Extension('m', ['m.pyx'], extra_compile_args=FLAGS)\n"
            "d = {}\n"
            "for k in given:\n"
            "    d[k] = 1\n"
            "cythonize(exts, compiler_directives=d)\n",
            1,
        ),
    ],
)
def test_the_place_of_a_missing_directive_is_where_it_would_be_written(text: str, line: int) -> None:
    assert [fact.line for fact in facts(text, FactKind.CYTHON_PLACE)] == [line]


@pytest.mark.parametrize(
    "text",
    [
        "cythonize(['m.pyx'], compiler_directives={'freethreading_compatible': True})\n",
        "d = dict(language_level=3)\n"
        "d['freethreading_compatible'] = True\n"
        "cythonize(['m.pyx'], compiler_directives=d)\n",
        "def options():\n"
        "    return {'compiler_directives': {'freethreading_compatible': True}}\n"
        "cythonize(['m.pyx'], **options())\n",
        "for e in exts:\n    e.cython_directives = {'freethreading_compatible': True}\ncythonize(exts)\n",
    ],
)
def test_a_directive_is_followed_to_the_call(text: str) -> None:
    assert facts(text, FactKind.CYTHON_PLACE) == []
    assert [fact.value for fact in facts(text, FactKind.DECLARES)] == ["true"]


def test_a_declaration_that_waits_for_a_version_says_so() -> None:
    text = "d = {}\nif sys.version_info >= (3, 14):\n    d['freethreading_compatible'] = True\n"
    assert [fact.names for fact in facts(text, FactKind.DECLARES)] == [("since:3.14",)]
