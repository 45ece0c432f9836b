"""The edits that declare in build files: where the build reads them, next to comments, with the file's commas."""

from __future__ import annotations

import pytest

from ftaudit.model import Applicability, Fix, NoFix, Obstacle
from ftaudit.registry import load_rules
from ftaudit.rule import SourceExample, SourceRule
from ftaudit.source.fixing.fixed_examples import fix_example

(FT401,) = (rule for rule in load_rules().rules if isinstance(rule, SourceRule) and rule.info.code == "FT401")
OPTION = "'-Xfreethreading_compatible=True'"


def fixed(path: str, code: str) -> tuple[str, object]:
    """Return the text with the fix of its one finding, and the fix."""
    example = SourceExample(path=path, code=code, others=(("a.pyx", "x = 1\n"),))
    text, _, (offered,) = fix_example(FT401, example)
    return text, offered


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        (
            "py.extension_module('a', 'a.pyx', install: true)\n",
            f"py.extension_module('a', 'a.pyx', install: true, cython_args : [{OPTION}])\n",
        ),
        (
            "py.extension_module('a',\n  'a.pyx',\n  install: true,  # it's 'a'(\n)\n",
            f"py.extension_module('a',\n  'a.pyx',\n  install: true,\n  cython_args : [{OPTION}],  # it's 'a'(\n)\n",
        ),
        (
            "py.extension_module(\n  'a',\n  'a.pyx' # last\n)\n",
            f"py.extension_module(\n  'a',\n  'a.pyx',\n  cython_args : [{OPTION}] # last\n)\n",
        ),
        (
            "cython_args = ['-3']\npy.extension_module('a', 'a.pyx', cython_args : cython_args)\n",
            f"cython_args = [{OPTION}, '-3']\npy.extension_module('a', 'a.pyx', cython_args : cython_args)\n",
        ),
    ],
)
def test_meson_gets_the_option_where_it_reads_it(code: str, wanted: str) -> None:
    text, offered = fixed("meson.build", code)
    assert text == wanted
    assert isinstance(offered, Fix)
    assert offered.applicability is Applicability.SUGGESTED


def test_arguments_that_the_build_adds_up_are_left_alone() -> None:
    code = "py.extension_module('a', 'a.pyx', cython_args : base + ['-3'])\n"
    assert fixed("meson.build", code) == (code, NoFix(obstacle=Obstacle.UNKNOWN_FORM))


CYTHONIZED = "setup(ext_modules=cythonize(['a.pyx'], {}))\n"


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        (
            "setup(ext=Cython.Build.cythonize('a.pyx'))\n",
            "setup(ext=Cython.Build.cythonize('a.pyx', compiler_directives={\"freethreading_compatible\": True}))\n",
        ),
        (
            "d = {'language_level': 3}\n" + CYTHONIZED.format("compiler_directives=d"),
            "d = {\"freethreading_compatible\": True, 'language_level': 3}\n"
            + CYTHONIZED.format("compiler_directives=d"),
        ),
        (
            "d = dict(language_level=3)\n" + CYTHONIZED.format("compiler_directives=d"),
            "d = dict(language_level=3, freethreading_compatible=True)\n" + CYTHONIZED.format("compiler_directives=d"),
        ),
        (
            CYTHONIZED.format("compiler_directives=dict(language_level=3)"),
            CYTHONIZED.format("compiler_directives=dict(language_level=3, freethreading_compatible=True)"),
        ),
        (
            "o = {'compiler_directives': {'language_level': 3}}\n" + CYTHONIZED.format("**o"),
            "o = {'compiler_directives': {\"freethreading_compatible\": True, 'language_level': 3}}\n"
            + CYTHONIZED.format("**o"),
        ),
        (
            "o = dict(annotate=True)\n" + CYTHONIZED.format("**o"),
            'o = dict(annotate=True, compiler_directives={"freethreading_compatible": True})\n'
            + CYTHONIZED.format("**o"),
        ),
    ],
)
def test_a_script_gets_the_directive_where_cythonize_takes_it_from(code: str, wanted: str) -> None:
    text, offered = fixed("setup.py", code)
    assert text == wanted
    assert isinstance(offered, Fix)


@pytest.mark.parametrize("given", ["compiler_directives=made()", "**made()"])
def test_directives_that_a_script_computes_are_left_alone(given: str) -> None:
    code = CYTHONIZED.format(given)
    assert fixed("setup.py", code) == (code, NoFix(obstacle=Obstacle.UNKNOWN_FORM))
