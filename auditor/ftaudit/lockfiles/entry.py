"""The front door: chooses the input, the reader for its format, and how its packages are arrived at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ftaudit.errors import FtauditError, InputError
from ftaudit.lockfiles.files import read_toml
from ftaudit.lockfiles.requirements import InputFormat, ReferenceKind, Requirements
from ftaudit.lockfiles.selection import ResolveOptions, Selection
from ftaudit.target import Platform, Target

LOOKED_FOR: Final = "pylock.toml, uv.lock, pylock.*.toml, requirements.txt, pyproject.toml, requirements*.txt and *.in"
_NOT_FOR_USE: Final = ("dev", "test", "doc", "lint", "ci", "build", "constraint")


def find_input(folder: Path) -> Path:
    """Return the input file of a folder that says most precisely what is installed.

    A lock file comes first, then `requirements.txt`, then another requirements file that pins everything and is
    not named for development, then `pyproject.toml`, then any requirements file. Raise `InputError` when there
    is none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    found = next(_candidates(folder), None)
    if found is None:
        raise InputError(f"{folder} holds no input", hint=f"looked for {LOOKED_FOR}")
    return found


def _candidates(folder: Path) -> Iterator[Path]:
    requirements = sorted((*folder.glob("requirements*.txt"), *folder.glob("requirements*.in")))
    requirements = [path for path in requirements if path.is_file()]
    fixed = (
        folder / "pylock.toml",
        folder / "uv.lock",
        *sorted(folder.glob("pylock.*.toml")),
        folder / "requirements.txt",
    )
    yield from (path for path in fixed if path.is_file())
    in_use = [path for path in requirements if not any(word in path.stem.lower() for word in _NOT_FOR_USE)]
    yield from (path for path in in_use if path.suffix == ".txt" and _pins_everything(path))
    if (folder / "pyproject.toml").is_file() and _has_project(folder / "pyproject.toml"):
        yield folder / "pyproject.toml"
    yield from in_use
    yield from requirements


def _pins_everything(path: Path) -> bool:
    try:
        roots = read(path).roots
    except FtauditError:
        return False
    return all(root.exact or (root.reference and root.reference.kind is ReferenceKind.FILE) for root in roots)


def _has_project(path: Path) -> bool:
    """Tell whether a `pyproject.toml` is a project's; a malformed one is taken, for its error is worth telling."""
    try:
        document, _ = read_toml(path)
    except InputError:
        return True
    return "project" in document


def format_of(path: Path) -> InputFormat:
    """Return the format of an input by its name; raise `InputError` for one that is not known."""
    name = path.name.lower()
    if name == "uv.lock":
        return InputFormat.UV_LOCK
    if name == "pylock.toml" or (name.startswith("pylock.") and name.endswith(".toml")):
        return InputFormat.PYLOCK
    if name.endswith((".txt", ".in")):
        return InputFormat.REQUIREMENTS_TXT
    if name == "pyproject.toml":
        return InputFormat.PYPROJECT
    known = "requirements files (*.txt, *.in), pylock.toml, uv.lock and pyproject.toml"
    if not name.endswith((".toml", ".lock")) or not path.is_file():
        raise InputError(f"{path} is of no known format", hint=f"ftaudit reads {known}")
    document, _ = read_toml(path)
    match document:
        case {"lock-version": _}:
            return InputFormat.PYLOCK
        case {"version": _, "package": _, "requires-python": _}:
            return InputFormat.UV_LOCK
        case {"project": _}:
            return InputFormat.PYPROJECT
        case _:
            raise InputError(f"{path} is of no known format", hint=f"ftaudit reads {known}")


def read(
    path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = (), all_extras: bool = False
) -> Requirements:
    """Return what an input file asks for, with the chosen extras and dependency groups of the project.

    Raise `InputError`, naming the place, for a file that cannot be read as what it is; `UsageError` for an extra
    or group that it does not have. A requirements file has neither.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist", hint=f"name an input file; known are {LOOKED_FOR}")
    if path.is_dir():
        raise InputError(f"{path} is a folder", hint="name a requirements or lock file in it")
    match format_of(path):
        case InputFormat.REQUIREMENTS_TXT:
            from ftaudit.lockfiles import requirements_txt

            if extras or groups:
                raise InputError(f"{path} is a requirements file: it has no extras and no dependency groups")
            return requirements_txt.read(path)
        case InputFormat.PYLOCK:
            from ftaudit.lockfiles import pylock

            return pylock.read(path, extras=extras, groups=groups, all_extras=all_extras)
        case InputFormat.UV_LOCK:
            from ftaudit.lockfiles import uv_lock

            return uv_lock.read(path, extras=extras, groups=groups, all_extras=all_extras)
        case InputFormat.PYPROJECT:
            from ftaudit.lockfiles import pyproject

            return pyproject.read(path, extras=extras, groups=groups, all_extras=all_extras)


def pins(requirements: Requirements, target: Target, platform: Platform, options: ResolveOptions) -> Selection:
    """Return the packages to judge for the target on the platform.

    A lock file is walked without network. Other inputs are resolved through uv, as `options` say. Raise
    `InputError` for a marker that is malformed, `ResolutionError` when uv cannot be run.
    """
    if requirements.lock is not None:
        from ftaudit.lockfiles.locked import pins_of_lock

        return pins_of_lock(requirements, requirements.lock, target, platform, no_deps=options.no_deps)
    from ftaudit.lockfiles.resolve import resolve

    return resolve(requirements, target, platform, options)
