"""Reads setuptools projects without `[project]`: `setup.cfg`, and literals of `setup.py`; no code is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from ftaudit.errors import InputError
from ftaudit.lockfiles.fields import check_known
from ftaudit.lockfiles.formats import requirements_txt
from ftaudit.lockfiles.formats.setuptools_files import SetuptoolsProject, read_setuptools
from ftaudit.lockfiles.input_files import read_text
from ftaudit.lockfiles.requirements import KNOWN_FORMATS, InputFormat, InputRequirement, Problem, Requirements
from ftaudit.model import Location

FILES: Final = ("setup.cfg", "setup.py")


def is_project(folder: Path) -> bool:
    """Return whether the folder contains a setuptools project: a `setup.py`, or a `setup.cfg` with metadata."""
    config = folder / "setup.cfg"
    return (folder / "setup.py").is_file() or (config.is_file() and "[metadata]" in read_text(config))


def is_stated(folder: Path) -> bool:
    """Return whether the files of a folder state the project's dependencies, at least in part."""
    found = state(folder)
    return found is not None and (found.name is not None or found.dependencies is not None) and is_project(folder)


def state(folder: Path) -> SetuptoolsProject | None:
    """Return what the setuptools files of a folder state, or `None` if it has none."""
    texts = {name: read_text(folder / name) for name in FILES if (folder / name).is_file()}
    # A script that calls nothing states nothing, unlike a missing script.
    script = texts["setup.py"] or "pass" if "setup.py" in texts else ""
    return read_setuptools(texts.get("setup.cfg", ""), script) if texts else None


def read(
    path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = (), all_extras: bool = False
) -> Requirements:
    """Return the dependencies of the project of a `setup.cfg`, `setup.py`, or `pyproject.toml`.

    A value that `setup.py` computes at run time is a problem row. Raise `InputError` for a file that cannot be read,
    `UsageError` for an unknown extra or group.
    """
    project = state(path.parent) or SetuptoolsProject(dependencies=())
    if path.name in FILES and project.dependencies is None and project.name is None:
        raise InputError(
            f"{path} has no metadata that can be read without running it",
            hint=(
                "specify an environment in which it is installed (--env), or a lock file; ftaudit reads "
                f"{KNOWN_FORMATS}"
            ),
        )
    place = Location(path=str(path))
    name = project.name or path.parent.absolute().name or "project"
    roots = list(roots_of(path, project.dependencies or (), project.files))
    offered = {canonicalize_name(extra): extra for extra in (*(project.extras or ()), *project.extra_files)}
    wanted = list(offered) if all_extras else [canonicalize_name(extra) for extra in extras]
    problems = []
    if project.dependencies is None:
        message = "setup.py computes its dependencies, and ftaudit does not run it"
        problems.append(Problem(name=name, message=message, location=place))
    if project.extras is None:
        if wanted:
            message = "setup.py computes its extras, and ftaudit does not run it"
            problems.append(Problem(name=name, message=message, location=place))
    else:
        check_known("extra", wanted, offered, path)
        for extra in wanted:
            lines = project.extras.get(offered[extra], ())
            roots += roots_of(path, lines, project.extra_files.get(offered[extra], ()))
    check_known("group", groups, (), path)
    return Requirements(
        path=path,
        format=InputFormat.SETUPTOOLS,
        roots=tuple(roots),
        left_out=tuple(f"extra {name}" for name in sorted(set(offered) - set(wanted))),
        problems=tuple(problems),
    )


def roots_of(path: Path, lines: Sequence[str], files: Sequence[str]) -> tuple[InputRequirement, ...]:
    """Return requirements from lines in a file of another format, or in files next to it."""
    found = requirements_txt.read_lines(path, dict(enumerate(lines, start=1))).roots if lines else ()
    # The lines come from a table: their numbers are not those of the file.
    placed = tuple(_at(each, path) for each in found)
    return (*placed, *read_files(path.parent, files))


def _at(requirement: InputRequirement, path: Path) -> InputRequirement:
    return replace(requirement, location=Location(path=str(path)))


def read_files(folder: Path, files: Sequence[str]) -> tuple[InputRequirement, ...]:
    """Return the requirements in the files that a project names as its dependencies."""
    return tuple(root for name in files for root in requirements_txt.read(folder / name).roots)
