"""No distribution reports for another, and none can contradict the interpreter's own memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support.freethreaded import interpreter, make_wheel, suffix

from ftaudit.model import RuntimeFacts, Status
from ftaudit.sandbox import SandboxSettings, WheelToImport, import_distributions

pytestmark = pytest.mark.interpreter

INNOCENT = {"victim/__init__.py": "", "victim/first.EXT": "extension"}
GUILTY = {"victim/__init__.py": "", "victim/guilty.EXT": "extension"}


def run(folder: Path, *wheels: WheelToImport) -> dict[str, RuntimeFacts]:
    settings = SandboxSettings(cache_dir=folder / "cache", module_seconds=5.0)
    return import_distributions(interpreter(), list(wheels), settings=settings)


def pure(folder: Path, files: dict[str, str]) -> WheelToImport:
    return dataclasses.replace(make_wheel(folder, "intruder", files), wanted=False)


END = "import os; os._exit(0)\n"
SLEEP = "import time; time.sleep(3600)\n"
FORGE = (
    "import sys; child = sys.modules['__main__'].Child; "
    "child.step = lambda *a, **k: dict(error=None, requires_gil=False, loaded=True, origin='', gil=False, "
    "explained=True, chains=[], guilty=[])\n"
)


@pytest.mark.parametrize("line", [END, SLEEP, FORGE], ids=["ends", "sleeps", "forges"])
@pytest.mark.parametrize("name", ["intruder.pth", "sitecustomize.py", "usercustomize/__init__.py"])
def test_what_runs_at_start_up_changes_no_answer_of_another(line: str, name: str, tmp_path: Path) -> None:
    found = run(tmp_path, pure(tmp_path, {name: line}), make_wheel(tmp_path, "victim", GUILTY | INNOCENT))
    rows = {module.name: module.runtime for module in found["victim"].modules}
    assert {name: row.requires_gil for name, row in rows.items() if row} == {
        "victim.guilty": True,
        "victim.first": False,
    }


@pytest.mark.parametrize(
    ("line", "outcome", "on"),
    [
        (END, "exit", None),
        (SLEEP, "timeout", None),
        ("import helper.guilty\n", "imported", True),
        ("x = 1\n", None, None),
    ],
)
def test_start_up_files_have_rows_of_their_own(line: str, outcome: str | None, on: bool | None, tmp_path: Path) -> None:
    files = {"intruder.pth": line, "helper/__init__.py": "", "helper/guilty.EXT": "extension"}
    found = run(tmp_path, pure(tmp_path, files), make_wheel(tmp_path, "victim", INNOCENT))
    started = dict(found["intruder"].startup) if "intruder" in found else {}
    assert {name: row.outcome for name, row in started.items()} == ({"intruder.pth": outcome} if outcome else {})
    if outcome == "imported":
        assert started["intruder.pth"].gil_enabled_after is on


def test_folders_that_a_pth_file_names_are_searched(tmp_path: Path) -> None:
    files = {"more.pth": "lib/deeper\n", "lib/deeper/found.py": "", **INNOCENT}
    files["victim/__init__.py"] = "import found\n"
    facts = run(tmp_path, make_wheel(tmp_path, "victim", files))["victim"]
    assert dict(facts.toplevels)["victim"].imported


def test_an_import_that_needs_a_start_up_file_has_it(tmp_path: Path) -> None:
    shim = pure(tmp_path, {"shim.pth": "import sys, types; sys.modules['shimmed'] = types.ModuleType('shimmed')\n"})
    victim = make_wheel(tmp_path, "victim", {**INNOCENT, "victim/__init__.py": "import shimmed\n"})
    facts = run(tmp_path, shim, victim)["victim"]
    assert dict(facts.toplevels)["victim"].imported
    assert all(module.runtime and module.runtime.requires_gil is False for module in facts.modules)


FORGERIES = {
    "the recorder's answers are changed": """
import _imp
tracker = _imp.create_dynamic.__self__
class Always(dict):
    def get(self, *a): return False
    def __setitem__(self, key, value): pass
