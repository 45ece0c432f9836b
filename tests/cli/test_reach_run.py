"""`ftaudit reach --run` records what real runs load, and `ftaudit check --recorded` compares it with the analysis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.command import check, ftaudit
from support.freethreaded import interpreter, make_wheel
from support.guarded import Application, make_application

from ftaudit.report.package import check_json

MAIN = """\
import lib.first

def load(name):
    return __import__("lib." + name)
"""
PROCESSES = """\
import os, subprocess, sys
import app
if os.fork() == 0:
    app.load("guilty")
    os._exit(0)
os.wait()
subprocess.run([sys.executable, "-c", "import lib.silent"], check=True)
sys.stdout.flush()
os.execv(sys.executable, [sys.executable, "-c", "import lib.first; raise SystemExit(7)"])
"""


@pytest.fixture
def application(tmp_path: Path) -> Application:
    made = make_application(tmp_path)
    made.write({"app.py": MAIN})
    return made


def run(application: Application, *command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of the free-threaded interpreter with `ftaudit reach --run --record loads.json`."""
    path = {"PYTHONPATH": os.pathsep.join([str(application.folder), str(application.site)]), **(env or {})}
    words = ("reach", "--run", "--record", "loads.json", "--", interpreter().path, *command)
    return ftaudit(*words, cwd=application.folder, env=path)


def runs(application: Application) -> dict[str, Any]:
    """Return the runs of the file; there is one kind of interpreter."""
    (found,) = json.loads((application.folder / "loads.json").read_text())["runs"]
    return dict(found)


@pytest.mark.interpreter
def test_forks_children_and_programs_that_replace_their_process_are_recorded(application: Application) -> None:
    application.write({"main.py": PROCESSES, "app.py": MAIN})
    ran = run(application, "main.py")
    assert ran.returncode == 7, ran.stderr
    found = runs(application)
    ways = [(each["name"], each["program"], each["functions"]) for each in found["modules"]]
    assert ways[:2] == [("lib.first", None, []), ("lib.first", "main.py", [])]
    assert ("lib.guilty", "main.py", ["app:load"]) in ways
    modules = {each["name"]: each for each in reversed(found["modules"])}
    assert modules.keys() == {"lib.first", "lib.guilty", "lib.silent"}
    assert {name for name, each in modules.items() if each["requires_gil"]} == {"lib.guilty", "lib.silent"}
    assert modules["lib.first"]["requires_gil"] is False and modules["lib.first"]["chain"] == ["lib.first"]
    assert (modules["lib.guilty"]["path"], modules["lib.guilty"]["line"]) == ("app.py", 4)
    assert found["gil_turned_on_by"] == ["lib.guilty", "lib.silent"]
    assert (found["processes"], found["unfinished"], found["runs"]) == (4, 2, 1)
    assert "lib.guilty turned the GIL on: lib.guilty (app.py:4)" in ran.stderr


@pytest.mark.interpreter
def test_a_script_and_a_module_that_end_without_an_error_are_programs(application: Application) -> None:
    application.write({"tools/job.py": "import lib.first\n", "tools/bad.py": "raise ValueError\n", "app.py": MAIN})
    for command in (("tools/job.py",), ("-m", "app"), ("tools/bad.py",), ("-c", "import lib.first")):
        run(application, *command)
    assert runs(application)["programs"] == ["app", "tools/job.py"]


@pytest.mark.interpreter
def test_runs_are_merged_and_equal_runs_write_equal_loads(application: Application) -> None:
    run(application, "-c", "import app")
    first = runs(application)
    run(application, "-c", "import app")
    assert runs(application) == {**first, "runs": 2, "processes": 2}
    assert "app" in first["imported"]
    ran = run(application, "-c", "import app; app.load('guilty')")
    assert runs(application)["gil_turned_on_by"] == ["lib.guilty"]
    assert ran.stderr.splitlines()[-1] == "ftaudit: loads.json has 3 recorded runs"


@pytest.mark.interpreter
def test_the_sitecustomize_of_the_environment_still_runs_and_sees_its_own_path(application: Application) -> None:
    code = "import sys\nseen = any('recording_hook' in path for path in sys.path)\n"
    application.write({"sitecustomize.py": code})
    ran = run(application, "-c", "import app, sitecustomize; print('own', sitecustomize.seen)")
    assert ran.stdout == "own False\n"
    assert [each["name"] for each in runs(application)["modules"]] == ["lib.first"]


