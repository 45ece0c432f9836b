"""Lock files of conda's tools and compiled requirements that are older than what they were made from."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.selection import select, write


def why_stale(path: Path) -> str:
    return next((text for text in select(path, no_deps=True).incomplete if "out of date" in text), "")


PIXI_LOCK = """
version: 6
environments:
  default:
    channels: [{url: https://channel.example/conda-forge/}]
    packages:
      linux-64:
      - conda: https://channel.example/conda-forge/linux-64/pytorch-2.9.1-cpu_1.conda
      - conda: https://channel.example/conda-forge/linux-64/python-3.14.2-h1_0_cp314t.conda
      - pypi: https://files.example/six-1.17.0-py2.py3-none-any.whl
packages:
- conda: https://channel.example/conda-forge/linux-64/pytorch-2.9.1-cpu_1.conda
  purls: [pkg:pypi/torch]
- conda: https://channel.example/conda-forge/linux-64/python-3.14.2-h1_0_cp314t.conda
- pypi: https://files.example/six-1.17.0-py2.py3-none-any.whl
  name: six
  version: 1.17.0
"""
PIXI = """
[workspace]
name = "app"
channels = ["conda-forge"]
platforms = ["linux-64"]
[dependencies]
python = ">=3.14,<3.15"
pytorch = {{ version = ">=2.9" }}
[pypi-dependencies]
six = ">=1.16"
torch = "*"
[feature.docs.dependencies]
sphinx = "*"
[target.win-64.dependencies]
pywin32 = "*"
{0}
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", ""),
        ('six = ">=1.16"', 'six = ">=2"', "asks for six>=2, but 1.17.0 is locked"),
        ('six = ">=1.16"', 'idna = "*"', "asks for idna, which is not locked"),
        ("<3.15", "<3.14", "asks for python>=3.14,<3.14, but 3.14.2 is locked"),
        ('">=2.9"', '"2.8.*"', "asks for pytorch 2.8.*, but 2.9.1 is locked"),
        ('["linux-64"]', '["linux-64", "osx-arm64"]', "also lists osx-arm64"),
        ("{0}", '[environments]\ndocs = ["docs"]', "has the environment docs, which is not locked"),
        ("{0}", '[environments]\ndefault = ["docs"]', "asks for sphinx, which is not locked"),
        ("target.win-64", "target.unix", "asks for pywin32, which is not locked"),
    ],
)
def test_a_pixi_lock_is_compared_with_its_manifest(tmp_path: Path, old: str, new: str, expected: str) -> None:
    path = write(tmp_path, "pixi.lock", PIXI_LOCK)
    text = (PIXI.replace(old, new.replace("{", "{{")) if old else PIXI).replace("{0}", "")
    write(tmp_path, "pixi.toml", text.replace("{{", "{").replace("}}", "}"))
    assert expected in why_stale(path) if expected else not why_stale(path)


def test_a_pixi_project_in_pyproject_is_compared_too(tmp_path: Path) -> None:
    path = write(tmp_path, "pixi.lock", PIXI_LOCK)
    head = '[project]\nname = "app"\nversion = "1"\ndependencies = ["six>=1", "TORCH"{0}]\n'
    tail = '[tool.pixi.workspace]\nchannels = []\nplatforms = ["linux-64"]\n'
    write(tmp_path, "pyproject.toml", head.format("") + tail)
    assert not why_stale(path)
    write(tmp_path, "pyproject.toml", head.format(', "orjson"') + tail)
    assert "asks for orjson, which is not locked" in why_stale(path)
    write(tmp_path, "pyproject.toml", head.format(', "orjson"'))
    assert not why_stale(path), "it is not pixi's"