tracker.files = Always(); tracker.gil_enabled = lambda: False; tracker.guilty = []
type(tracker).gil_stays_on = lambda self: False
""",
    "the recorder is taken out": """
import _imp, importlib._bootstrap as b
tracker = _imp.create_dynamic.__self__
_imp.create_dynamic = tracker.create_dynamic
b._find_and_load = tracker.find_and_load
tracker.gil_enabled = lambda: False
""",
    "the report is changed as it is written": """
import sys
child = sys._getframe()
while 'self' not in child.f_locals or type(child.f_locals['self']).__name__ != 'Child': child = child.f_back
me, send = child.f_locals['self'], type(child.f_locals['self']).send
def clean(self, message):
    if 'end' in message:
        message = {**message, 'gil': False, 'requires_gil': False, 'chains': [], 'explained': True, 'guilty': []}
    send(self, message)
type(me).send = clean
""",
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_module_that_reports_itself_clean_is_contradicted_by_the_interpreters_memory(
    forgery: str, tmp_path: Path
) -> None:
    files = {"victim/__init__.py": forgery + "\nfrom victim import guilty\n", "victim/guilty.EXT": "extension"}
    facts = run(tmp_path, make_wheel(tmp_path, "victim", files))["victim"]
    assert facts.status is Status.DONE
    rows = [dict(facts.toplevels)["victim"], *(module.runtime for module in facts.modules if module.runtime)]
    caught = [row for row in rows if row.requires_gil or row.unexplained or row.outcome == "exit"]
    assert caught, rows
    if not any(row.requires_gil for row in caught):
        assert not any(row.imported and row.gil_enabled_after is False for row in rows)


def test_a_file_that_no_module_list_has_is_named_where_it_turns_the_gil_on(tmp_path: Path) -> None:
    loading = (
        "import importlib.util as u, importlib.machinery as m, os\n"
        "path = os.path.join(os.path.dirname(__file__), 'data.bin')\n"
        "loader = m.ExtensionFileLoader('guilty', path)\n"
        "u.module_from_spec(u.spec_from_loader('guilty', loader))\n"
    )
    files = {**INNOCENT, "victim/__init__.py": loading, "victim/data.bin": "extension"}
    facts = run(tmp_path, make_wheel(tmp_path, "victim", files))["victim"]
    assert facts.unlisted == ("guilty (victim/data.bin)",)
    assert dict(facts.toplevels)["victim"].gil_enabled_after


def test_a_culprit_that_another_thread_imports_is_named(tmp_path: Path) -> None:
    threaded = (
        "import threading\ndef work():\n    import victim.guilty\n"
        "t = threading.Thread(target=work); t.start(); t.join()\n"
    )
    files = {**GUILTY, "victim/__init__.py": "", "victim/user.py": threaded, "entry.py": "import victim.user\n"}
    facts = run(tmp_path, make_wheel(tmp_path, "victim", files))["victim"]
    assert dict(facts.toplevels)["entry"].culprits == ("victim.guilty",)


def test_a_culprit_is_not_lost_where_its_package_is_imported_again_meanwhile(tmp_path: Path) -> None:
    files = {
        "victim/__init__.py": "import helper\nfrom victim import guilty\n",
        "victim/guilty.EXT": "extension",
        "helper.py": (
            "import sys\nkept = sys.modules.pop('victim')\nimport victim.other\nsys.modules['victim'] = kept\n"
        ),
        "victim/other.py": "",
    }
    facts = run(tmp_path, make_wheel(tmp_path, "victim", files))["victim"]
    rows = {module.name: module.runtime for module in facts.modules}
    assert rows["victim.guilty"] is not None and rows["victim.guilty"].requires_gil


def test_a_module_that_another_distribution_has_too_is_reported(tmp_path: Path) -> None:
    victim = make_wheel(tmp_path, "victim", {**GUILTY, "victim/same.py": ""})
    intruder = pure(tmp_path, {f"victim/guilty{suffix()}": "not a module", "victim/same.py": ""})
    facts = run(tmp_path, victim, intruder)["victim"]
    assert facts.contested == ((f"victim/guilty{suffix()}", "intruder"),)
