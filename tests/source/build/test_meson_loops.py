"""`foreach` in Meson: the loop's values reach the call in the loop."""

from __future__ import annotations

from ftaudit.source.build.build_facts import FactKind
from ftaudit.source.build.meson import MesonProject, parse_meson

MODULES = "modules = {'a': {'sources': ['a.pyx']}, 'b': {'sources': ['b.pyx']}}\n"


def places(*texts: str) -> list[tuple[str, int, tuple[str, ...]]]:
    project = MesonProject(parse_meson(f"{number}/meson.build", text) for number, text in enumerate(texts))
    return [(fact.path, fact.line, fact.names) for fact in project.facts() if fact.kind is FactKind.CYTHON_PLACE]


def test_what_a_generator_makes_is_no_source_of_the_module() -> None:
    assert not places(
        "modules = ['a.pyx']\nforeach one : modules\n  py.extension_module('a', gen.process(one))\nendforeach\n"
    )


def test_a_loop_variable_is_none_after_the_loop() -> None:
    assert not places(MODULES + "foreach name, module : modules\nendforeach\npy.extension_module('c', module)\n")


def test_sources_in_a_dictionary_reach_the_call() -> None:
    text = MODULES + "foreach name, module : modules\n  py.extension_module(name, module.get('sources'))\nendforeach\n"
    assert places(text) == [("0/meson.build", 3, ("a.pyx", "b.pyx"))]


def test_arguments_are_looked_for_in_the_same_file_first() -> None:
    other = "cython_args = ['--gdb']\npy.extension_module('x', 'x.pyx', cython_args: cython_args)\n"
    mine = "\ncython_args = ['-3']\npy.extension_module('y', 'y.pyx', cython_args: cython_args)\n"
    assert [(path, line) for path, line, _ in places(other, mine)] == [("0/meson.build", 1), ("1/meson.build", 2)]
