"""Mutually exclusive choices of a uv workspace, and its members, as in `uv export`."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command import check
from support.selection import by_name, select, write

REGISTRY = 'source = { registry = "https://index.example/simple" }'
PURE = 'wheels = [{{ url = "https://files.example/{0}-{1}-py3-none-any.whl" }}]'


def package(name: str, version: str, more: str = "") -> str:
    wheels = PURE.format(name.replace("-", "_"), version)
    return f'[[package]]\nname = "{name}"\nversion = "{version}"\n{REGISTRY}\n{wheels}\n{more}\n'


HEAD = """
version = 1
revision = 3
requires-python = ">=3.12"
conflicts = [[{0}]]

[manifest]
members = ["member-a", "member-b", "root-x"]
"""
MEMBERS = """
[[package]]
name = "member-a"
version = "1.0"
source = { virtual = "a" }
dependencies = [
    { name = "pyyaml", marker = "extra == 'project-8-member-a'" },
    { name = "sorted", version = "2.3.0", marker = "extra == 'project-8-member-a'" },
]

[[package]]
name = "member-b"
version = "1.0"
source = { virtual = "b" }
dependencies = [{ name = "sorted", version = "2.4.0", marker = "extra == 'project-8-member-b'" }]

[package.optional-dependencies]
fast = [{ name = "orjson", marker = "extra == 'extra-8-member-b-fast'" }]

[[package]]
name = "root-x"
version = "0.1.0"
source = { virtual = "." }
dependencies = [{ name = "six" }]
"""
LOCKED = "\n".join(
    (
        package("pyyaml", "6.0.2"),
        package("orjson", "3.11.4"),
        package("six", "1.17.0"),
        package("sorted", "2.3.0"),
        package("sorted", "2.4.0"),
    )
)


def versions(path: Path, **chosen: object) -> list[tuple[str, str]]:
    return [(pin.name, str(pin.version)) for pin in select(path, **chosen).pins]  # type: ignore[arg-type]


def test_members_that_exclude_each_other_are_judged_apart(tmp_path: Path) -> None:
    text = HEAD.format('{ package = "member-a" }, { package = "member-b" }') + MEMBERS + LOCKED
    path = write(tmp_path, "uv.lock", text)
    assert versions(path) == [("pyyaml", "6.0.2"), ("six", "1.17.0"), ("sorted", "2.3.0"), ("sorted", "2.4.0")]
    found = select(path, extras=["fast"])
    assert "orjson" in by_name(found)
    assert any("exclude each other" in note for note in found.notes)


EXTRAS = """
version = 1
requires-python = ">=3.12"
conflicts = [[{ package = "app", extra = "cpu" }, { package = "app", extra = "gpu" }]]

[[package]]
name = "app"
version = "1"
source = { editable = "." }
dependencies = [{ name = "six" }]

[package.optional-dependencies]
cpu = [{ name = "torch", version = "1.0", marker = "extra == 'extra-3-app-cpu'" }]
gpu = [
    { name = "torch", version = "2.0", marker = "extra == 'extra-3-app-gpu'" },
    { name = "cuda", marker = "extra == 'extra-3-app-gpu'" },
]

[package.dev-dependencies]
dev = [{ name = "app", extra = ["gpu"] }]
"""
WHEELS = package("six", "1") + package("cuda", "1") + package("torch", "1.0") + package("torch", "2.0")


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, [("six", "1")]),
        ({"extras": ["cpu"]}, [("six", "1"), ("torch", "1.0")]),
        ({"extras": ["gpu"]}, [("cuda", "1"), ("six", "1"), ("torch", "2.0")]),
        ({"all_extras": True}, [("cuda", "1"), ("six", "1"), ("torch", "1.0"), ("torch", "2.0")]),
        ({"groups": ["dev"]}, [("cuda", "1"), ("six", "1"), ("torch", "2.0")]),
    ],
)
def test_extras_that_exclude_each_other_are_judged_apart(
    tmp_path: Path, chosen: dict[str, object], expected: list[tuple[str, str]]
) -> None:
    assert versions(write(tmp_path, "uv.lock", EXTRAS + WHEELS), **chosen) == expected


WORKSPACE = """
version = 1
requires-python = ">=3.12"

[manifest]
members = ["app", "core-ext", "plain"]

[[package]]
name = "app"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "core-ext" }]

[[package]]
name = "core-ext"
version = "1.0"
source = { editable = "core" }

[[package]]
name = "plain"
version = "1.0"
source = { editable = "plain" }
dependencies = [{ name = "six" }]
"""
SETUP = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n[project]\nname = "x"\n'


@pytest.mark.parametrize("source", ["core_ext.c", "src/lib.rs", "core/_speed.pyx"])
def test_a_compiled_member_of_the_workspace_is_a_row(tmp_path: Path, source: str) -> None:
    write(tmp_path, "core/pyproject.toml", SETUP)
    write(tmp_path, f"core/{source}", "")
    write(tmp_path, "plain/pyproject.toml", SETUP)
    write(tmp_path, "plain/plain.py", "")
    write(tmp_path, "uv.lock", WORKSPACE + package("six", "1"))
    answer = check("--static", "--offline", "--platform", "linux-x86_64", "uv.lock", cwd=tmp_path)
    assert answer.verdicts == {"core-ext": "unknown", "six": "pure"}
    assert answer.code == 3


def test_groups_of_a_workspace_without_a_project_count(tmp_path: Path) -> None:
    head = 'version = 1\nrequires-python = ">=3.12"\n\n[manifest.dependency-groups]\ndev = [{ name = "six" }]\n\n'
    path = write(tmp_path, "uv.lock", head + package("six", "1"))
    assert versions(path) == []
    assert versions(path, groups=["dev"]) == [("six", "1")]
