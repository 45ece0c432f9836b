"""Edits of requirements files: the rest stays the same, byte for byte."""

from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ftaudit.errors import InputError
from ftaudit.planning.edit_lines import LineEdit, edit_lines, respecify

DEMO = canonicalize_name("demo")


def changed(text: str, *, line: int = 1, to: str = "==2.0", hashes: tuple[str, ...] = ()) -> str:
    edit = LineEdit(line=line, name=DEMO, specifier=SpecifierSet(to), hashes=hashes)
    return edit_lines(text, [edit], [], path="r.txt")


@pytest.mark.parametrize(
    "text",
    ["other==1.0\n", "# demo==1.0\n", "-r demo.txt\n", "demo @ https://files.example/demo.whl\n", "./demo\n", "\n"],
)
def test_what_is_no_requirement_of_that_name_is_an_error_that_names_the_line(text: str) -> None:
    with pytest.raises(InputError, match=r"r\.txt:1"):
        changed(text)


def test_a_line_with_hashes_is_not_edited_without_those_of_the_new_version() -> None:
    with pytest.raises(InputError, match="no hashes"):
        changed("demo==1.0 --hash=sha256:aa\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("demo==1.0", "demo==2.0"),
        ("demo==1.0\n", "demo==2.0\n"),
        ("demo==1.0\r\n", "demo==2.0\r\n"),
        ("  Demo == 1.0  # why\n", "  Demo == 2.0  # why\n"),
        ("demo[a, b]==1.0;python_version>'3.9'\n", "demo[a, b]==2.0;python_version>'3.9'\n"),
        ("demo [a] ( == 1.0 ) ; sys_platform == 'linux'\n", "demo [a] (== 2.0) ; sys_platform == 'linux'\n"),
        ("demo\n", "demo==2.0\n"),
        ("demo # the best\n", "demo==2.0 # the best\n"),
        ("demo===1.0 --config-settings x=y\n", "demo==2.0 --config-settings x=y\n"),
        ("\ufeffdemo==1.0\n", "\ufeffdemo==2.0\n"),
        ("demo==1.0 \\\n  ; python_version > '3.9'\n", "demo==2.0 \\\n  ; python_version > '3.9'\n"),
    ],
)
def test_the_version_changes_and_nothing_else(old: str, new: str) -> None:
    assert changed(old) == new


def test_of_a_range_what_stays_keeps_its_order_and_its_spacing() -> None:
    text = respecify("demo >=1.0, !=2.1, <3 ; python_version > '3'", DEMO, SpecifierSet(">=2.0,!=2.1,<3"))
    assert text == "demo >=2.0, !=2.1, <3 ; python_version > '3'"


def test_hashes_are_those_of_the_new_version_one_a_line_as_before() -> None:
    old = "demo==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via x\nother==1.0 --hash=sha256:cc\n"
    new = changed(old, hashes=("sha256:11", "sha256:22", "sha256:33"))
    assert new == (
        "demo==2.0 \\\n    --hash=sha256:11 \\\n    --hash=sha256:22 \\\n    --hash=sha256:33\n"
        "    # via x\nother==1.0 --hash=sha256:cc\n"
    )


def test_one_hash_becomes_several_on_lines_like_its_own() -> None:
    new = changed("demo==1.0 \\\n  --hash=sha256:aa\n", hashes=("sha256:11", "sha256:22"))
    assert new == "demo==2.0 \\\n  --hash=sha256:11 \\\n  --hash=sha256:22\n"
    assert changed("demo==1.0 --hash sha256:aa\n", hashes=("sha256:11", "sha256:22")) == (
        "demo==2.0 --hash=sha256:11 --hash=sha256:22\n"
    )


def test_new_lines_go_to_the_end_with_the_files_own_line_endings() -> None:
    assert edit_lines("a==1\r\nb==2", [], ["c==3"], path="r.txt") == "a==1\r\nb==2\r\nc==3\r\n"
