"""`ftaudit-guard`: the guard and the pytest plugin as a distribution that needs nothing else."""

from __future__ import annotations

import email
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.guarded import Application, make_application

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guard")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    ran = subprocess.run(command, cwd=ROOT / "auditor" / "guard", capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (found,) = folder.glob("*.whl")
    return found


def test_it_requires_no_other_distribution(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Name"] == "ftaudit-guard"
    assert metadata.get_all("Requires-Dist") is None


@pytest.mark.interpreter
def test_a_session_in_which_it_is_installed_needs_only_the_option(wheel: Path, tmp_path: Path) -> None:
    application = make_application(tmp_path)
    application.write({"test_it.py": "def test_one():\n    import lib.guilty\n"})
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(application.site)
    ran = _run(application, "-m", "pytest", "-p", "no:cacheprovider", "--ftaudit-gil", "test_it.py")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    last = ran.stdout.splitlines()[-1]
    assert last == "ftaudit: the session failed because the GIL was turned on by lib.guilty"


@pytest.mark.interpreter
def test_a_program_is_guarded_by_an_import(wheel: Path, tmp_path: Path) -> None:
    application = make_application(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(application.site)
    ran = _run(application, "-c", "import ftaudit.guard; import lib.guilty")
    assert ran.returncode == 1
    assert "ftaudit.guard.GilEnabledError: the GIL was turned on by an import: lib.guilty" in ran.stderr


def _run(application: Application, *arguments: str) -> subprocess.CompletedProcess[str]:
    return application.run(*arguments, auditor=False)
