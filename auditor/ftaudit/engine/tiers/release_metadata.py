"""The dependencies of a version without a wheel for the platform: read, never built, so that resolution continues."""

from __future__ import annotations

import functools
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from email.message import Message
from pathlib import Path
from typing import Final

import tomli
from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from ftaudit.engine.tiers.sdists import Sdists
from ftaudit.errors import ArchiveError, FtauditError
from ftaudit.index.client import Index
from ftaudit.index.release import Query
from ftaudit.lockfiles.formats.distinfo import requires_txt_lines
from ftaudit.lockfiles.formats.setuptools_files import read_setuptools, under_extra
from ftaudit.model import DistributionFile
from ftaudit.once import Once
from ftaudit.wheel import open_wheel, parse_headers, read_metadata

STATIC_SINCE: Final = Version("2.2")
"""The first metadata version in which an sdist states which fields are not static (PEP 643)."""
LARGEST_PKG_INFO: Final = 4 << 20


class MetadataReader:
    """Finds `Requires-Dist` lines in another platform's wheel or in an sdist whose metadata is static."""

    def __init__(self, index: Index, sdists: Sdists, folder: Path, *, offline: bool) -> None:
        self._index, self._sdists, self._folder, self._offline = index, sdists, folder, offline
        self._known = Once[tuple[NormalizedName, Version], "tuple[str, ...] | None"]()

    def __call__(self, name: NormalizedName, version: Version) -> tuple[str, ...] | None:
        """Return the lines, or `None` if they are not stated without a build or the index does not answer."""
        return self._known.get((name, version), functools.partial(self._find, name, version))

    def _find(self, name: NormalizedName, version: Version) -> tuple[str, ...] | None:
        query = Query(name=name, version=version)
        files = self._index.find_releases([query])[query].files
        wheels = [file for file in files if file.filename.endswith(".whl") and file.url]
        for wheel in sorted(wheels, key=lambda file: file.size or 0)[:1]:
            if (requires := self._of_wheel(wheel)) is not None:
                return requires
        return self._of_sdist(name, version)

    def _of_wheel(self, wheel: DistributionFile) -> tuple[str, ...] | None:
        try:
            session = None if self._offline else self._index.session()
            with open_wheel(wheel.url or "", cache_dir=self._folder, session=session, sha256=wheel.sha256) as archive:
                return read_metadata(archive, wheel.filename).requires
        except ArchiveError:
            return None

    def _of_sdist(self, name: NormalizedName, version: Version) -> tuple[str, ...] | None:
        try:
            return read_sdist_requirements(self._sdists.fetch(name, version))
        except FtauditError:
            return None


def read_sdist_requirements(path: Path) -> tuple[str, ...] | None:
    """Return the `Requires-Dist` lines of an sdist, or `None` if they need a build.

    Static metadata comes first (PEP 643), then the project's own files, then what its author's build recorded in
    PKG-INFO or `requires.txt`.
    """
    try:
        texts = dict(_texts(path))
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError):
        return None
    headers = parse_headers(texts.get("PKG-INFO", ""))
    recorded = tuple(str(line) for line in headers.get_all("Requires-Dist", []))
    if _is_static(headers):
        return recorded
    for stated in (_of_project(texts), recorded or None, _of_egg_info(texts), _of_setuptools(texts)):
        if stated is not None:
            return stated
    return None


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the files that can state metadata: those at the top by their names, and `requires.txt`."""
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if (name := _wanted(info.filename)) and info.file_size <= LARGEST_PKG_INFO:
                    yield name, archive.read(info).decode("utf-8", "replace")
        return
    with tarfile.open(path, mode="r:*") as tar:
        for member in tar:
            name = _wanted(member.name)
            if name and member.isfile() and member.size <= LARGEST_PKG_INFO and (file := tar.extractfile(member)):
                yield name, file.read().decode("utf-8", "replace")


def _wanted(member: str) -> str | None:
    parts = member.removeprefix("./").split("/")
    if len(parts) == 2 and parts[1] in ("PKG-INFO", "pyproject.toml", "setup.cfg", "setup.py"):
        return parts[1]
    is_record = (
        parts[-1] in ("requires.txt", "SOURCES.txt") and len(parts) in (3, 4) and parts[-2].endswith(".egg-info")
    )
    return parts[-1] if is_record else None


def _is_static(headers: Message) -> bool:
    try:
        known = Version(str(headers.get("Metadata-Version", "1.0"))) >= STATIC_SINCE
    except InvalidVersion:
        return False
    dynamic = {str(field).strip().lower() for field in headers.get_all("Dynamic", [])}
    return known and "requires-dist" not in dynamic


def _of_project(texts: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the dependencies in `[project]`, if they are not dynamic."""
    try:
        project = tomli.loads(texts.get("pyproject.toml", "")).get("project", {})
        if not project or {"dependencies", "optional-dependencies"} & set(project.get("dynamic", ())):
            return None
        lines = [str(line) for line in project.get("dependencies", ())]
        for extra, more in project.get("optional-dependencies", {}).items():
            lines += [under_extra(str(line), extra) for line in more]
    except (tomli.TOMLDecodeError, AttributeError, TypeError, ValueError, RecursionError):
        return None
    return tuple(lines)


def _of_egg_info(texts: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return what setuptools recorded in the sdist: a project without dependencies has no `requires.txt`."""
    if "requires.txt" in texts:
        return tuple(requires_txt_lines(texts["requires.txt"]))
    return () if "SOURCES.txt" in texts and "requires.txt" not in texts["SOURCES.txt"] else None


def _of_setuptools(texts: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the dependencies in `setup.cfg` and in literals of `setup.py`; `None` if a value is computed."""
    if "setup.py" not in texts and "setup.cfg" not in texts:
        return None
    return read_setuptools(texts.get("setup.cfg", ""), texts.get("setup.py", "")).requires_dist