@pytest.mark.interpreter
def test_a_program_that_ignores_the_environment_is_not_taken_for_one_that_loads_nothing(
    application: Application,
) -> None:
    ran = run(application, "-I", "-c", "pass")
    assert ran.returncode == 3
    assert "was recorded: it started none, or started Python with -I, -E or -S" in ran.stderr
    assert not (application.folder / "loads.json").exists()


@pytest.mark.interpreter
def test_what_forces_the_gil_leaves_the_question_open(application: Application) -> None:
    ran = run(application, "-X", "gil=0", "-c", "import lib.guilty")
    assert [each["requires_gil"] for each in runs(application)["modules"]] == [None]
    assert "CPython did not report which modules require the GIL" in ran.stderr


@pytest.mark.interpreter
def test_the_guard_still_hears_every_module_when_a_run_is_recorded(application: Application) -> None:
    code = "import ftaudit.guard, lib.guilty, lib.silent; print([each.name for each in ftaudit.guard.guard.culprits])"
    auditor = Path(__file__).parents[2] / "auditor"
    path = os.pathsep.join([str(auditor), str(application.site)])
    ran = run(application, "-c", code, env={"PYTHONPATH": path, "FTAUDIT_GUARD": "log"})
    assert ran.stdout == "['lib.guilty', 'lib.silent']\n"
    assert [each["requires_gil"] for each in runs(application)["modules"]] == [True, True]


@pytest.mark.interpreter
def test_a_pytest_session_and_its_workers_are_recorded_into_the_same_file(application: Application) -> None:
    tests = "import app\ndef test_one():\n    app.load('guilty')\ndef test_two():\n    import lib.silent\n"
    application.write({"test_it.py": tests})
    run(application, "-c", "import app")
    ran = application.pytest("--ftaudit-record", "loads.json", "-n", "2", "-p", "xdist")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "loads.json has 2 recorded runs" in ran.stdout
    modules = {each["name"]: each for each in runs(application)["modules"]}
    assert modules["lib.guilty"]["during"] == "in test_it.py::test_one"
    assert (modules["lib.silent"]["path"], modules["lib.silent"]["requires_gil"]) == ("test_it.py", True)
    application.write({"loads.json": "{}"})
    ran = application.pytest("--ftaudit-record", "loads.json")
    assert ran.returncode == 4 and "is not a record of loads: it was not written by" in ran.stderr


@pytest.mark.interpreter
def test_the_analysis_the_sandbox_and_the_record_are_compared(tmp_path: Path) -> None:
    files = {f"lib/{name}.EXT": "extension" for name in ("guilty", "silent", "first")}
    wheel = make_wheel(tmp_path, "lib", {"lib/__init__.py": "", **files})
    application = make_application(tmp_path)
    hidden = 'import sys\n\n__builtins__["__import__"]("lib." + "guilty")\n'
    code = f"{hidden}def load(name):\n    return __import__(name)\n\ndef unused():\n    import lib.silent\n"
    application.write({"app.py": code, "requirements.txt": f"lib @ file://{wheel.location}\n"})
    application.write({"test_it.py": "import app\napp.load('lib.silent')\nimport lib.first\n"})
    run(application, "test_it.py")
    given = ("requirements.txt", "--offline", "--source-root", ".", "--reach", "app")
    answer = check(*given, "--recorded", "loads.json", cwd=application.folder)
    jsonschema.validate(answer.document, check_json.schema())
    (reach,) = answer.document["reach"]
    assert [run["kind"] for run in reach["runs"]] == ["recorded", "sandbox"]
    assert all(run["completed"] == ["app"] for run in reach["runs"])
    told = [(each["module"], each["class"], each["run"], each["outside"]) for each in reach["differences"]]
    sandbox = reach["runs"][1]["run"]
    assert told == [
        ("lib.first", "none", "loads.json", True),
        ("lib.guilty", "none", "loads.json", False),
        ("lib.guilty", "none", sandbox, False),
    ]
    modules = {each["name"]: each["reach"] for each in answer.rows["lib"]["modules"]}
    assert modules["lib.guilty"]["class"] == "start"
    assert modules["lib.guilty"]["seen"]["chain"] == ["app", "lib.guilty"]
    assert modules["lib.silent"]["class"] == "run"
    assert modules["lib.first"]["seen"]["path"] == "test_it.py"


