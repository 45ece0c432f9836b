from __future__ import annotations

from pathlib import Path

import pytest
from support.selection import FIXTURES, by_name, select, write

from ftaudit.errors import InputError
from ftaudit.lockfiles import read

ENVIRONMENT = FIXTURES / "conda" / "environment.yml"
BOMB = "a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\ndependencies: [*c]\n"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("dependencies: [", "environment.yml:1: this is not valid YAML|environment.yml:2: this is not valid YAML"),
        ("name: x\n", "environment.yml:1: 'dependencies' is not a list"),
        ("name: x\ndependencies: numpy\n", "environment.yml:2: 'dependencies' is not a list"),
        ("dependencies:\n- [a]\n", "environment.yml:2: a dependency is neither"),
        ("dependencies:\n- '!!'\n", "environment.yml:2: '!!' does not name a package"),
        ("dependencies:\n- npm: [x]\n", "environment.yml:2: 'npm' is not a supported installer"),
        ("dependencies:\n- pip: x\n", "environment.yml:2: 'pip' is not a list"),
        ("dependencies:\n- pip:\n  - [x]\n", "environment.yml:3: each entry of 'pip'"),
        ("dependencies:\n- pip:\n  - '>= nonsense'\n", "environment.yml:3: "),
        ("dependencies:\n- pip:\n  - -r gone.txt\n", "environment.yml:3: the included file"),
        ("dependencies:\n- pip:\n  - -r environment.yml\n", "includes itself"),
        (BOMB, "environment.yml:1: anchors, aliases and tags are not supported"),
        ("dependencies: !!python/object/apply:os.system [x]\n", "environment.yml:1: anchors, aliases and tags"),
        ("[" * 50_000, "nested more than 8 levels deep"),
        ("{a: " * 50_000, "nested more than 8 levels deep"),
        ("dependencies:\n" + "- a\n" * 30_000, "more than 20,000 entries"),
        ("#" * 300_000, "300,000 characters"),
        ("a: b: c\n", "environment.yml:1: this is not valid YAML"),
        ("\x01", "is not valid YAML"),
        ("- a\n", "'dependencies' is not a list"),
        ("", "'dependencies' is not a list"),
    ],
)
def test_what_is_no_environment_file_is_an_error_that_names_the_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(InputError, match=place):
        select(write(tmp_path, "environment.yml", text))


def test_an_object_of_pythons_is_never_made(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    text = f"dependencies:\n- !!python/object/apply:os.mkdir ['{canary}']\n- pip: [a==1]\n"
    with pytest.raises(InputError, match="tags are not supported"):
        select(write(tmp_path, "environment.yml", text))
    assert not canary.exists()


def test_every_conda_package_is_a_row_that_says_it_was_not_looked_at() -> None:
    rows = {pin.name: pin for pin in select(ENVIRONMENT, no_deps=True).pins if pin.problem}
    assert set(rows) == {"numpy", "libblas", "gdal"}
    assert {pin.problem for pin in rows.values()} == {
        "a conda package: ftaudit checks only the packages that pip installs"
    }
    lines = ENVIRONMENT.read_text().splitlines()
    assert rows["gdal"].source is not None
    assert "gdal" in lines[(rows["gdal"].source.line or 0) - 1]


def test_the_interpreter_and_the_installers_are_no_packages() -> None:
    assert not {"python", "pip"} & set(by_name(select(ENVIRONMENT, no_deps=True)))


def test_the_pip_part_is_read_with_the_files_that_it_includes() -> None:
    found = by_name(select(ENVIRONMENT, no_deps=True))
    assert {name: str(pin.version) for name, pin in found.items() if not pin.problem} == {
        "flask": "3.1.3",
        "hiredis": "3.5.0",
        "click": "8.5.1",
    }
    flask, click = found["flask"].source, found["click"].source
    assert flask is not None
    assert click is not None
    assert ENVIRONMENT.read_text().splitlines()[(flask.line or 0) - 1].strip() == "- flask==3.1.3"
    assert (Path(click.path).name, click.line) == ("more.txt", 1)
    assert read(ENVIRONMENT).index.index_url == "https://index.example/simple"
