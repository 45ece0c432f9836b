"""The examples of pre-commit, GitHub, GitLab and cibuildwheel in docs/ci.md and the README work as described."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import environment, ftaudit
from support.distributions import wheel
from support.uv_locks import uv_lock

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "ci.md"
LOCK = uv_lock({"fast": "cp314-cp314-win32"})


def block(page: Path, heading: str, language: str) -> str:
    """Return the first fenced block of a language below a heading."""
    section = re.split(r"^## ", page.read_text("utf-8"), flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(f"{heading}\n")]
    found = re.search(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def obeys(text: str, schema: str, folder: Path) -> None:
    (folder / "shown.yml").write_text(text)
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, folder / "shown.yml"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_workflows_obey_githubs_schema_and_their_inputs_and_outputs_exist(tmp_path: Path) -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    inputs: dict[str, Any] = action["inputs"]
    for page, heading in ((PAGE, "GitHub"), (ROOT / "docs" / "commands" / "watch.md", "A scheduled workflow")):
        text = block(page, heading, "yaml")
        obeys(text, "vendor.github-workflows", tmp_path)
        (job,) = yaml.safe_load(text)["jobs"].values()
        used = [step["with"] for step in job["steps"] if "ftaudit" in step.get("uses", "")]
        assert used and all(set(given) <= set(inputs) for given in used)
        assert set(re.findall(r"steps\.watch\.outputs\.([\w-]+)", text)) <= set(action["outputs"])
    table = re.findall(r"^\| `([\w-]+)` \|.*\| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    told = {name: default for name, default in table if not name.startswith("ftaudit-")}
    assert set(told) == set(inputs)
    for name, given in inputs.items():
        if given["default"]:
            assert told[name] == f"`{given['default']}`"


def test_the_gitlab_job_obeys_its_schema_and_makes_the_reports_that_it_names(tmp_path: Path) -> None:
    text = block(PAGE, "GitLab", "yaml")
    obeys(text, "vendor.gitlab-ci", tmp_path)
    (job,) = yaml.safe_load(text).values()
    install, command = job["script"]
    assert install == "pip install 'ftaudit[binary]'"
    (tmp_path / "uv.lock").write_text(LOCK)
    program, *arguments = shlex.split(command)
    assert program == "ftaudit"
    ran = ftaudit(*arguments, cwd=tmp_path, env={"HTTPS_PROXY": "http://127.0.0.1:9"})
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert set(job["artifacts"]["reports"]) == {"junit", "codequality"}
    suites = ElementTree.parse(tmp_path / job["artifacts"]["reports"]["junit"]).getroot()
    assert suites.attrib["failures"] == "1"
    (issue,) = json.loads((tmp_path / job["artifacts"]["reports"]["codequality"]).read_text("utf-8"))
    assert issue["location"] == {"path": "uv.lock", "lines": {"begin": 10}}


@pytest.mark.parametrize(
    ("identifier", "selected"),
    [
        ("cp314t-manylinux_x86_64", True),
        ("cp315t-win_arm64", True),
        ("cp314-manylinux_x86_64", False),
        ("cp315-macosx_arm64", False),
    ],
)
def test_cibuildwheel_audits_the_builds_of_every_free_threaded_version(identifier: str, selected: bool) -> None:
    (override,) = tomllib.loads(block(PAGE, "cibuildwheel", "toml"))["tool"]["cibuildwheel"]["overrides"]
    assert fnmatch.fnmatchcase(identifier, override["select"]) is selected


def test_the_audit_command_of_cibuildwheel_judges_the_wheel_that_it_is_given(tmp_path: Path) -> None:
    (override,) = tomllib.loads(block(PAGE, "cibuildwheel", "toml"))["tool"]["cibuildwheel"]["overrides"]
    good = wheel("fast", "1.0", tag="cp314-cp314t-manylinux_2_17_x86_64")
    for name, data, code in ((good.filename, good.data, 0), (f"x{good.filename}", good.data[:-30], 1)):
        (tmp_path / name).write_bytes(data)
        command = override["audit-command"].replace("{wheel}", shlex.quote(str(tmp_path / name)))
        ran = subprocess.run(
            f"{shlex.quote(sys.executable)} -m {command}",
            shell=True,
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == code, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("page", "heading"), [(PAGE, "pre-commit"), (ROOT / "README.md", "Keep it in your repository")]
)
def test_the_hooks_that_are_shown_exist(page: Path, heading: str) -> None:
    (repo,) = yaml.safe_load(block(page, heading, "yaml"))["repos"]
    known = {hook["id"] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))}
    assert {hook["id"] for hook in repo["hooks"]} <= known
