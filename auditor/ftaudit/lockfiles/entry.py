"""The entry point: chooses the input, the reader for its format, and the way to determine its packages."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement

from ftaudit.errors import FtauditError, InputError
from ftaudit.lockfiles.input_files import is_stream, read_toml
from ftaudit.lockfiles.requirements import InputFormat, ReferenceKind, Requirements
from ftaudit.lockfiles.selection import ResolveOptions, Selection
from ftaudit.lockfiles.sniff import format_of
from ftaudit.target import Platform, Target

LOOKED_FOR: Final = (
    "pylock.toml, uv.lock, poetry.lock, pdm.lock, Pipfile.lock, pylock.*.toml, requirements.txt, pyproject.toml, "
    "requirements*.txt and *.in, environment.yml, wheels"
)
_LOCKS: Final = ("pylock.toml", "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock")
"""The file that every installer reads comes first, then by content: URLs, edges, files, or only hashes."""
_NOT_FOR_USE: Final = ("dev", "test", "doc", "lint", "ci", "build", "constraint")
_MOST_ENTRIES: Final = 100_000


def find_input(folder: Path) -> Path:
    """Return the input file of a folder that describes the installed packages most precisely.

    A lock file comes first, then `requirements.txt`, then another requirements file that pins everything and is not
    named for development, then `pyproject.toml`, then any requirements file, then `environment.yml`. Raise `InputError`
    if there is no such file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    found = seek_input(folder)
    if found is None:
        hint = _nearest(folder)
        raise InputError(f"no supported input file found in {folder}", hint=f"{hint}looked for {LOOKED_FOR}")
    return found


def seek_input(folder: Path) -> Path | None:
    """Return what `find_input` returns, or `None` if the folder has no input."""
    return next(_candidates(folder), None)


def _candidates(folder: Path) -> Iterator[Path]:
    requirements = sorted((*folder.glob("requirements*.txt"), *folder.glob("requirements*.in")))
    requirements = [path for path in requirements if path.is_file()]
    fixed = (
        *(folder / name for name in _LOCKS),
        *sorted(folder.glob("pylock.*.toml")),
        folder / "requirements.txt",
    )
    yield from (path for path in fixed if path.is_file())
    in_use = [path for path in requirements if not any(word in path.stem.lower() for word in _NOT_FOR_USE)]
    yield from (path for path in in_use if path.suffix == ".txt" and _pins_everything(path))
    if (folder / "pyproject.toml").is_file() and _has_project(folder / "pyproject.toml"):
        yield folder / "pyproject.toml"
    if any((folder / name).is_file() for name in ("setup.cfg", "setup.py")) and _states_metadata(folder):
        yield folder / ("setup.cfg" if (folder / "setup.cfg").is_file() else "setup.py")
    yield from in_use
    yield from requirements
    yield from _in_requirements_folder(folder)
    yield from (path for name in ("environment.yml", "environment.yaml") if (path := folder / name).is_file())


_MAIN_NAMES: Final = (
    "production",
    "prod",
    "main",
    "requirements",
    "base",
    "default",
    "common",
    "core",
    "app",
    "runtime",
)
"""Names of files in a `requirements` folder that list the installed packages for production, the likeliest first."""


def _in_requirements_folder(folder: Path) -> Iterator[Path]:
    """Yield the files of a `requirements` folder, or of a folder of that name, those for production first."""
    place = folder if folder.absolute().name == "requirements" else folder / "requirements"
    files = [path for path in (*sorted(place.glob("*.txt")), *sorted(place.glob("*.in"))) if path.is_file()]
    in_use = [path for path in files if not any(word in path.stem.lower() for word in _NOT_FOR_USE)]
    stems = {name: number for number, name in enumerate(_MAIN_NAMES)}
    yield from sorted(in_use, key=lambda path: stems.get(path.stem.lower(), len(stems)))
    yield from (path for path in files if path not in in_use)


def _states_metadata(folder: Path) -> bool:
    """Return whether `setup.cfg` or `setup.py` states the project's dependencies statically."""
    from ftaudit.lockfiles.formats import setuptools_project

    try:
        return setuptools_project.is_stated(folder)
    except InputError:
        return False


def find_others(folder: Path, taken: Path) -> tuple[Path, ...]:
    """Return the other files in a folder that could have been its input."""
    return tuple(dict.fromkeys(path for path in _candidates(folder) if path != taken))


def _nearest(folder: Path) -> str:
    """Return what exists that another command can turn into an input."""
    if (folder / "Pipfile").is_file():
        return "run `pipenv lock` to create a Pipfile.lock; "
    tool = _tool_of(folder / "pyproject.toml") if (folder / "pyproject.toml").is_file() else None
    if tool in ("poetry", "pdm"):
        return (
            f"its pyproject.toml has no [project] table; run `{tool} lock`, or specify a requirements file or an "
            "environment (--env); "
        )
    if tool is None and ((folder / "setup.py").is_file() or (folder / "setup.cfg").is_file()):
        return "setup.py computes its dependencies, and ftaudit does not run it; specify an environment with --env; "
    if (folder / "pyproject.toml").is_file():
        return "its pyproject.toml has no [project] table; specify a requirements file or an environment (--env); "
    return ""


