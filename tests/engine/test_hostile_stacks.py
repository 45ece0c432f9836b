"""One package's effect on others in a stack is a separate row, and nothing is ready without evidence."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.freethreaded import interpreter, make_wheel, suffix

import ftaudit
from ftaudit.model import Package, Report, Verdict
from ftaudit.model.reasons import Contested, StartUpFails, TurnsOnAtStartUp, TurnsOnUnlisted, TurnsOnUnnamed
from ftaudit.settings import Settings

pytestmark = [pytest.mark.interpreter, pytest.mark.timing]

FINE = {"victim/__init__.py": "", "victim/first.EXT": "extension"}


def audit(folder: Path, **distributions: dict[str, str]) -> tuple[Report, dict[str, Package]]:
    wheels = folder / "wheels"
    wheels.mkdir()
    for name, files in distributions.items():
        make_wheel(wheels, name, files)
    report = ftaudit.audit(
        wheels,
        settings=Settings(cache_dir=folder / "cache", python=Path(interpreter().path), offline=True, timeout=5.0),
    )
    return report, {str(row.facts.pin.name): row for row in report.packages}


@pytest.mark.parametrize(
    ("files", "verdict", "kind"),
    [
        ({"x.pth": "import os; os._exit(0)\n"}, Verdict.BROKEN, StartUpFails),
        ({"x.pth": "import time; time.sleep(3600)\n"}, Verdict.BROKEN, StartUpFails),
        ({"sitecustomize.py": "raise SystemExit\n"}, Verdict.BROKEN, StartUpFails),
        (
            {"x.pth": "import odd.guilty\n", "odd/__init__.py": "", "odd/guilty.data": "extension"},
            None,
            None,
        ),
    ],
)
def test_a_start_up_file_that_ends_the_interpreter_breaks_its_own_package(
    files: dict[str, str], verdict: Verdict | None, kind: type | None, tmp_path: Path
) -> None:
    report, rows = audit(tmp_path, intruder={**files, "odd/first.EXT": "extension"}, victim=FINE)
    assert rows["victim"].verdict is Verdict.READY
    if verdict is not None and kind is not None:
        assert rows["intruder"].verdict is verdict
        assert any(isinstance(reason, kind) for reason in rows["intruder"].why)
        assert report.exit_code == 1


LOAD = (
    "import importlib.util as u, importlib.machinery as m, os\n"
    "path = os.path.join(os.path.dirname(os.path.abspath(__file__)), {file!r})\n"
    "u.module_from_spec(u.spec_from_loader('guilty', m.ExtensionFileLoader('guilty', path)))\n"
)


@pytest.mark.parametrize("file", ["data.bin", "libguilty.so.1", "guilty.dat", "deeper/guilty.so.1.2"])
def test_a_plain_import_that_turns_the_gil_on_blocks_whatever_file_does_it(file: str, tmp_path: Path) -> None:
    files = {**FINE, "victim/__init__.py": LOAD.format(file=file), f"victim/{file}": "extension"}
    report, rows = audit(tmp_path, victim=files)
    assert rows["victim"].verdict is Verdict.REENABLES_GIL
    assert any(isinstance(reason, TurnsOnUnlisted) for reason in rows["victim"].why)
    assert report.exit_code == 1


def test_what_turned_the_gil_on_unseen_blocks_too(tmp_path: Path) -> None:
    hidden = "import _imp\n_imp.create_dynamic = _imp.create_dynamic.__self__.create_dynamic\n"
    files = {**FINE, "victim/__init__.py": hidden + LOAD.format(file="data.bin"), "victim/data.bin": "extension"}
    _, rows = audit(tmp_path, victim=files)
    assert rows["victim"].verdict is Verdict.REENABLES_GIL
    assert any(isinstance(reason, TurnsOnUnnamed | TurnsOnUnlisted) for reason in rows["victim"].why)


def test_a_start_up_file_that_turns_the_gil_on_blocks(tmp_path: Path) -> None:
    files = {"x.pth": "import victim.helper\n", **FINE, "victim/helper.py": LOAD.format(file="data.bin")}
    _, rows = audit(tmp_path, victim={**files, "victim/data.bin": "extension"})
    assert rows["victim"].verdict is Verdict.REENABLES_GIL
    assert any(isinstance(reason, TurnsOnAtStartUp) for reason in rows["victim"].why)


def test_a_module_that_two_wheels_have_is_not_ready(tmp_path: Path) -> None:
    report, rows = audit(
        tmp_path, victim=FINE, intruder={f"victim/first{suffix()}": "other", "intruder/last.EXT": "extension"}
    )
    assert rows["victim"].verdict is not Verdict.READY
    assert any(isinstance(reason, Contested) for reason in rows["victim"].why)
    assert report.exit_code != 0


def test_a_module_that_reports_itself_clean_is_not_ready(tmp_path: Path) -> None:
    forged = (
        "import _imp\ntracker = _imp.create_dynamic.__self__\n"
        "class Clean(dict):\n    def get(self, *a): return False\n    def __setitem__(self, *a): pass\n"
        "tracker.files = Clean()\ntracker.gil_enabled = lambda: False\n"
        "type(tracker).gil_stays_on = lambda self: False\n"
        "from victim import guilty\n"
    )
    report, rows = audit(tmp_path, victim={"victim/__init__.py": forged, "victim/guilty.EXT": "extension"})
    assert rows["victim"].verdict is not Verdict.READY
    assert report.exit_code in (1, 3)
