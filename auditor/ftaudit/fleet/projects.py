"""The projects of a fleet: repositories in folders, inputs, and lines of a manifest."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ftaudit import lockfiles
from ftaudit.errors import InputError

DEEPEST: Final = 4
"""How many folders below the named one a repository can be: `host/organization/team/repository`."""
_SKIPPED: Final = frozenset({"node_modules", "__pycache__", "site-packages", "venv"})


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundProject:
    """One project to judge."""

    project: str
    """Its identity: the input as it was given, or the path of the repository."""
    name: str
    owner: str | None = None
    path: str
    """The input, or a folder whose most precise input is read."""


def find_projects(paths: Iterable[Path], manifests: Iterable[Path]) -> list[FoundProject]:
    """Return the projects, each once; a repository without an input is a project too, and its reading fails.

    Raise `InputError` for a path that does not exist, a malformed manifest, and without any project.
    """
    found: dict[str, FoundProject] = {}
    for manifest in manifests:
        for project in _in_manifest(manifest):
            found.setdefault(project.project, project)
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist", hint="name a folder of repositories, or an input")
        for place in _repositories(path) if path.is_dir() else (path,):
            found.setdefault(str(place), _project(place))
    if not found:
        raise InputError("no project given", hint="name a folder of repositories, inputs, or a --manifest")
    return list(found.values())


def _project(place: Path) -> FoundProject:
    named = place if place.is_dir() else place.parent
    return FoundProject(project=str(place), name=named.resolve().name or str(place), path=str(place))


def _repositories(folder: Path) -> Iterator[Path]:
    """Yield a folder if it is a project, or else the projects below it; or the folder itself."""
    below = list(_below(folder, DEEPEST))
    yield from below or (folder,)


def _below(folder: Path, depth: int) -> Iterator[Path]:
    if _is_project(folder):
        yield folder
        return
    if depth == 0:
        return
    try:
        inside = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    for name in inside:
        if not name.startswith(".") and name not in _SKIPPED:
            yield from _below(folder / name, depth - 1)


def _is_project(folder: Path) -> bool:
    """Return whether a folder is a repository, or has an input."""
    if (folder / ".git").exists():
        return True
    try:
        lockfiles.find_input(folder)
    except (InputError, OSError):
        return False
    return True


def _in_manifest(path: Path) -> Iterator[FoundProject]:
    """Yield the projects of a manifest: lines of `INPUT`, `INPUT,NAME` or `INPUT,NAME,OWNER`, in CSV (RFC 4180).

    Paths are relative to the manifest. Empty lines and lines that begin with `#` are ignored.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"the manifest {path} cannot be read: {why}") from error
    lines = text.splitlines()
    try:
        rows = list(csv.reader(lines))
    except csv.Error as error:
        raise InputError(f"the manifest {path} is not CSV: {error}") from error
    for number, row in enumerate(rows, 1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0].startswith("#"):
            continue
        if len(cells) > 3 or not cells[0]:
            raise InputError(
                f"line {number} of the manifest {path} is not `INPUT,NAME,OWNER`", hint="quote a cell with a comma"
            )
        place, name, owner = (*cells, "", "")[:3]
        whole = path.parent / place
        known = _project(whole)
        yield FoundProject(project=str(whole), name=name or known.name, owner=owner or None, path=str(whole))
