"""The pytest plugin, in sessions run by the free-threaded interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.guarded import AUDITOR, Application, make_application

pytestmark = pytest.mark.interpreter

TESTS = """\
def test_one():
    import middle

def test_two():
    import lib.silent

def test_three():
    import lib.first
"""


@pytest.fixture
def application(tmp_path: Path) -> Application:
    return make_application(tmp_path)


def told(ran: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the lines of the summary's section."""
    lines = ran.stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.strip("= ") == "the GIL was turned on")
    end = next(number for number, line in enumerate(lines) if number > start and line.startswith("==="))
    return lines[start + 1 : end]


def test_the_session_fails_and_every_culprit_is_named_with_the_line_that_pulled_it_in(application: Application) -> None:
    application.write({"test_it.py": TESTS})
    ran = application.pytest("--ftaudit-gil", "test_it.py")
    assert ran.returncode == 1
    assert "3 passed" in ran.stdout
    said = told(ran)
    assert said[0] == "lib.guilty, in test_it.py::test_one"
    assert "  Distribution:  lib 1.2" in said
    assert "  Import chain:  middle → lib.guilty" in said
    assert f"  Your code:     {application.folder / 'test_it.py'}:2: import middle" in said
    assert "lib.silent, in test_it.py::test_two" in said
    assert f"  Your code:     {application.folder / 'test_it.py'}:5: import lib.silent" in said
    assert not any(line.startswith("lib.first") for line in said)


def test_a_conftest_is_named_too(application: Application) -> None:
    application.write({"conftest.py": "import lib.guilty\n", "test_it.py": "def test(): pass\n"})
    ran = application.pytest("--ftaudit-gil")
    assert ran.returncode == 1
    assert told(ran)[0] == "lib.guilty, before the first test was collected"
    assert f"  Your code:     {application.folder / 'conftest.py'}:1: import lib.guilty" in told(ran)


def test_an_import_at_the_top_of_a_test_module_is_met_while_it_is_collected(application: Application) -> None:
    application.write({"test_it.py": "import lib.guilty\ndef test(): pass\n"})
    assert told(application.pytest("--ftaudit-gil"))[0] == "lib.guilty, while test_it.py was collected"


def test_warn_says_so_and_passes(application: Application) -> None:
    application.write({"test_it.py": TESTS})
    ran = application.pytest("--ftaudit-gil-warn")
    assert ran.returncode == 0
    assert [line for line in told(ran) if line.startswith("lib.")] == [
        "lib.guilty, in test_it.py::test_one",
        "lib.silent, in test_it.py::test_two",
    ]


def test_what_the_settings_allow_is_shown_and_passes(application: Application) -> None:
    settings = "[pytest]\nftaudit_gil = fail\nftaudit_gil_allow = lib.guilty\n"
    application.write({"test_it.py": TESTS, "pytest.ini": settings})
    ran = application.pytest()
    assert ran.returncode == 1
    assert told(ran)[:2] == [
        "lib.guilty (allowed by ftaudit_gil_allow), in test_it.py::test_one",
        "lib.silent, in test_it.py::test_two",
    ]
    application.write({"pytest.ini": f"{settings.strip()}, lib.silent, other\n"})
    ran = application.pytest()
    assert ran.returncode == 0
    assert told(ran)[-1] == "ftaudit_gil_allow lists modules that did not turn the GIL on: other"


def test_the_command_line_overrules_the_settings(application: Application) -> None:
    application.write({"test_it.py": TESTS, "pytest.ini": "[pytest]\nftaudit_gil = fail\n"})
    assert application.pytest().returncode == 1
    assert application.pytest("--ftaudit-gil-warn").returncode == 0
    off = application.pytest("--no-ftaudit-gil")
    assert off.returncode == 0
    assert "the GIL was turned on" not in off.stdout


def test_a_session_that_turns_nothing_on_passes_without_a_section(application: Application) -> None:
    application.write({"test_it.py": "def test():\n    import lib.first\n"})
    ran = application.pytest("--ftaudit-gil")
    assert ran.returncode == 0
    assert "ftaudit: fails when an import turns the GIL on; reports every module" in ran.stdout
    assert "the GIL was turned on" not in ran.stdout


def test_a_session_that_fails_anyway_keeps_its_exit_code(application: Application) -> None:
    application.write({"test_it.py": "import lib.guilty\ndef test(: pass\n"})
    assert application.pytest("--ftaudit-gil").returncode == 2


def test_without_the_option_nothing_is_watched(application: Application) -> None:
    code = "import _imp\ndef test():\n    assert type(_imp.create_dynamic).__name__ == 'builtin_function_or_method'\n"
    application.write({"test_it.py": code})
    ran = application.pytest()
    assert ran.returncode == 0
    assert "ftaudit" not in ran.stdout


@pytest.mark.parametrize("value", ["0", "1"])
def test_a_gil_that_was_decided_on_from_outside_is_an_error_and_no_pass(application: Application, value: str) -> None:
    application.write({"test_it.py": TESTS})
    ran = application.pytest("--ftaudit-gil", env={"PYTHON_GIL": value})
    assert ran.returncode == 4
    assert "unset it" in ran.stderr


def test_the_workers_of_xdist_tell_the_controller(application: Application) -> None:
    application.write({"test_it.py": TESTS})
    ran = application.pytest("--ftaudit-gil", "-n", "2", "-p", "xdist")
    assert ran.returncode == 1
    assert {line.partition(",")[0] for line in told(ran) if line.startswith("lib.")} == {"lib.guilty", "lib.silent"}


def test_an_interpreter_that_always_has_a_gil_says_that_there_is_nothing_to_watch(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test(): pass\n")
    options = ("-p", "ftaudit.pytest_plugin", "--ftaudit-gil", "-p", "no:cacheprovider")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=tmp_path,
        env={"PYTHONPATH": str(AUDITOR)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0
    assert "ftaudit: this interpreter always has a GIL, so there is nothing to watch" in ran.stdout
