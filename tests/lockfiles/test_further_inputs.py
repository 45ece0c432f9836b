"""Further inputs: scripts, setuptools' files, tox, Hatch, standard input, lists in JSON, SBOMs, pixi and conda-lock."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import environment, ftaudit
from support.selection import FIXTURES, by_name, select, write

from ftaudit.errors import InputError
from ftaudit.lockfiles import find_input, find_others, read

SCRIPT = (
    "#!/usr/bin/env python\n# /// script\n# requires-python = '>=3.12'\n# dependencies = [{}]\n# ///\nimport idna\n"
)
SETUP_CFG = """
[metadata]
name = old
[options]
install_requires =
    idna==3.10
    six==1.17.0 ; sys_platform == 'win32'
[options.extras_require]
fast = orjson==3.11.4
"""
TOX = """
[tox]
env_list = py314, lint
[base]
deps = attrs==25.1.0
[testenv]
deps =
    {[base]deps}
    idna==3.10  # a comment
    django: six==1.17.0
    -r {toxinidir}/more.txt
[testenv:lint]
deps = ruff==0.9.0
[testenv:py314-django]
"""
PIP_LIST = [
    {"name": "idna", "version": "3.10"},
    {"name": "Spam_Eggs", "version": "1", "editable_project_location": "."},
]
INSPECT = {
    "version": "1",
    "pip_version": "25.0",
    "installed": [
        {"metadata": {"name": "app", "version": "1", "requires_dist": ["idna>=3"]}, "requested": True},
        {"metadata": {"name": "idna", "version": "3.10"}},
    ],
    "environment": {},
}
REPORT = {"version": "1", "pip_version": "25.0", "install": [{"metadata": {"name": "idna", "version": "3.10"}}]}
CYCLONEDX = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "components": [
        {"bom-ref": "a", "type": "library", "name": "idna", "version": "3.10", "purl": "pkg:pypi/idna@3.10"},
        {"bom-ref": "b", "purl": "pkg:pypi/zope.interface@7.2?x=y", "components": [{"purl": "pkg:pypi/six@1.17.0"}]},
        {"bom-ref": "c", "purl": "pkg:npm/left-pad@1.0"},
    ],
    "dependencies": [{"ref": "b", "dependsOn": ["a", "c"]}],
}
SPDX = {
    "spdxVersion": "SPDX-2.3",
    "packages": [
        {"SPDXID": "p", "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:pypi/idna@3.10"}]},
        {"SPDXID": "q", "versionInfo": "1", "externalRefs": [{"referenceLocator": "pkg:pypi/six"}]},
        {"SPDXID": "r", "name": "openssl"},
    ],
    "relationships": [{"spdxElementId": "q", "relatedSpdxElement": "p", "relationshipType": "DEPENDS_ON"}],
}
SPDX_3 = {
    "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
    "@graph": [{"type": "software_Package", "spdxId": "x", "software_packageUrl": "pkg:pypi/idna@3.10"}],
}
PIXI = """
version: 6
environments:
  default:
    channels: [{url: https://conda.example/forge/}]
    packages:
      linux-64:
      - conda: https://conda.example/forge/linux-64/python-3.14.0-h1_0_cp314t.conda
      - conda: https://conda.example/forge/linux-64/numpy-2.3.1-py314_0.conda
      - pypi: https://files.example/idna-3.10-py3-none-any.whl
      win-64:
      - pypi: https://files.example/six-1.17.0-py2.py3-none-any.whl
  docs:
    packages:
      linux-64:
      - pypi: https://files.example/attrs-25.1.0-py3-none-any.whl
packages:
- conda: https://conda.example/forge/linux-64/numpy-2.3.1-py314_0.conda
  sha256: aa
- pypi: https://files.example/idna-3.10-py3-none-any.whl
  name: idna
  version: '3.10'
  sha256: aa
- pypi: https://files.example/six-1.17.0-py2.py3-none-any.whl
  name: six
  version: 1.17.0
"""
PIXI_SOURCES = """
version: 7
environments:
  default:
    channels:
    - url: https://conda.example/
    packages:
      {platform}:
      - conda_source: cpp_math[3a644c82] @ .
      - pypi: https://files.example/idna-3.10-py3-none-any.whl
packages:
- conda_source: cpp_math[3a644c82] @ .
  version: 0.1.0
- pypi: https://files.example/idna-3.10-py3-none-any.whl
  name: idna
  version: '3.10'
"""
"""The entry that pixi writes for a package that is built from source."""
CONDA_LOCK = """
version: 1
metadata: {}
package:
- {name: numpy, version: 2.3.1, manager: conda, platform: linux-64, category: main, url: https://conda.example/numpy.conda}
- name: idna
  version: '3.10'
  manager: pip
  platform: linux-64
  category: main
  url: https://files.example/idna-3.10-py3-none-any.whl
  hash: {sha256: aa}
- {name: six, version: 1.17.0, manager: pip, platform: osx-arm64, category: main, url: https://files.example/six-1.17.0-py3-none-any.whl}
- {name: ruff, version: 0.9.0, manager: pip, platform: linux-64, category: dev, url: https://files.example/ruff-0.9.0-py3-none-any.whl}
"""


def names(path: Path, platform: str = "linux-x86_64", **chosen: object) -> set[str]:
    return {str(pin.name) for pin in select(path, platform, no_deps=True, **chosen).pins}  # type: ignore[arg-type]


def test_a_script_tells_what_it_needs(tmp_path: Path) -> None:
    assert names(write(tmp_path, "tool.py", SCRIPT.format("'idna==3.10', 'six'"))) == {"idna", "six"}
    assert names(write(tmp_path, "none.py", SCRIPT.format(""))) == set()
    for text, told in (("import os\n", "no metadata block"), (SCRIPT.format("'a"), "not valid TOML")):
        with pytest.raises(InputError, match=told):
            read(write(tmp_path, "bad.py", text))


def test_the_lock_of_a_script_is_read_in_its_place_and_may_be_stale(tmp_path: Path) -> None:
    lock = (
        'version = 1\nrequires-python = ">=3.12"\n'
        '[manifest]\nrequirements = [{ name = "idna", specifier = "==3.10" }]\n'
        '[[package]]\nname = "idna"\nversion = "3.10"\nsource = { registry = "https://index.example/simple" }\n'
        'wheels = [{ url = "https://files.example/idna-3.10-py3-none-any.whl" }]\n'
    )
    write(tmp_path, "tool.py.lock", lock)
    found = select(write(tmp_path, "tool.py", SCRIPT.format("'idna==3.10'")))
    assert ([pin.name for pin in found.pins], found.incomplete) == (["idna"], ())
    found = select(write(tmp_path, "tool.py", SCRIPT.format("'idna==3.10', 'six'")))
    assert "is out of date" in found.incomplete[0]


def test_setup_cfg_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "setup.cfg", SETUP_CFG)
    assert names(path) == {"idna"}
    assert names(path, "windows-amd64", extras=["fast"]) == {"idna", "six", "orjson"}
    assert read(path).left_out == ("extra fast",)
    write(tmp_path, "pyproject.toml", '[build-system]\nrequires = ["setuptools"]\n')
    assert names(tmp_path / "pyproject.toml") == {"idna"}
    assert find_input(tmp_path).name == "pyproject.toml"


def test_literals_of_setup_py_are_read_and_nothing_is_run(tmp_path: Path) -> None:
    canary = f"open({str(tmp_path / 'canary')!r}, 'w')\n"
    text = f"{canary}NEEDS = ['idna==3.10']\nfrom setuptools import setup\nsetup(name='x', install_requires=NEEDS)\n"
    assert names(write(tmp_path, "setup.py", text)) == {"idna"}
    computed = text.replace("=NEEDS", "=read_them()")
    (row,) = select(write(tmp_path, "setup.py", computed), no_deps=True).pins
    assert "computes its dependencies" in (row.problem or "")
    assert not (tmp_path / "canary").exists()


DYNAMIC = '[project]\nname = "x"\nversion = "1"\ndynamic = ["dependencies", "optional-dependencies"]\n'


@pytest.mark.parametrize(
    "more",
    [
        '[tool.setuptools.dynamic]\ndependencies = { file = ["needs.txt"] }\n'
        'optional-dependencies.fast = { file = "fast.txt" }\n',
        '[tool.hatch.metadata.hooks.requirements_txt]\nfiles = ["needs.txt"]\n'
        '[tool.hatch.metadata.hooks.requirements_txt.optional-dependencies]\nfast = ["fast.txt"]\n',
    ],
)
def test_dependencies_that_stand_in_files_are_read(tmp_path: Path, more: str) -> None:
    write(tmp_path, "needs.txt", "idna==3.10\n")
    write(tmp_path, "fast.txt", "orjson==3.11.4\n")
    path = write(tmp_path, "pyproject.toml", DYNAMIC + more)
    assert names(path) == {"idna"}
    assert names(path, extras=["fast"]) == {"idna", "orjson"}


def test_environments_of_hatch_are_chosen_like_groups(tmp_path: Path) -> None:
    text = '[project]\nname = "x"\nversion = "1"\ndependencies = ["idna==3.10"]\n[tool.hatch.envs.docs]\n'
    path = write(tmp_path, "pyproject.toml", f'{text}dependencies = ["six==1.17.0"]\n')
    write(tmp_path, "hatch.toml", '[envs.test]\nextra-dependencies = ["attrs==25.1.0"]\n')
    assert names(path) == {"idna"}
    assert names(path, groups=["docs", "test"]) == {"idna", "six", "attrs"}
    assert "group docs" in read(path).left_out


def test_the_dependencies_of_tox_environments_are_read(tmp_path: Path) -> None:
    write(tmp_path, "more.txt", "packaging==25.0\n")
    path = write(tmp_path, "tox.ini", TOX)
    assert names(path) == {"attrs", "idna", "packaging"}
    assert names(path, groups=["lint", "py314-django"]) == {"attrs", "idna", "packaging", "ruff", "six"}
    toml = write(tmp_path, "tox.toml", '[env_run_base]\ndeps = ["idna==3.10"]\n[env.lint]\ndeps = ["ruff==0.9.0"]\n')
    assert names(toml, groups=["lint"]) == {"idna", "ruff"}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (PIP_LIST, {"idna", "spam-eggs"}),
        ([], set()),
        (INSPECT, {"app", "idna"}),
        (REPORT, {"idna"}),
        (CYCLONEDX, {"idna", "zope-interface", "six"}),
        (SPDX, {"idna", "six"}),
        (SPDX_3, {"idna"}),
    ],
)
def test_lists_of_packages_in_json_are_read(tmp_path: Path, document: object, expected: set[str]) -> None:
    for name in ("list.json", "bom.cdx.json", "packages"):
        assert set(by_name(select(write(tmp_path, name, json.dumps(document, indent=1))))) == expected


NEEDED = {"anyio", "certifi", "h11", "httpcore", "httpx", "idna", "typing-extensions", "zope-interface"}
"""The requirements of the environment and the project that `scripts/make_lock_fixtures.py` makes."""


@pytest.mark.parametrize(
    ("name", "more", "knows_edges"),
    [
        ("pip-list.json", {"pip"}, False),
        ("pip-inspect.json", {"pip"}, True),
        ("pip-report.json", set(), True),
        ("cyclonedx-py.json", {"pip"}, True),
        ("uv.cdx.json", set(), True),
    ],
)
def test_what_the_tools_themselves_write_is_read(name: str, more: set[str], knows_edges: bool) -> None:
    found = select(FIXTURES / "records" / name)
    pins = by_name(found)
    assert set(pins) == NEEDED | more
    assert str(pins["httpx"].version) == "0.28.1" and not found.incomplete
    assert any(chain[0] == "httpx" for chain in pins["h11"].required_by) is knows_edges


def test_the_lock_that_uv_makes_of_a_script_is_read_in_its_place() -> None:
    found = select(FIXTURES / "script" / "tool.py")
    assert {str(pin.name) for pin in found.pins} == NEEDED - {"zope-interface"}
    assert not found.incomplete
    assert "colorama" in by_name(select(FIXTURES / "script" / "tool.py", "windows-amd64"))


def test_who_needs_whom_is_kept_of_a_list_that_says_it(tmp_path: Path) -> None:
    found = by_name(select(write(tmp_path, "bom.json", json.dumps(CYCLONEDX))))
    assert ("zope-interface", "idna") in found["idna"].required_by
    found = by_name(select(write(tmp_path, "inspect.json", json.dumps(INSPECT))))
    assert ("app", "idna") in found["idna"].required_by


@pytest.mark.parametrize(
    "document",
    [{"x": 1}, [{"name": 3}], {"bomFormat": "CycloneDX", "components": [3]}, [{"name": "!!", "version": "1"}], [[]]],
)
def test_json_of_another_kind_is_an_error_that_says_so(tmp_path: Path, document: object) -> None:
    with pytest.raises(InputError, match=r"not in a format that ftaudit supports|is malformed"):
        read(write(tmp_path, "x.json", json.dumps(document)))


@pytest.mark.parametrize(("name", "text"), [("pixi.lock", PIXI), ("conda-lock.yml", CONDA_LOCK)])
def test_the_pypi_part_of_a_conda_lock_is_read_and_its_conda_part_is_said(tmp_path: Path, name: str, text: str) -> None:
    path = write(tmp_path, name, text)
    found = by_name(select(path, no_deps=True))
    assert set(found) == {"idna", "numpy"}
    assert found["idna"].problem is None
    assert "--env" in (found["numpy"].problem or "")
    assert "six" in names(path, "windows-amd64" if name == "pixi.lock" else "macos-arm64")
    assert names(path, groups=["docs" if name == "pixi.lock" else "dev"]) >= {
        "attrs" if name == "pixi.lock" else "ruff"
    }


def test_a_conda_lock_for_other_platforms_is_not_one_that_installs_nothing(tmp_path: Path) -> None:
    lock = PIXI_SOURCES.format(platform="win-64")
    found = select(write(tmp_path, "pixi.lock", lock))
    assert not found.pins and "is not locked for 3.14t on linux-x86_64" in found.incomplete[0]
    found = select(write(tmp_path, "pixi.lock", lock), "windows-amd64")
    assert [(pin.name, bool(pin.problem)) for pin in found.pins] == [("cpp-math", True), ("idna", False)]
    lock = CONDA_LOCK.replace("linux-64", "win-64").replace("osx-arm64", "win-64")
    assert "is not locked for 3.14t" in select(write(tmp_path, "conda-lock.yml", lock)).incomplete[0]


def test_a_pixi_lock_that_is_not_yaml_is_an_error_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pixi\.lock:3: this is not valid YAML: mapping values are not allowed"):
        read(write(tmp_path, "pixi.lock", "version: 6\npackages: []\na: b: c\n"))


@pytest.mark.parametrize(
    "text", ["x: [", "a: &a [1]\n<<: *a\n", "- 1\n", "version: 6\nenvironments: {default: 3}\npackages: []\n"]
)
def test_a_hostile_conda_lock_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        read(write(tmp_path, "pixi.lock", text))


@pytest.mark.parametrize("text", ["idna==3.10\n", json.dumps(PIP_LIST[:1]), "# pip freeze\nidna==3.10\n"])
def test_standard_input_is_read(tmp_path: Path, text: str) -> None:
    command = [sys.executable, "-m", "ftaudit", "check", "--static", "--offline", "--no-deps", "--format", "json", "-"]
    ran = subprocess.run(
        command, input=text, capture_output=True, text=True, cwd=tmp_path, env=environment(tmp_path), check=False
    )
    assert [row["name"] for row in json.loads(ran.stdout)["packages"]] == ["idna"], ran.stderr


def test_several_inputs_of_a_folder_are_named_with_the_one_that_is_taken(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", '[project]\nname = "x"\nversion = "1"\ndependencies = []\n')
    write(tmp_path, "requirements/base.txt", "")
    write(tmp_path, "requirements/production.txt", "")
    write(tmp_path, "requirements/dev.txt", "")
    others = [path.name for path in find_others(tmp_path, find_input(tmp_path))]
    assert others == ["production.txt", "base.txt", "dev.txt"]
    assert find_input(tmp_path / "requirements").name == "production.txt"
    ran = ftaudit("check", "--static", "--offline", cwd=tmp_path)
    assert "requirements/production.txt" in ran.stderr
    named = ftaudit("check", "--static", "--offline", ".", cwd=tmp_path)
    assert "requirements/production.txt" in "".join(named.stdout.split("\n"))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("bom.xml", "JSON"),
        ("sbom.spdx", "JSON"),
        ("pixi.toml", "pixi.lock"),
        ("noxfile.py", "group"),
        ("demo-1.0-py3-none-any.whl", "ftaudit wheel "),
        ("demo-1.0-py_0.conda", "ftaudit wheel "),
    ],
)
def test_what_is_not_supported_names_the_way(tmp_path: Path, name: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        read(write(tmp_path, name, "x"))
    assert hint in (caught.value.hint or "")
