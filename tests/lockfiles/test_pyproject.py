from __future__ import annotations

from pathlib import Path

import pytest

from ftaudit.errors import InputError, UsageError
from ftaudit.lockfiles import Requirements, read
from ftaudit.lockfiles.requirements import ReferenceKind

FIXTURES = Path(__file__).parents[2] / "fixtures" / "lockfiles"


def parse(folder: Path, text: str, **options: object) -> Requirements:
    path = folder / "pyproject.toml"
    path.write_text(text)
    return read(path, **options)  # type: ignore[arg-type]


def names(found: Requirements) -> list[str | None]:
    return [root.name for root in found.roots]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[project]\nname='x'\ndependencies = ['a=1']\n", r"project\.dependencies\[0\].*line 3"),
        ("[project]\nname='x'\ndependencies = 'a'\n", r"project\.dependencies is not an array"),
        ("[project]\nname='x'\ndependencies = [1]\n", r"project\.dependencies\[0\]"),
        ("project = 1\n", "project is not a table"),
        ("[project]\nname='x'\ndependencies = ['a',\n", "pyproject.toml"),
        ("[tool.ruff]\nline-length=100\n", "does not describe a project"),
        ("[tool.poetry.dependencies]\nrequests='*'\n", "poetry"),
        (
            "[project]\nname='x'\ndependencies=['a']\n[tool.uv.sources]\na={index='no'}\n",
            r"tool\.uv\.sources\.a\.index",
        ),
    ],
)
def test_a_malformed_project_is_an_error_that_names_the_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(InputError, match=place):
        parse(tmp_path, text)


def test_groups_that_include_each_other_are_an_error_that_names_the_loop(tmp_path: Path) -> None:
    text = "[dependency-groups]\na=[{include-group='B'}]\nb=[{include-group='a'}]\n"
    with pytest.raises(InputError, match=r"a -> b -> a"):
        parse(tmp_path, text, groups=["a"])


def test_extras_and_groups_that_do_not_exist_are_errors_that_name_those_that_do(tmp_path: Path) -> None:
    text = "[project]\nname='x'\ndependencies=['a']\n[project.optional-dependencies]\nfast=['b']\n"
    with pytest.raises(UsageError) as caught:
        parse(tmp_path, text, extras=["slow"])
    assert "fast" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="no group"):
        parse(tmp_path, text, groups=["dev"])


PROJECT = "[project]\nname='x'\nversion='1'\ndependencies=['a']\n"
POETRY_GROUPS = """
[tool.poetry.group.Dev.dependencies]
pytest = "*"
[tool.poetry.group.docs.dependencies]
sphinx = "*"
[dependency-groups]
docs = ["sphinx"]
"""


def test_a_group_of_poetrys_own_is_no_unknown_one(tmp_path: Path) -> None:
    text = PROJECT + POETRY_GROUPS
    with pytest.raises(UsageError, match="only for poetry") as caught:
        parse(tmp_path, text, groups=["dev"])
    assert "poetry.lock" in str(caught.value.hint)
    found = parse(tmp_path, text, groups=["docs"])
    assert found.left_out == ("group dev (only for poetry: specify poetry.lock)",)
    assert any(root.name == "sphinx" for root in found.roots)


def test_a_group_asked_of_a_project_of_poetrys_alone_says_that_it_is_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="only for poetry"):
        parse(tmp_path, "[tool.poetry.group.dev.dependencies]\npytest='*'\n", groups=["dev"])


def test_groups_that_pdm_keeps_for_itself_are_said_to_be_left_out(tmp_path: Path) -> None:
    found = parse(tmp_path, PROJECT + "[tool.pdm.dev-dependencies]\ntest = ['pytest']\n")
    assert found.left_out == ("group test (only for pdm: specify pdm.lock)",)


def test_dynamic_dependencies_are_a_row(tmp_path: Path) -> None:
    found = parse(tmp_path, "[project]\nname='x'\ndynamic=['dependencies']\n")
    assert [problem.name for problem in found.problems] == ["x"]
    assert "dynamic" in found.problems[0].message


def test_dependencies_stand_on_their_lines(tmp_path: Path) -> None:
    found = parse(tmp_path, "[project]\nname='x'\ndependencies = [\n  'a==1',\n  \"b>=2\",\n]\n")
    assert [root.location.line for root in found.roots] == [4, 5]


def test_a_line_that_is_not_certain_is_not_named(tmp_path: Path) -> None:
    found = parse(tmp_path, "[project]\nname='x'\nkeywords=['a']\ndependencies = ['a']\n")
    assert found.roots[0].location.line is None


def test_extras_of_the_project_itself_are_followed(tmp_path: Path) -> None:
    text = (
        "[project]\nname='My.Project'\ndependencies=['base']\n[project.optional-dependencies]\n"
        "fast=['speedups']\nall=['my-project[fast,all]', 'more']\n"
    )
    assert names(parse(tmp_path, text, extras=["all"])) == ["base", "more", "speedups"]
    assert names(parse(tmp_path, text)) == ["base"]


def test_groups_are_followed() -> None:
    found = read(FIXTURES / "web-shop" / "pyproject.toml", groups=["dev"])
    assert {"pytest", "pyflakes", "flask"} <= set(names(found))


def test_a_workspace_member_is_a_local_project() -> None:
    found = read(FIXTURES / "web-shop" / "pyproject.toml")
    core = next(root for root in found.roots if root.name == "shop-core")
    assert core.reference is not None
    assert core.reference.kind is ReferenceKind.TREE
    assert Path(core.reference.url) == FIXTURES / "web-shop" / "core"


def test_sources_and_indexes_of_uv_are_obeyed(tmp_path: Path) -> None:
    text = """
[project]
name = "x"
dependencies = ["a", "b", "c", "d"]
[tool.uv]
constraint-dependencies = ["e<2"]
[tool.uv.sources]
a = { git = "https://code.example/a", rev = "1" }
b = { path = "libs/b" }
c = { index = "private" }
d = [{ url = "https://files.example/d-1-py3-none-any.whl", marker = "sys_platform == 'win32'" }]
[[tool.uv.index]]
name = "private"
url = "https://private.example/simple"
explicit = true
[[tool.uv.index]]
url = "https://mirror.example/simple"
default = true
"""
    found = parse(tmp_path, text)
    kinds = [root.reference.kind if root.reference else None for root in found.roots]
    assert kinds == [ReferenceKind.VCS, ReferenceKind.TREE, None, ReferenceKind.FILE]
    assert found.roots[3].marker == "sys_platform == 'win32'"
    assert found.package_indexes == {"c": "https://private.example/simple"}
    assert found.index.index_url == "https://mirror.example/simple"
    assert found.index.extra_index_urls == ()
    assert [item.name for item in found.constraints] == ["e"]
