"""The projects of a fleet: repositories in folders, inputs, and lines of a manifest."""

from __future__ import annotations

import contextlib
import csv
import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ftaudit import lockfiles
from ftaudit.errors import InputError
from ftaudit.fleet.plain_names import escape

DEEPEST: Final = 4
"""How many folders below the named one a repository can be: `host/organization/team/repository`."""
MOST_FOLDERS: Final = 2_000
"""How many subfolders of one project are searched for further inputs."""
_LONGEST: Final = 200
"""Characters of a path in a message."""
_HEADER: Final = ("input", "name", "owner")
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


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundProjects:
    """The projects of a fleet."""

    projects: tuple[FoundProject, ...]
    """Each once."""
    notes: tuple[str, ...]
    """Lines of manifests that repeat an input, one sentence each."""


def find_projects(paths: Iterable[Path], manifests: Iterable[Path]) -> FoundProjects:
    """Return the projects, each once; a repository without an input is a project too, and its reading fails.

    Raise `InputError` for a path that does not exist, a malformed manifest, and without any project.
    """
    found: dict[str, FoundProject] = {}
    lines: dict[str, str] = {}
    notes: list[str] = []
    for manifest in manifests:
        for number, project in _in_manifest(manifest):
            place = _identity(project)
            line = f"line {number} of the manifest {manifest}"
            if place in found:
                name = f"{project.name}, {project.owner}" if project.owner else project.name
                notes.append(f"{line} ({name}) is not used: {lines[place]} has the same input, {project.path}")
            found.setdefault(place, project)
            lines.setdefault(place, line)
    for path in paths:
        if not _exists(path):
            raise InputError(f"{path} does not exist", hint="specify a folder of repositories, or an input")
        for repository in _repositories(path) if _is_folder(path) else (path,):
            project = _project(repository)
            found.setdefault(_identity(project), project)
    if not found:
        raise InputError("no project given", hint="specify a folder of repositories, inputs, or a --manifest")
    return FoundProjects(projects=tuple(_distinct(found.values())), notes=tuple(notes))


def _distinct(projects: Iterable[FoundProject]) -> Iterator[FoundProject]:
    """Yield the projects with an identity each: the escaped path of one can be the path of another, which keeps it."""
    taken: set[str] = set()
    for project in sorted(projects, key=lambda each: escape(each.path) != each.path):
        identity, number = project.project, 1
        while identity in taken:
            number += 1
            identity = f"{project.project} ({number})"
        taken.add(identity)
        yield replace(project, project=identity)


@dataclass(frozen=True, kw_only=True, slots=True)
class InputsBelow:
    """The inputs in the subfolders of a project."""

    paths: tuple[Path, ...]
    """The most precise input of each subfolder, by path."""
    is_whole: bool
    """Whether every subfolder was searched."""


def find_inputs_below(folder: Path) -> InputsBelow:
    """Return the inputs in the subfolders of a folder, `DEEPEST` folders down and in at most `MOST_FOLDERS` folders."""
    found: list[Path] = []
    waiting = deque((inside, 1) for inside in _subfolders(folder))
    seen = 0
    while waiting and seen < MOST_FOLDERS:
        place, depth = waiting.popleft()
        seen += 1
        with contextlib.suppress(InputError, OSError):
            if (given := lockfiles.seek_input(place)) is not None:
                found.append(given)
        if depth < DEEPEST:
            waiting.extend((inside, depth + 1) for inside in _subfolders(place))
    return InputsBelow(paths=tuple(sorted(set(found))), is_whole=not waiting)


def _subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder that can have projects, by name; none if it cannot be read."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []
    return [folder / name for name in names if not name.startswith(".") and name not in _SKIPPED]


def _identity(project: FoundProject) -> str:
    """Return where a project is, in whatever way its path is written."""
    return str(_resolved(Path(project.path)))


def _project(place: Path) -> FoundProject:
    named = place if _is_folder(place) else place.parent
    return FoundProject(
        project=escape(str(place)), name=escape(_resolved(named).name or str(place)), path=os.fspath(place)
    )


def _exists(path: Path) -> bool:
    """Return whether a path exists; raise `InputError` for one that no file can have."""
    try:
        return path.exists()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{_shortened(path)} cannot be read: {why}") from error


def _shortened(path: Path) -> str:
    text = str(path)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _is_folder(path: Path) -> bool:
    """Return whether a path is a folder; one that cannot be looked up is not."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _resolved(path: Path) -> Path:
    """Return a path without links, or the path itself if it cannot be followed: its links have no end, or it is too
    long.
    """
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return path.absolute()


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
    for inside in _subfolders(folder):
        yield from _below(inside, depth - 1)


def _is_project(folder: Path) -> bool:
    """Return whether a folder is a repository, has an input, or cannot be read: then its reading fails."""
    try:
        with os.scandir(folder):
            pass
        return (folder / ".git").exists() or lockfiles.seek_input(folder) is not None
    except InputError:
        return False
    except OSError:
        return True


def _in_manifest(path: Path) -> Iterator[tuple[int, FoundProject]]:
    """Yield the projects of a manifest with the numbers of their lines.

    A line is `INPUT`, `INPUT,NAME` or `INPUT,NAME,OWNER`, in CSV (RFC 4180). Paths are relative to the manifest. Empty
    lines, lines that begin with `#` and a header line are ignored. A cell ends on its line.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"the manifest {path} cannot be read: {why}") from error
    is_first = True
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        cells = _cells(line, f"line {number} of the manifest {path}")
        is_header = is_first and tuple(cell.lower() for cell in cells) == _HEADER[: len(cells)]
        is_first = False
        if is_header and not (path.parent / cells[0]).exists():
            continue
        place, name, owner = (*cells, "", "")[:3]
        whole = path.parent / place
        known = _project(whole)
        project = replace(known, name=name or known.name, owner=owner or None)
        yield number, project


def _cells(line: str, where: str) -> list[str]:
    """Return the cells of a line; raise `InputError`, with the place of the line, for a malformed one."""
    try:
        if line.count('"') % 2:
            raise InputError(f"{where} has a quote without its pair", hint='write a quote in a cell as `"a ""b"""`')
        (row,) = csv.reader([line], strict=True, skipinitialspace=True)
    except csv.Error as error:
        raise InputError(f"{where} is not CSV: {error}", hint="quote a whole cell, with nothing around it") from error
    cells = [cell.strip() for cell in row]
    if len(cells) > len(_HEADER) or not cells[0]:
        raise InputError(f"{where} is not `INPUT,NAME,OWNER`", hint="quote a cell with a comma")
    return cells