PROGRAM = """\
import sys
__builtins__.__import__("lib." + "guilty")

def main():
    __builtins__.__import__("lib." + "silent")

def later():
    import lib.first

if __name__ == "__main__":
    main()
    later()
"""


@pytest.mark.interpreter
@pytest.mark.parametrize(
    ("start", "commands"),
    [
        ("job.py", [("job.py",)]),
        ("job", [("-m", "job")]),
        # Whatever else loads the same modules, and in which order, the program still loads them at start.
        ("job", [("-c", "import lib.guilty, lib.silent"), ("job.py",), ("-c", "import lib.guilty, lib.silent")]),
    ],
)
def test_what_a_program_loads_is_at_start_unless_the_analysis_names_a_function(
    start: str, commands: list[tuple[str, ...]], tmp_path: Path
) -> None:
    files = {f"lib/{name}.EXT": "extension" for name in ("guilty", "silent", "first")}
    wheel = make_wheel(tmp_path, "lib", {"lib/__init__.py": "", **files})
    application = make_application(tmp_path)
    program = PROGRAM if start == "job.py" else PROGRAM.replace('__name__ == "__main__"', "len(sys.argv) == 1")
    application.write({"job.py": program, "requirements.txt": f"lib @ file://{wheel.location}\n"})
    for command in commands:
        run(application, *command)
    given = ("requirements.txt", "--offline", "--static", "--source-root", ".", "--reach", start)
    answer = check(*given, "--recorded", "loads.json", "--fail-on-reach", "start", cwd=application.folder)
    modules = {each["name"]: each["reach"] for each in answer.rows["lib"]["modules"]}
    assert modules["lib.guilty"]["class"] == modules["lib.silent"]["class"] == "start"
    assert modules["lib.first"]["class"] == ("start" if start == "job.py" else "start-if")
    assert answer.code == 1


BAD = {
    "": "it is not JSON",
    "{}": "it was not written by `ftaudit reach --run`",
    "[" * 100_000: "it is not JSON",
    '{"kind": "ftaudit-load-record", "schema_version": 2}': "its schema_version is 2",
    '{"kind": "ftaudit-load-record", "schema_version": 1, "runs": [[]]}': "runs[0] is not an object",
    '{"kind": "ftaudit-load-record", "schema_version": 1, "runs": 3}': "runs is not a list",
}


def test_a_file_that_is_no_record_is_an_error_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("attrs==25.1.0\n")
    for content, problem in BAD.items():
        (tmp_path / "loads.json").write_text(content)
        for words in (
            ("reach", "--run", "--record", "loads.json", "--", sys.executable, "-c", "print('ran')"),
            ("check", "requirements.txt", "--offline", "--reach", "app", "--recorded", "loads.json"),
        ):
            ran = ftaudit(*words, cwd=tmp_path)
            assert (ran.returncode, ran.stdout) == (2, "")
            assert f"loads.json is not a record of loads: {problem}" in ran.stderr
    assert (tmp_path / "loads.json").read_text() == content, "the file is as it was"


def test_the_exit_code_is_that_of_the_command(tmp_path: Path) -> None:
    for code, expected in (("raise SystemExit(5)", 5), ("import os; os.kill(os.getpid(), 9)", 137), ("pass", 0)):
        ran = ftaudit("reach", "--run", "-q", "--", sys.executable, "-c", code, cwd=tmp_path)
        assert (ran.returncode, ran.stderr, ran.stdout) == (expected, "", "")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((), "--run is missing"),
        (("--run",), "--run needs a command"),
        (("--run", "--", "no-such-program-here"), "cannot run no-such-program-here"),
        (
            ("--run", "--record", "missing/loads.json", "--", sys.executable, "-c", ""),
            "cannot write missing/loads.json",
        ),
    ],
)
def test_mistakes_are_usage_errors(words: tuple[str, ...], problem: str, tmp_path: Path) -> None:
    ran = ftaudit("reach", *words, cwd=tmp_path)
    assert ran.returncode == 2 and problem in ran.stderr