def _tool_of(path: Path) -> str | None:
    """Return the tool whose table in a `pyproject.toml` has the dependencies."""
    try:
        tools = read_toml(path)[0].get("tool", {})
    except InputError:
        return None
    return next((tool for tool in ("poetry", "pdm", "flit") if tool in tools), None)


def _pins_everything(path: Path) -> bool:
    try:
        roots = read(path).roots
    except FtauditError:
        return False
    return all(root.exact or (root.reference and root.reference.kind is ReferenceKind.FILE) for root in roots)


def _has_project(path: Path) -> bool:
    """Return whether a `pyproject.toml` describes a project; a malformed file counts, so that its error is reported."""
    try:
        document, _ = read_toml(path)
    except InputError:
        return True
    return "project" in document or ("build-system" in document and _states_metadata(path.parent))


def read(
    path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = (), all_extras: bool = False
) -> Requirements:
    """Return the requirements of an input, with the chosen extras and dependency groups of the project.

    A folder is an environment, a folder of wheels, or stands for its most precise input. A name that is not a file can
    be a requirement itself (`is_requirement`). Raise `InputError`, naming the place, for a malformed input,
    `UsageError` for an unknown extra or group.
    """
    try:
        is_missing = not path.exists() and not is_stream(path)
    except (OSError, ValueError) as error:  # No file can have this path.
        is_missing = True
        if not is_requirement(str(path)):
            why = error.strerror if isinstance(error, OSError) else error
            raise InputError(f"{path} cannot be read: {why}", hint="check the path") from error
    if is_missing:
        if not is_requirement(str(path)):
            raise InputError(f"{path} does not exist", hint=_instead_of(str(path)))
        from ftaudit.lockfiles.formats import requirements_txt

        return requirements_txt.read_lines(path, {1: str(path)})
    kind = None
    if path.is_dir():
        kind = _kind_of_folder(path)
        if kind is None:
            folder, path = path, find_input(path)
            beside = tuple(str(each) for each in find_others(folder, path))
            return replace(_read(path, format_of(path), extras, groups, all_extras), beside=beside)
    return _read(path, kind or format_of(path), extras, groups, all_extras)


def is_requirement(name: str) -> bool:
    """Return whether an input that is not a file is a requirement itself, such as `lxml==6.1.3` or `uvicorn[standard]`.

    A name without a version or an extra does not count: it could be a missing file.
    """
    with contextlib.suppress(InvalidRequirement):
        requirement = Requirement(name)
        return bool(requirement.specifier or requirement.extras) and requirement.url is None
    return False


def _instead_of(name: str) -> str:
    """Return the likely correct name instead of a file that does not exist: perhaps a package was meant."""
    with contextlib.suppress(InvalidRequirement):
        if "." not in Requirement(name).name:
            return f"for a package, specify a version: `ftaudit check '{name}==VERSION'`, or `ftaudit wheel {name}`"
    return f"specify an input file: {LOOKED_FOR}"


def find_environment(path: Path) -> Path:
    """Return the folder of packages of a virtual environment or a prefix; if there are several, return the whole
    prefix.

    Raise `InputError` for one without installed packages, or with those of several Pythons.
    """
    from ftaudit.lockfiles.formats import installed

    folders = installed.find_folders(path)
    return folders[0] if len(folders) == 1 else path


def _kind_of_folder(folder: Path) -> InputFormat | None:
    """Distinguish an environment and a folder of wheels from a project folder."""
    names = [path.name for path in itertools.islice(folder.iterdir(), _MOST_ENTRIES)]
    if {"pyvenv.cfg", "conda-meta"} & set(names) or any(name.endswith(".dist-info") for name in names):
        return InputFormat.ENVIRONMENT
    if next(_candidates(folder), None) is not None:
        return None
    if any(name.endswith((".whl", ".conda")) or _is_conda(folder / name) for name in names):
        return InputFormat.WHEELS
    return InputFormat.ENVIRONMENT if _holds_packages(folder) else None


def _is_conda(path: Path) -> bool:
    if not path.name.endswith(".tar.bz2"):
        return False
    from ftaudit.wheel.conda_package import is_conda

    return is_conda(path)


def _holds_packages(folder: Path) -> bool:
    """Return whether a folder contains packages, or is a prefix or the root of a file system with such folders."""
    from ftaudit.lockfiles.formats import installed

    if folder.name in ("site-packages", "dist-packages"):
        return True
    try:
        return bool(installed.find_folders(folder))
    except InputError:
        return False


