"""Runs a composite action as GitHub's runner does: its `run` steps in bash, its `uses` steps recorded.

Expressions are those that our action uses, and no others: a new one fails until the runner knows it.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_HASH_FILES = re.compile(r"hashFiles\((.*)\)")


@dataclass(kw_only=True)
class Ran:
    """The result of running the action."""

    code: int = 0
    """Of the first step that failed."""
    failed: str | None = None
    logs: dict[str, str] = field(default_factory=dict)
    """Standard output and error by the step's name."""
    used: dict[str, dict[str, str]] = field(default_factory=dict)
    """`with` of each `uses` step that would have run, by what it uses."""
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""

    @property
    def log(self) -> str:
        return "\n".join(self.logs.values())


def run_action(action: Path, workspace: Path, temp: Path, inputs: Mapping[str, str], env: Mapping[str, str]) -> Ran:
    """Run the action of a folder in a workspace; inputs that it does not declare are an error."""
    document: dict[str, Any] = yaml.safe_load((action / "action.yml").read_text("utf-8"))
    declared = document["inputs"]
    assert set(inputs) <= set(declared)
    context = {f"inputs.{name}": str(inputs.get(name, each.get("default", ""))) for name, each in declared.items()}
    context |= {"runner.temp": str(temp), "runner.os": "Linux", "github.action_path": str(action)}
    context |= {"github.workflow": "Watch", "github.job": "news", "github.run_id": "7", "github.run_attempt": "1"}
    ran = Ran()
    for number, step in enumerate(document["runs"]["steps"]):
        if not _holds(step.get("if"), context, workspace):
            continue
        name = step["name"]
        if "uses" in step:
            # Without the commit that it is pinned by.
            ran.used[step["uses"].partition("@")[0]] = {
                key: _filled(value, context, workspace) for key, value in step["with"].items()
            }
            continue
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], f"{name}: an expression in a script is an injection"
        files = {key: temp / f"{key}.{number}" for key in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV")}
        for file in files.values():
            file.write_text("")
        script = temp / f"step{number}.sh"
        script.write_text(step["run"])
        given = {key: _filled(str(value), context, workspace) for key, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
            cwd=workspace / _filled(step.get("working-directory", "."), context, workspace),
            env={**env, **{key: str(file) for key, file in files.items()}, **given, "CI": "true"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=600,
            check=False,
        )
        ran.logs[name] = done.stdout
        ran.summary += files["GITHUB_STEP_SUMMARY"].read_text("utf-8")
        for line in files["GITHUB_OUTPUT"].read_text("utf-8").splitlines():
            key, _, value = line.partition("=")
            context[f"steps.{step.get('id')}.outputs.{key}"] = value
        if done.returncode:
            ran.code, ran.failed = done.returncode, name
            break
    ran.outputs = {
        name: _filled(each["value"], context, workspace) for name, each in document.get("outputs", {}).items()
    }
    return ran


def _filled(text: str, context: Mapping[str, str], workspace: Path) -> str:
    return _EXPRESSION.sub(lambda match: _value(match[1], context, workspace), text)


def _value(expression: str, context: Mapping[str, str], workspace: Path) -> str:
    if expression.startswith("'"):
        return expression.strip("'")
    if match := _HASH_FILES.fullmatch(expression):
        digest = hashlib.sha256()
        for pattern in re.findall(r"'([^']*)'", match[1]):
            for path in sorted(workspace.glob(pattern)):
                digest.update(path.read_bytes())
        return digest.hexdigest()
    if expression.startswith("steps."):
        return context.get(expression, "")
    return context[expression]


def _holds(condition: str | None, context: Mapping[str, str], workspace: Path) -> bool:
    if condition is None:
        return True
    left, operator, right = re.fullmatch(r"(\S+) (==|!=) ('.*')", condition).groups()  # type: ignore[union-attr]
    same = _value(left, context, workspace) == _value(right, context, workspace)
    return same is (operator == "==")


def obeyed(log: str) -> list[str]:
    """Return the lines of a log that a runner obeys: nothing between a `stop-commands` and its token."""
    found = []
    token: str | None = None
    for line in log.splitlines():
        stripped = line.strip()
        if token is not None:
            token = None if stripped == f"::{token}::" else token
        elif stripped.startswith("::stop-commands::"):
            token = stripped.removeprefix("::stop-commands::")
        elif stripped.startswith("::") or "##[" in line:
            found.append(line)
    return found
