"""`import ftaudit.guard` in a program run by the free-threaded interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.guarded import AUDITOR, Application, make_application

pytestmark = pytest.mark.interpreter

PROGRAM = "import ftaudit.guard\n\ndef start():\n    import middle\n\nstart()\nprint('went on')\n"


@pytest.fixture
def application(tmp_path: Path) -> Application:
    return make_application(tmp_path)


def test_an_import_that_turns_the_gil_on_raises_and_names_what_and_whose_and_who_asked(
    application: Application,
) -> None:
    application.write({"app.py": PROGRAM})
    ran = application.run("app.py")
    assert ran.returncode == 1
    assert "went on" not in ran.stdout
    assert "GilEnabledError: the GIL was turned on by an import: lib.guilty" in ran.stderr
    assert f"  File:          {application.site / 'lib' / 'guilty.cpython-314t-x86_64-linux-gnu.so'}\n" in ran.stderr
    assert "  Distribution:  lib 1.2\n" in ran.stderr
    assert "  Import chain:  middle → lib.guilty\n" in ran.stderr
    assert f"  Your code:     {application.folder / 'app.py'}:4: import middle\n" in ran.stderr
    assert "  Options:       a later version of lib" in ran.stderr
    assert "allow every module of its package: FTAUDIT_GUARD_ALLOW=lib\n" in ran.stderr
    assert "RuntimeWarning: The global interpreter lock" not in ran.stderr


def test_a_fallback_for_a_missing_module_does_not_swallow_it(application: Application) -> None:
    application.write({"app.py": "import ftaudit.guard\ntry:\n    import lib.silent\nexcept ImportError:\n    pass\n"})
    ran = application.run("app.py")
    assert ran.returncode == 1
    assert "turned on by an import: lib.silent" in ran.stderr


def test_what_was_swallowed_is_said_at_the_end(application: Application) -> None:
    application.write({"app.py": "import ftaudit.guard\ntry:\n    import lib.silent\nexcept Exception:\n    pass\n"})
    ran = application.run("app.py")
    assert ran.returncode == 0
    assert ran.stderr == "ftaudit.guard: this program ran with the GIL, turned on by lib.silent\n"


def test_warn_names_every_module_and_not_the_first_alone(application: Application) -> None:
    application.write({"app.py": f"{PROGRAM}import lib.silent\n"})
    ran = application.run("app.py", env={"FTAUDIT_GUARD": "warn"})
    assert ran.returncode == 0
    assert "went on" in ran.stdout
    told = [line.partition("GilEnabledWarning: ")[2] for line in ran.stderr.splitlines() if "GilEnabledWarning" in line]
    assert told == [
        "the GIL was turned on by an import: lib.guilty",
        "an import requires the GIL, which is already on: lib.silent",
    ]
    assert "FTAUDIT_GUARD=warn" not in ran.stderr
    assert f"{application.folder / 'app.py'}:4: GilEnabledWarning" in ran.stderr


def test_log_goes_to_the_programs_own_logging(application: Application) -> None:
    program = f"import logging\nlogging.basicConfig(format='%(name)s %(levelname)s %(message)s')\n{PROGRAM}"
    application.write({"app.py": program})
    ran = application.run("app.py", env={"FTAUDIT_GUARD": "log"})
    assert ran.returncode == 0
    assert ran.stderr.startswith("ftaudit.guard WARNING the GIL was turned on by an import: lib.guilty\n")


def test_a_warning_made_an_error_does_not_hide_the_culprit(application: Application) -> None:
    application.write({"app.py": f"import warnings\n{PROGRAM}"})
    ran = application.run("-W", "error", "app.py")
    assert ran.returncode == 1
    assert "GilEnabledError: the GIL was turned on by an import: lib.guilty" in ran.stderr


def test_allowed_modules_and_packages_pass(application: Application) -> None:
    application.write({"app.py": f"{PROGRAM}import lib.silent\n"})
    assert application.run("app.py", env={"FTAUDIT_GUARD_ALLOW": "lib"}).returncode == 0
    ran = application.run("app.py", env={"FTAUDIT_GUARD_ALLOW": "lib.guilty, other"})
    assert ran.returncode == 1
    assert "an import requires the GIL, which is already on: lib.silent" in ran.stderr


def test_modules_that_leave_the_gil_off_pass_without_a_word(application: Application) -> None:
    application.write({"app.py": "import ftaudit.guard\nimport lib.first\nimport sys\nprint(sys._is_gil_enabled())\n"})
    ran = application.run("app.py")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "False\n", "")


def test_an_import_within_an_init_hook_is_told_apart_from_the_hook(application: Application) -> None:
    (application.site / "lib" / "nesting_payload.py").write_text("import lib.guilty\n")
    application.write({"app.py": "import ftaudit.guard\nimport lib.nesting\n"})
    ran = application.run("app.py", env={"FTAUDIT_GUARD": "warn"})
    assert "GilEnabledWarning: the GIL was turned on by an import: lib.guilty" in ran.stderr
    assert "turned on by an import: lib.nesting" not in ran.stderr
    assert "lib.nesting → " in ran.stderr


def test_threads_that_import_at_once_each_get_their_own(application: Application) -> None:
    program = (
        "import ftaudit.guard, sys, threading\n"
        "stderr = sys.stderr\n"
        "def load(name):\n    try:\n        __import__(name)\n        print(name, 'passed')\n"
        "    except ftaudit.guard.GilEnabledError as error:\n        print(name, str(error).splitlines()[0][-12:])\n"
        "names = ['lib.guilty', 'lib.silent', 'lib.first'] \n"
        "threads = [threading.Thread(target=load, args=(name,)) for name in names]\n"
        "[thread.start() for thread in threads]\n[thread.join() for thread in threads]\n"
        "print('restored', sys.stderr is stderr, sys.flags.verbose)\n"
    )
    application.write({"app.py": program})
    ran = application.run("app.py")
    assert sorted(ran.stdout.splitlines()) == [
        "lib.first passed",
        "lib.guilty : lib.guilty",
        "lib.silent : lib.silent",
        "restored True 0",
    ]


def test_a_guard_that_comes_too_late_says_so(application: Application) -> None:
    application.write({"app.py": "import lib.guilty\nimport ftaudit.guard\n"})
    ran = application.run("app.py")
    assert ran.returncode == 1
    assert "the GIL was on before ftaudit.guard was imported\n  Loaded already:  lib.guilty\n" in ran.stderr


@pytest.mark.parametrize(
    ("value", "said"), [("0", "keeps the GIL off even for modules that need it"), ("1", "turned the GIL on")]
)
def test_a_gil_that_was_decided_on_from_outside_is_said(application: Application, value: str, said: str) -> None:
    application.write({"app.py": PROGRAM})
    ran = application.run("app.py", env={"PYTHON_GIL": value})
    assert ran.returncode == 0
    assert said in ran.stderr


def test_a_mode_that_does_not_exist_names_those_that_do(application: Application) -> None:
    application.write({"app.py": PROGRAM})
    ran = application.run("app.py", env={"FTAUDIT_GUARD": "shout"})
    assert ran.returncode == 1
    assert ran.stderr == "ftaudit.guard: FTAUDIT_GUARD=shout is invalid; use raise, warn, log or off\n"


def test_off_and_an_interpreter_that_always_has_a_gil_do_nothing(application: Application) -> None:
    application.write({"app.py": PROGRAM})
    ran = application.run("app.py", env={"FTAUDIT_GUARD": "off"})
    assert ran.returncode == 0
    assert "went on" in ran.stdout
    code = "import sys, _imp; before = _imp.create_dynamic; import ftaudit.guard; print(_imp.create_dynamic is before)"
    here = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(AUDITOR)}, capture_output=True, text=True, check=False
    )
    assert here.stdout == "True\n"


def test_nothing_but_the_standard_library_is_imported(application: Application) -> None:
    code = (
        "import ftaudit.guard, os, sys\n"
        "library = os.path.dirname(os.__file__)\n"
        "files = {name: getattr(module, '__file__', None) for name, module in sys.modules.items()}\n"
        "print(*sorted(name for name, file in files.items() if file and not file.startswith(library)))\n"
    )
    application.write({"app.py": code})
    ran = application.run("app.py")
    assert ran.stdout.split() == ["__main__", "ftaudit", "ftaudit.__about__", "ftaudit.gilwatch", "ftaudit.guard"]