def _read(
    path: Path, kind: InputFormat, extras: Sequence[str], groups: Sequence[str], all_extras: bool
) -> Requirements:
    """Pass the file to the reader of its format, which is imported only for it."""
    match kind:
        case InputFormat.REQUIREMENTS_TXT | InputFormat.CONDA | InputFormat.ENVIRONMENT | InputFormat.WHEELS:
            if extras or groups:
                raise InputError(f"{path} is not a project file ({kind}): it has no extras or dependency groups")
            return _read_plain(path, kind)
        case InputFormat.PYLOCK:
            from ftaudit.lockfiles.formats import pylock

            return pylock.read(path, extras=extras, groups=groups, all_extras=all_extras)
        case InputFormat.UV_LOCK:
            from ftaudit.lockfiles.formats import uv_lock

            return uv_lock.read(path, extras=extras, groups=groups, all_extras=all_extras)
        case InputFormat.POETRY_LOCK:
            from ftaudit.lockfiles.formats import poetry_lock

            return poetry_lock.read(path, extras=extras, groups=groups, all_extras=all_extras)
        case InputFormat.PDM_LOCK:
            from ftaudit.lockfiles.formats import pdm_lock

            return pdm_lock.read(path, extras=extras, groups=groups, all_extras=all_extras)
        case InputFormat.PIPFILE_LOCK:
            from ftaudit.lockfiles.formats import pipfile_lock

            return pipfile_lock.read(path, extras=extras, groups=groups, all_extras=all_extras)
        case InputFormat.SCRIPT:
            from ftaudit.lockfiles.formats import script

            return script.read(path, extras=extras, groups=groups, all_extras=all_extras)
        case InputFormat.TOX:
            from ftaudit.lockfiles.formats import tox

            return tox.read(path, extras=extras, groups=groups, all_extras=all_extras)
        case InputFormat.PIXI_LOCK | InputFormat.CONDA_LOCK:
            from ftaudit.lockfiles.formats import conda_locks

            return conda_locks.read(path, extras=extras, groups=groups, all_extras=all_extras)
        case InputFormat.PIP_LIST | InputFormat.PIP_INSPECT | InputFormat.CYCLONEDX | InputFormat.SPDX:
            from ftaudit.lockfiles.formats import records

            if extras or groups:
                raise InputError(f"{path} is not a project file ({kind}): it has no extras or dependency groups")
            return records.read(path)
        case InputFormat.SETUPTOOLS:
            from ftaudit.lockfiles.formats import setuptools_project

            return setuptools_project.read(path, extras=extras, groups=groups, all_extras=all_extras)
        case InputFormat.PYPROJECT:
            from ftaudit.lockfiles.formats import pyproject

            return pyproject.read(path, extras=extras, groups=groups, all_extras=all_extras)


def _read_plain(path: Path, kind: InputFormat) -> Requirements:
    if kind is InputFormat.CONDA:
        from ftaudit.lockfiles.formats import conda

        return conda.read(path)
    if kind is InputFormat.ENVIRONMENT:
        from ftaudit.lockfiles.formats import installed

        return installed.read(path)
    if kind is InputFormat.WHEELS:
        from ftaudit.lockfiles.formats import wheelhouse

        return wheelhouse.read(path)
    from ftaudit.lockfiles.formats import requirements_txt

    return requirements_txt.read(path)


def _obeying(selection: Selection, requirements: Requirements) -> Selection:
    """Return the selection with the `--no-binary` and `--only-binary` options of the input applied to each package.

    Files that a requirement names by URL or path are not affected.
    """
    index = requirements.index
    if not (index.no_binary or index.only_binary):
        return selection
    pins = tuple(
        pin
        if pin.files is not None and requirements.lock is None
        else replace(pin, no_binary=not index.allows_wheels(pin.name), only_binary=not index.allows_builds(pin.name))
        for pin in selection.pins
    )
    return replace(selection, pins=pins)


def pins(requirements: Requirements, target: Target, platform: Platform, options: ResolveOptions) -> Selection:
    """Return the packages to judge for the target on the platform.

    A lock file is walked without network; if it has no dependency edges, uv finds them. Other inputs are resolved
    through uv, according to `options`. Raise `InputError` for a malformed marker, `ResolutionError` if uv cannot be
    run.
    """
    from ftaudit.lockfiles.stale import describe_stale

    selection = _obeying(_pins(requirements, target, platform, options), requirements)
    stale = describe_stale(requirements, read)
    return replace(selection, incomplete=(*selection.incomplete, stale)) if stale else selection


def _pins(requirements: Requirements, target: Target, platform: Platform, options: ResolveOptions) -> Selection:
    if requirements.lock is not None:
        from ftaudit.lockfiles.locked import pins_of_lock

        selection = pins_of_lock(requirements, requirements.lock, target, platform, no_deps=options.no_deps)
        if requirements.lock.knows_edges or options.no_deps or options.index_urls is None:
            return selection
        from ftaudit.lockfiles.resolve.edges import with_edges

        return with_edges(requirements, requirements.lock, selection, target, platform, options)
    from ftaudit.lockfiles.resolve.unpinned import resolve

    return resolve(requirements, target, platform, options)
