"""The environment that modules are imported from: exactly the wheels that were judged, installed by uv, cached."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from packaging.utils import NormalizedName

from ftaudit.errors import ResolutionError
from ftaudit.folders import remove_tree
from ftaudit.model import Interpreter
from ftaudit.processes import find_uv, run_tool
from ftaudit.sandbox.failures import escape
from ftaudit.sandbox.sandbox_settings import SandboxSettings, WheelToImport
from ftaudit.whole_files import digest_of

FORMAT: Final = "2"
"""Increased when the content of an environment changes, so that old environments are not reused."""
_DONE: Final = "complete.json"
_PACKAGES: Final = "packages"
_BYTECODE: Final = "bytecode"


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """A folder of installed wheels, locked against pruning while it is open."""

    path: Path
    bytecode: Path
    """A folder with one for each distribution, for the Python code that its imports compile."""
    failures: dict[NormalizedName, str]
    """Each wheel that could not be installed, with the reason."""


@contextlib.contextmanager
def open_environment(
    interpreter: Interpreter, wheels: Sequence[WheelToImport], *, settings: SandboxSettings, safe_to_link: bool
) -> Iterator[Environment]:
    """Make, or find in the cache, the environment of exactly these wheels, and hold it while it is used.

    It is a plain folder that uv installs into (`--target`), not a virtual environment: nothing that we or uv start
    outside the sandbox ever runs a `.pth` file out of it. One bad wheel is a row and does not lose the rest.
    `safe_to_link` says that modules cannot write to files which uv's cache shares. Raise `ResolutionError` if uv
    cannot be run at all.
    """
    import fcntl

    uv = find_uv()
    home = settings.cache_dir / "environments"
    home.mkdir(parents=True, exist_ok=True)
    folder = home / _key(interpreter, wheels)
    with _locked(home / f"{folder.name}.lock") as lock:
        if not (folder / _DONE).exists():
            remove_tree(folder)
            folder.mkdir()
            failures = _Installer(uv, interpreter, folder, settings, safe_to_link).install(wheels)
            if not failures:
                (folder / _DONE).write_text(json.dumps([wheel.filename for wheel in wheels]), encoding="utf-8")
        else:
            failures = {}
            os.utime(folder / _DONE)
        # From here on others may use it at the same time, and none may remove it.
        fcntl.flock(lock, fcntl.LOCK_SH)
        _prune(home, keep=settings.keep_environments, current=folder.name)
        (folder / _PACKAGES).mkdir(parents=True, exist_ok=True)
        yield Environment(path=folder / _PACKAGES, bytecode=folder / _BYTECODE, failures=failures)


def _key(interpreter: Interpreter, wheels: Sequence[WheelToImport]) -> str:
    described = [FORMAT, interpreter.path, interpreter.build]
    for wheel in sorted(wheels, key=lambda wheel: wheel.name):
        content = wheel.sha256 or _digest(wheel.location)
        described.append(f"{wheel.name} {wheel.version} {wheel.filename} {content}")
    return hashlib.sha256("\n".join(described).encode()).hexdigest()[:32]


def _digest(location: str) -> str:
    """Return the identity of a wheel without a given hash: a local file's content, else its address."""
    path = Path(location.removeprefix("file://"))
    if not path.is_file():
        return location
    return digest_of(path)


class _Installer:
    def __init__(
        self, uv: Path, interpreter: Interpreter, folder: Path, settings: SandboxSettings, safe_to_link: bool
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._command: list[str | Path] = [
            *(uv, "pip", "install", "--quiet", "--python", interpreter.path, "--target", folder / _PACKAGES),
            *("--no-deps", "--no-index", "--only-binary", ":all:"),
            *("--link-mode", "hardlink" if safe_to_link else "copy", "--no-progress", "--color", "never"),
            *(["--offline"] if settings.offline else []),
            *settings.uv_arguments,
        ]

    def install(self, wheels: Sequence[WheelToImport]) -> dict[NormalizedName, str]:
        """Install what can be installed; halve a set that fails until only the wheel at fault remains."""
        if not wheels:
            return {}
        error = self._try(wheels)
        if error is None:
            return {}
        if len(wheels) == 1:
            return {wheels[0].name: error}
        middle = len(wheels) // 2
        return self.install(wheels[:middle]) | self.install(wheels[middle:])

    def _try(self, wheels: Sequence[WheelToImport]) -> str | None:
        for wheel in wheels:
            if any(character.isspace() for character in wheel.location + (wheel.sha256 or "")) and len(wheels) == 1:
                return f"{escape(wheel.location)} is not the address of a wheel"
        listed = self._folder / "requirements.txt"
        listed.write_text("".join(_requirement(wheel) for wheel in wheels), encoding="utf-8")
        # From our own folder, so that no `[tool.uv]` of the audited project applies.
        ran = run_tool([*self._command, "-r", listed], timeout=self._settings.install_seconds, cwd=self._folder)
        if ran.ok:
            return None
        if ran.code is None and "No such file" in ran.errors:
            raise ResolutionError(f"uv cannot be run: {ran.errors}", hint="install it: pip install uv")
        return _reason(ran.errors)


def _requirement(wheel: WheelToImport) -> str:
    location = wheel.location if "://" in wheel.location else Path(wheel.location).absolute().as_uri()
    # A space would start an option of the requirements file.
    location = location.replace(" ", "%20").replace("\n", "%0A").replace("\r", "%0D")
    hashed = f" --hash=sha256:{wheel.sha256}" if wheel.sha256 else ""
    return f"{wheel.name} @ {location}{hashed}\n"


def _reason(errors: str) -> str:
    """Return uv's error and its last cause, on one line."""
    lines = [" ".join(line.split()) for line in errors.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("error:", "cause:", "Caused by:", "×", "╰─▶"))]
    chosen = dict.fromkeys([told[0], told[-1]]) if told else dict.fromkeys(lines[-1:])
    text = "; ".join(line.removeprefix("error: ").removeprefix("cause: ") for line in chosen)
    if "Hash mismatch" in text:
        text = "its content does not match its hash"
    return escape(f"could not be installed: {text or 'uv gave no reason'}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[TextIO]:
    import fcntl

    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def _prune(home: Path, *, keep: int, current: str) -> None:
    """Remove the environments that were not used for longest, and debris; never one that a process holds."""
    import fcntl

    def used(folder: Path) -> float:
        with contextlib.suppress(OSError):
            return (folder / _DONE).stat().st_mtime
        return 0.0

    folders = sorted((path for path in home.iterdir() if path.is_dir()), key=used, reverse=True)
    old = [folder for folder in folders[keep:] if folder.name != current]
    old += [folder for folder in folders[:keep] if folder.name != current and not used(folder) and _aged(folder)]
    for folder in old:
        with (home / f"{folder.name}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            remove_tree(folder)


def _aged(folder: Path) -> bool:
    try:
        return time.time() - folder.stat().st_mtime > 24 * 3600
    except OSError:
        return False
