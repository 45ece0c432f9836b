"""The name of a local project of the input means that project, not a package of an index."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command import check
from support.selection import write

NOWHERE = "--index-url http://127.0.0.1:9/simple\n"
PROJECT = """[project]
name = "{name}"
version = "1"
dependencies = [{needs}]
[project.optional-dependencies]
extra = [{extra}]
[build-system]
requires = ["{backend}"]
build-backend = "{backend}.{module}"
{more}
"""


def project(
    folder: Path, name: str, needs: str = "", extra: str = "", backend: str = "flit_core", more: str = ""
) -> None:
    module = "buildapi" if backend == "flit_core" else "build"
    text = PROJECT.format(name=name, needs=needs, extra=extra, backend=backend, module=module, more=more)
    write(folder / name.lower(), "pyproject.toml", text)


@pytest.mark.parametrize(
    "text",
    ["-e ./app\n-e ./lib_b\n", "-e ./lib_b\n-e ./app\n", "./lib_b\nLib.B[extra]\n./app\n"],
)
def test_a_project_that_another_one_needs_is_the_local_one_with_its_extras(tmp_path: Path, text: str) -> None:
    for name, needs, extra in (("app", '"lib-b[extra]>=1"', ""), ("Lib_B", "", '"lib-c"'), ("lib-c", "", "")):
        project(tmp_path, name, needs, extra)
    (tmp_path / "r.txt").write_text(f"{NOWHERE}{text}-e ./lib-c\n")
    answer = check("--static", "r.txt", cwd=tmp_path)
    assert (answer.code, answer.verdicts) == (0, dict.fromkeys(("app", "lib-b", "lib-c"), "pure"))
    assert ["app", "lib-b", "lib-c"] in answer.rows["lib-c"]["required_by"]


def test_a_project_whose_build_may_compile_something_is_not_called_pure(tmp_path: Path) -> None:
    hook = "[tool.hatch.build.targets.wheel.hooks.{0}]\ndependencies = []\n"
    for name, hook_name in (("plain", ""), ("compiled", "mypyc"), ("dated", "vcs"), ("own", "custom")):
        project(tmp_path, name, backend="hatchling", more=hook.format(hook_name) if hook_name else "")
    write(tmp_path / "script", "setup.py", "from setuptools import setup\nfrom parts import *\nsetup(name='script')\n")
    write(tmp_path / "script", "parts.py", "from mypyc.build import mypycify\n")
    write(tmp_path / "old", "setup.py", "from setuptools import setup\nprint 'old'\nsetup(name='old')\n")
    names = ("plain", "compiled", "dated", "own", "script", "old")
    (tmp_path / "r.txt").write_text(NOWHERE + "".join(f"./{name}\n" for name in names))
    answer = check("--static", "--no-deps", "r.txt", cwd=tmp_path)
    pure = {"plain", "dated"}
    assert (answer.code, answer.verdicts) == (3, {name: "pure" if name in pure else "unknown" for name in names})
