"""The project's own name in its extras and groups is the project, and not a package of that name on an index."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.selection import select, write

from ftaudit.errors import UsageError
from ftaudit.lockfiles import read

PROJECT = """
[project]
name = "Spam_Eggs"
version = "1"
dependencies = ["six==1.17.0"]
[project.optional-dependencies]
tests = ["idna==3.10"]
all = ["spam-eggs[tests]", "attrs==25.1.0"]
windows = ["colorama==0.4.6"]
[dependency-groups]
dev = ["spam.eggs[tests]"]
everything = ["spam-eggs[all]", {include-group = "Group_A"}]
Group_A = ["spam-eggs[windows] ; sys_platform == 'win32'"]
wrong = ["spam-eggs[none]"]
"""


@pytest.mark.parametrize(
    ("group", "platform", "names"),
    [
        ("dev", "linux-x86_64", {"six", "idna"}),
        ("everything", "linux-x86_64", {"six", "idna", "attrs"}),
        ("group-a", "linux-x86_64", {"six"}),
        ("group-a", "windows-amd64", {"six", "colorama"}),
    ],
)
def test_a_group_that_names_the_project_takes_its_extras(
    tmp_path: Path, group: str, platform: str, names: set[str]
) -> None:
    found = select(write(tmp_path, "pyproject.toml", PROJECT), platform, no_deps=True, groups=[group])
    assert {pin.name for pin in found.pins} == names


def test_an_extra_that_the_project_does_not_have_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no extra named 'none'"):
        read(write(tmp_path, "pyproject.toml", PROJECT), groups=["wrong"])


def test_groups_that_were_read_are_not_said_to_be_left_out(tmp_path: Path) -> None:
    found = read(write(tmp_path, "pyproject.toml", PROJECT), groups=["everything"])
    assert set(found.left_out) == {"group dev", "group wrong"}


PDM = """
[metadata]
groups = ["default", "dev"]
strategy = ["inherit_metadata"]
lock_version = "4.5.0"

[[package]]
name = "six"
version = "1.17.0"
groups = ["default"]
files = [{file = "six-1.17.0-py2.py3-none-any.whl", hash = "sha256:00"}]

[[package]]
name = "idna"
version = "3.10"
groups = ["dev"]
files = [{file = "idna-3.10-py3-none-any.whl", hash = "sha256:00"}]
"""


def test_a_lock_whose_group_names_the_project_misses_nothing(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", PROJECT)
    found = select(write(tmp_path, "pdm.lock", PDM), groups=["dev"])
    assert {pin.name for pin in found.pins} == {"six", "idna"}
    assert not [text for text in found.incomplete if "spam" in text]
