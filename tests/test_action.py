"""The GitHub Action: its steps run as on a runner, with benign and hostile inputs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from support.actions import Ran, obeyed, run_action
from support.command import environment, network
from support.hostile import FILE_NAMES
from support.sarif_schema import LOG
from support.uv_locks import uv_lock

ROOT = Path(__file__).parents[1]
UPLOAD = "github/codeql-action/upload-sarif"
CACHE = "actions/cache"
NOWHERE = "http://127.0.0.1:9"
BLOCKED, READY, UNKNOWN = "cp314-cp314-win_amd64", "py3-none-any", "cp314-cp314t-manylinux_2_17_x86_64"
COUNTER = "_n = 0\ndef f():\n    global _n\n    _n += 1{}\n"


def test_the_action_obeys_the_schema_of_actions() -> None:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.github-actions",
        ROOT / "action.yml",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def temp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runner temp")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work space"
    (folder / ".git").mkdir(parents=True)
    return folder


def run(workspace: Path, temp: Path, **inputs: str) -> Ran:
    given = {name.replace("_", "-"): value for name, value in inputs.items()}
    return run_action(ROOT, workspace, temp, given, environment(temp, network()))


@pytest.mark.network
@pytest.mark.parametrize(
    ("tag", "fail_on", "code", "exit_code"),
    [
        (READY, "", 0, "0"),
        (BLOCKED, "", 1, "1"),
        (BLOCKED, "blocked", 1, "1"),
        (BLOCKED, "never", 0, "1"),
        (UNKNOWN, "", 3, "3"),
        (UNKNOWN, "unknown", 3, "3"),
        (UNKNOWN, "blocked", 0, "3"),
        (UNKNOWN, "never", 0, "3"),
    ],
)
def test_a_job_fails_for_what_it_is_told_to_fail_for_and_uploads_and_sums_up_in_any_case(
    tag: str, fail_on: str, code: int, exit_code: str, workspace: Path, temp: Path
) -> None:
    (workspace / "uv.lock").write_text(uv_lock({"fast": tag}, host=NOWHERE))
    ran = run(workspace, temp, fail_on=fail_on, platforms="linux-x86_64\n\n", paths="uv.lock\n")
    assert (ran.code, ran.outputs["exit-code"]) == (code, exit_code), ran.log
    assert ran.failed == ("Answer" if code else None)
    assert ran.summary.startswith("## ftaudit: ")
    log = json.loads(Path(ran.used[UPLOAD]["sarif_file"]).read_text("utf-8"))
    jsonschema.Draft202012Validator(LOG).validate(log)
    assert log["runs"][0]["invocations"][0]["exitCode"] == int(exit_code)
    told = [line for line in obeyed(ran.log) if not line.startswith("::error title=ftaudit::")]
    assert told == []


@pytest.mark.network
def test_the_cache_is_keyed_by_the_files_that_pin(workspace: Path, temp: Path) -> None:
    (workspace / "uv.lock").write_text(uv_lock({"fast": READY}, host=NOWHERE))
    (workspace / "notes.md").write_text("x")
    first = run(workspace, temp).used[CACHE]
    (workspace / "notes.md").write_text("y")
    assert run(workspace, temp).used[CACHE] == first
    (workspace / "uv.lock").write_text(uv_lock({"fast": BLOCKED}, host=NOWHERE))
    second = run(workspace, temp).used[CACHE]
    assert first["key"] != second["key"] and second["key"].startswith(second["restore-keys"])
    assert second["path"] == f"{temp}/ftaudit/cache"


@pytest.mark.network
def test_annotations_are_the_commands_of_the_log_and_nothing_is_uploaded(workspace: Path, temp: Path) -> None:
    (workspace / "sub").mkdir()
    (workspace / "sub" / "uv.lock").write_text(uv_lock({"fast": BLOCKED}, host=NOWHERE))
    ran = run(workspace, temp, format="github", platforms="linux-x86_64", working_directory="sub")
    assert UPLOAD not in ran.used and ran.outputs["sarif"] == ""
    first, last = obeyed(ran.log)
    assert first.startswith("::error file=sub/uv.lock,line=10,title=fast 1.0%3A unavailable::")
    assert last.startswith("::error title=ftaudit::something blocks")


@pytest.mark.network
def test_a_scan_of_hostile_names_steers_neither_shell_nor_runner_and_what_is_silenced_is_not_uploaded(
    workspace: Path, temp: Path
) -> None:
    for name in (*FILE_NAMES, "$(touch owned).py", "; touch owned #.py"):
        (workspace / name).write_text(COUNTER.format(""))
    (workspace / "silenced.py").write_text(COUNTER.format("  # ftaudit: ignore[FT504] known"))
    ran = run(workspace, temp, command="scan", paths="")
    assert (ran.code, ran.outputs["exit-code"]) == (1, "1"), ran.log
    assert obeyed(ran.log) == ["::error title=ftaudit::something blocks: the job's summary says what"]
    assert not (workspace / "owned").exists()
    results = json.loads(Path(ran.outputs["sarif"]).read_text("utf-8"))["runs"][0]["results"]
    assert len(results) == len(FILE_NAMES) + 2
    assert run(workspace, temp, command="scan", fail_on="error", format="concise").code == 0


@pytest.mark.network
def test_a_watch_keeps_its_last_run_and_fails_a_job_only_for_what_it_is_told_to(workspace: Path, temp: Path) -> None:
    (workspace / "uv.lock").write_text(uv_lock({"fast": BLOCKED}, host=NOWHERE))
    given = {"command": "watch", "platforms": "linux-x86_64", "paths": "uv.lock"}
    first = run(workspace, temp, **given, fail_on="changed")
    assert (first.code, first.outputs["exit-code"]) == (1, "1"), first.log
    assert first.summary.startswith("## ftaudit watch: first run") and "**fast**" in first.summary
    assert Path(first.outputs["summary"]).read_text("utf-8") == first.summary
    assert obeyed(first.log) == ["::error title=ftaudit::something has changed: the job's summary says what"]
    restored, kept = first.used["actions/cache/restore"], first.used["actions/cache/save"]
    assert restored["key"] == kept["key"] and kept["key"].startswith(restored["restore-keys"])
    assert restored["path"] == kept["path"] and (Path(kept["path"]) / "last-run.json").is_file()
    # Nothing listens at the index: what it has published since is not known.
    again = run(workspace, temp, **given)
    assert (again.code, again.outputs["exit-code"]) == (3, "3"), again.log
    assert again.summary.startswith("## ftaudit watch: not sure") and UPLOAD not in again.used


@pytest.mark.network
@pytest.mark.parametrize(
    "inputs",
    [
        {"command": "check; touch owned"},
        {"command": "plan"},
        {"format": "$(touch owned)"},
        {"format": "html"},
        {"fail_on": "::error::x"},
        {"command": "scan", "fail_on": "blocked"},
        {"command": "watch", "fail_on": "blocked"},
        {"static": "yes"},
        {"target": "3.14t --output=owned"},
        {"platforms": "linux-x86_64 --output=owned"},
        {"paths": "--output=owned"},
        {"paths": "$(touch owned)\n`touch owned`"},
        {"paths": "##[add-mask]x\n::error::y"},
    ],
    ids=lambda inputs: " ".join(inputs.values()),
)
def test_an_input_that_means_nothing_or_harm_fails_the_job_and_does_nothing_else(
    inputs: dict[str, str], workspace: Path, temp: Path
) -> None:
    (workspace / "uv.lock").write_text(uv_lock({"fast": READY}, host=NOWHERE))
    ran = run(workspace, temp, **inputs)
    assert ran.code == 2 and UPLOAD not in ran.used, ran.log
    assert not (workspace / "owned").exists()
    assert ran.summary == ""
    assert all(re.match(r"::error title=ftaudit::", line) for line in obeyed(ran.log)), ran.log