CONDA_LOCK = """
version: 1
metadata:
  content_hash: {linux-64: 00}
  channels: []
  platforms: [linux-64]
  sources: [environment.yml]
package:
- {name: python, version: 3.14.2, manager: conda, platform: linux-64, category: main, url: "https://c.example/a.conda"}
- {name: numpy, version: 2.3.5, manager: conda, platform: linux-64, category: main, url: "https://c.example/b.conda"}
- name: six
  version: 1.17.0
  manager: pip
  platform: linux-64
  category: main
  url: https://files.example/six-1.17.0-py2.py3-none-any.whl
"""
ENVIRONMENT = """
channels: [conda-forge]
dependencies:
  - python>=3.14
  - conda-forge::numpy=2.3
  - pywin32  # [win]
  - pip:
    - six>=1
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", ""),
        ("numpy=2.3", "numpy>2", ""),
        ("numpy=2.3", "numpy=2.2", "asks for numpy=2.2, but 2.3.5 is locked"),
        ("numpy=2.3", "numpy>=3", "asks for numpy>=3, but 2.3.5 is locked"),
        ("python>=3.14", "python>=3.14\n  - scipy", "asks for scipy, which is not locked"),
        ("six>=1", "six>=2", "asks for six>=2, but 1.17.0 is locked"),
        ("six>=1", "idna", "asks for idna, which is not locked"),
    ],
)
def test_a_conda_lock_is_compared_with_its_environment_file(tmp_path: Path, old: str, new: str, expected: str) -> None:
    path = write(tmp_path, "conda-lock.yml", CONDA_LOCK)
    write(tmp_path, "environment.yml", ENVIRONMENT.replace(old, new) if old else ENVIRONMENT)
    assert expected in why_stale(path) if expected else not why_stale(path)


def test_a_conda_lock_from_another_kind_of_file_cannot_be_compared(tmp_path: Path) -> None:
    path = write(tmp_path, "conda-lock.yml", CONDA_LOCK.replace("environment.yml", "pyproject.toml"))
    assert not why_stale(path), "the file does not exist"
    write(tmp_path, "pyproject.toml", '[project]\nname = "app"\nversion = "1"\ndependencies = ["torch"]\n')
    assert why_stale(path).startswith(f"whether {path} is out of date")


COMPILED = """#
# This file is autogenerated by {tool}
# by the following command:
#
#    {command}
#
idna==3.11
    # via -r requirements/main.in
numpy==2.3.5 ; sys_platform != "win32"
    # via
    #   -r requirements/main.in
    #   pandas
"""
PIP_COMPILE = "pip-compile --output-file=requirements/main.txt requirements/main.in"
UV = "uv pip compile -c limits.txt requirements/main.in -o requirements/main.txt"


@pytest.mark.parametrize("command", [PIP_COMPILE, UV])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("idna\nnumpy>2\n", ""),
        ("-r more.in\nidna>=3\n", ""),
        ("idna\nnumpy\npip\nsetuptools\n", ""),
        ("idna\nnumpy\ncolorama; sys_platform == 'win32'\n", ""),
        ("idna\nnumpy\norjson>=3\n", "requirements/main.in asks for orjson>=3, which is not locked"),
        ("idna<3\nnumpy\n", "requirements/main.in asks for idna<3, but 3.11 is locked"),
        ("numpy\n", "requirements/main.in no longer asks for idna"),
    ],
)
def test_compiled_requirements_are_compared_with_their_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, text: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "limits.txt", "absent==1\n")
    write(tmp_path, "requirements/more.in", "numpy\n")
    write(tmp_path, "requirements/main.in", text)
    write(tmp_path, "requirements/main.txt", COMPILED.format(tool=command.partition(" ")[0], command=command))
    found = why_stale(Path("requirements/main.txt"))
    assert found == (f"requirements/main.txt is out of date: {expected}; run `{command}` again" if expected else "")


def test_compiled_requirements_whose_input_is_missing_or_malformed_are_judged_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path, "requirements/main.txt", COMPILED.format(tool="pip-compile", command=PIP_COMPILE))
    assert not why_stale(path)
    for text in ("a b c\n", "-r main.in\n", "-r absent.in\n"):
        write(tmp_path, "requirements/main.in", text)
        assert not why_stale(path)
    write(tmp_path, "requirements/main.in", "idna\nnumpy\n")
    for command in ("pip-compile 'requirements/main.in", "", "compile requirements/main.txt"):
        write(tmp_path, "requirements/main.txt", COMPILED.format(tool="pip-compile", command=command))
        assert not why_stale(path)


def test_compiled_requirements_of_a_project_are_compared_with_its_metadata(tmp_path: Path) -> None:
    text = COMPILED.format(tool="uv", command="uv pip compile --extra fast pyproject.toml -o requirements.txt")
    path = write(tmp_path, "requirements.txt", text)
    project = '[project]\nname = "app"\nversion = "1"\ndependencies = ["idna", "numpy"]\n'
    write(tmp_path, "pyproject.toml", f'{project}[project.optional-dependencies]\nfast = []\nother = ["orjson"]\n')
    assert not why_stale(path)
    write(tmp_path, "pyproject.toml", f'{project}[project.optional-dependencies]\nfast = ["orjson"]\n')
    assert "asks for orjson, which is not locked" in why_stale(path)
