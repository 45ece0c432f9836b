"""Edits of pyproject.toml: only the dependency's string changes."""

from __future__ import annotations

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ftaudit.errors import InputError
from ftaudit.planning.edit_toml import edit_toml

OTHER = canonicalize_name("other")


def to_two(found: Requirement) -> SpecifierSet | None:
    return SpecifierSet(">=2") if found.name == "demo" else None


def edited(text: str, *, constrain: str | None = None) -> str:
    constraints = {} if constrain is None else {OTHER: SpecifierSet(constrain)}
    return edit_toml(text, to_two, constraints, path="pyproject.toml")


def test_a_text_that_is_not_toml_is_an_error() -> None:
    for text in ("[project", "[project]\na = 1\na = 2\n"):
        with pytest.raises(InputError, match="cannot be edited"):
            edited(text)


def test_escapes_in_a_string_are_read() -> None:
    assert edited('[project]\ndependencies = ["demo\\u003c2"]\n') == '[project]\ndependencies = ["demo>=2"]\n'


def test_the_same_string_elsewhere_stays() -> None:
    text = (
        '# "demo<2"\n[build-system]\nrequires = ["demo<2"]\n[tool.x]\nneeds = ["demo<2"]\n'
        '[project]\ndependencies = [\n  "demo<2", # "demo<2" is old\n  \'demo<2\',\n]\n'
    )
    assert edited(text) == text.replace('  "demo<2", #', '  "demo>=2", #').replace("'demo<2'", "'demo>=2'")


def test_extras_and_groups_are_edited_too_and_markers_stay() -> None:
    text = (
        "[project.optional-dependencies]\r\na = [\"demo[x] <2 ; python_version > '3'\"]\r\n"
        '[dependency-groups]\r\nb = [{include-group = "c"}, "demo<2"]\r\nc = []\r\n'
    )
    assert edited(text) == text.replace("demo[x] <2 ;", "demo[x] >=2 ;").replace('"demo<2"', '"demo>=2"')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[tool.uv]\nconstraint-dependencies = ["a<1"]\n',
            '[tool.uv]\nconstraint-dependencies = ["a<1", "other>=1"]\n',
        ),
        ("[tool.uv] # us\npre = 1\n", '[tool.uv] # us\npre = 1\nconstraint-dependencies = ["other>=1"]\n'),
        (
            'tool.uv.constraint-dependencies = ["a"] # ours\n[project]\nname = "x"\n',
            'tool.uv.constraint-dependencies = ["a", "other>=1"] # ours\n[project]\nname = "x"\n',
        ),
        (
            "[tool]\nuv = { constraint-dependencies = [] }\n",
            '[tool]\nuv = { constraint-dependencies = ["other>=1"] }\n',
        ),
        (
            '[tool.uv]\nconstraint-dependencies = [\n  # why\n  "a<1", # an upper limit\n]\n[tool.x]\ny = 1\n',
            '[tool.uv]\nconstraint-dependencies = [\n  # why\n  "a<1", # an upper limit\n  "other>=1",\n]\n'
            "[tool.x]\ny = 1\n",
        ),
        (
            '[tool.a]\nx = 1\n[project]\nname = "x"\n[tool.b]\ny = 1\n',
            '[tool.a]\nx = 1\n[project]\nname = "x"\n[tool.b]\ny = 1\n\n[tool.uv]\n'
            'constraint-dependencies = ["other>=1"]\n',
        ),
        ('[project]\nname = "x"', '[project]\nname = "x"\n\n[tool.uv]\nconstraint-dependencies = ["other>=1"]\n'),
    ],
)
def test_a_constraint_goes_where_uv_looks_for_it(text: str, expected: str) -> None:
    assert edited(text, constrain=">=1") == expected
