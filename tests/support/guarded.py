"""A small application and what it has installed, run by the free-threaded interpreter with ftaudit's own source."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.freethreaded import interpreter, make_wheel

AUDITOR = Path(__file__).parents[2] / "auditor"
PURE = ("pytest", "pluggy", "iniconfig", "packaging", "pygments", "pytest-xdist", "execnet")
"""The packages of pytest and pytest-xdist: pure Python, so that another interpreter runs the same files."""


@functools.cache
def pytest_folder() -> Path:
    """Return a folder from which any CPython imports the pytest of this test run, and nothing else."""
    folder = Path(tempfile.mkdtemp(prefix="ftaudit-pytest-"))
    for name in PURE:
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}:
            (folder / top).symlink_to(Path(str(distribution.locate_file(top))).resolve())
    return folder


@dataclass(frozen=True, kw_only=True)
class Application:
    """The user's folder, and a `site-packages` next to it."""

    folder: Path
    site: Path

    def write(self, files: Mapping[str, str]) -> None:
        """Write the user's files."""
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text, encoding="utf-8")

    def run(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        auditor: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run the interpreter with ARGUMENTS; without `auditor` only what is in `site` is found."""
        found = (AUDITOR,) if auditor else ()
        path = os.pathsep.join(map(str, (*found, self.site, pytest_folder())))
        return subprocess.run(
            [interpreter().path, *options, *arguments],
            cwd=self.folder,
            env={"PYTHONPATH": path, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **(env or {})},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )

    def pytest(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run pytest with the plugin."""
        command = ("-m", "pytest", "-p", "ftaudit.pytest_plugin", "-p", "no:cacheprovider", *arguments)
        return self.run(*command, env=env)


def make_application(tmp_path: Path) -> Application:
    """Return an application with two distributions installed.

    `lib` has the modules `lib.guilty` and `lib.silent`, which turn the GIL on, and `lib.first`, which does not;
    `middle` is a Python module of another distribution that imports `lib.guilty`.
    """
    site = tmp_path / "lib" / "site-packages"
    site.mkdir(parents=True)
    folder = tmp_path / "app"
    folder.mkdir()
    extensions = {f"lib/{name}.EXT": "extension" for name in ("guilty", "silent", "first", "nesting")}
    for name, files in (
        ("lib", {"lib/__init__.py": "", **extensions}),
        ("middle", {"middle.py": "import lib.guilty\n"}),
    ):
        wheel = make_wheel(tmp_path, name, files, version="1.2")
        with zipfile.ZipFile(wheel.location) as archive:
            archive.extractall(site)
    return Application(folder=folder, site=site)
