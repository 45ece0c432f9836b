"""Recipes: the content of a file, and the message for an invalid one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftaudit.errors import UsageError
from ftaudit.stress.child.schedule import Chance
from ftaudit.stress.child.subjects import SharedType
from ftaudit.stress.child.type_units import of_subject, together_on
from ftaudit.stress.recipes import parse_recipe, read_recipes, recipes_for


def test_the_shipped_recipes_can_be_read_and_a_projects_own_are_added(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[constructors]\n"spam.Egg" = ["spam.Egg(3)"]\n', encoding="utf-8")
    recipes, problems = read_recipes([tmp_path])
    assert problems == ()
    assert recipes["constructors"]["spam.Egg"] == ["spam.Egg(3)"]
    assert recipes_for(recipes, ["spam"]) == {
        "constructors": {"spam.Egg": ["spam.Egg(3)"]},
        "calls": {},
        "oracle": {},
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("constructors = 3", "constructors is not a table"),
        ("[constructers]", "'constructers' is not known"),
        ('[calls]\n"spam.Egg" = "o.boil()"', "must be a list of Python expressions"),
        ('[calls]\n"spam.Egg" = ["o.boil("]', "is not a Python expression"),
        ('[calls]\n"spam.Egg" = ["import os"]', "is not a Python expression"),
        ('[[oracle]]\ntype = "spam.Egg"', "an oracle must have exactly the keys type, operations and state"),
        ("oracle = 3", "oracle is not a list of tables"),
        ("[", "is not valid TOML"),
    ],
)
def test_a_wrong_recipe_is_told_with_its_name(text: str, told: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_recipe(text, "own.toml")
    assert "own.toml" in error.value.problem and told in error.value.problem


def test_a_recipe_folder_that_does_not_exist_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_recipes([tmp_path / "absent"])


@pytest.mark.parametrize(("of_type", "of_call"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_unit_says_whether_a_recipe_made_its_type_or_its_call(of_type: bool, of_call: bool) -> None:
    subject = SharedType("spam.Egg", imports=["spam"], compiled=True, iterator=False)
    subject.makers.append(("spam.Egg(3)", 3))
    subject.collected = True
    subject.recipe = of_type
    subject.operations = [
        {"text": f"o.{name}()", "name": name, "mutates": True, "recipe": of_call, "stable": True, "taken": []}
        for name in ("boil", "crack")
    ]
    units = [*together_on(subject, Chance(1, None)), *of_subject(subject, Chance(1, None))]
    assert {unit.kind for unit in units} >= {"all pairs", "pair of methods", "garbage collection"}
    by_recipe = {unit.recipe for unit in units if unit.kind in ("all pairs", "pair of methods")}
    assert by_recipe == {of_type or of_call}
