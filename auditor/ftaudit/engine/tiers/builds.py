"""The build information in an sdist: pure Python or compiled code, and for which Python; nothing is built."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

import tomli

from ftaudit.engine.tiers.sdists import SUFFIXES, Sdists
from ftaudit.errors import FtauditError
from ftaudit.index.choose import why_not_built
from ftaudit.lockfiles.formats.setuptools_files import read_setuptools
from ftaudit.lockfiles.source_builds import Build, SourceFiles, is_build_file, is_compiled, judge_build
from ftaudit.model import IndexFacts, Pin, WheelKind
from ftaudit.progress import ProgressListener
from ftaudit.target import Platform, Target
from ftaudit.wheel import parse_headers

MOST_BYTES: Final = 60_000_000
"""A larger sdist is not fetched; pure-Python sdists have a hundredth of that size."""
MOST_MEMBERS: Final = 50_000
MOST_TEXT: Final = 1_000_000
"""Size limit of a build file."""
AT_ONCE: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class SdistFacts:
    """The build information in an sdist."""

    build: Build
    requires_python: str | None = None
    """The Python versions that it supports; `None` if the sdist does not state them."""


_NOTHING: Final = SdistFacts(build=Build.UNDETERMINED)


def look_into_sdists(
    found: Mapping[tuple[Pin, Platform], IndexFacts], *, sdists: Sdists, target: Target, progress: ProgressListener
) -> dict[tuple[Pin, Platform], IndexFacts]:
    """Return the facts with the build information of the sdists, if an installer would have to build.

    A pure-Python build is one that the target installs. An sdist whose `requires-python` excludes the target cannot be
    built. For a release with compiled wheels, only an unknown `requires-python` is read, because its sdist compiles
    code. A failed download changes nothing.
    """
    asked = {key: facts for key, facts in found.items() if _is_open(facts)}
    if not asked:
        return dict(found)
    releases = {_release(pin, facts): (pin, facts) for (pin, _), facts in asked.items()}
    progress.stage("sdists", len(releases))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = {key: pool.submit(_look, pin, facts, sdists) for key, (pin, facts) in releases.items()}
        said = {}
        for key, future in futures.items():
            said[key] = future.result()
            progress.done(key[0])
    return {
        **found,
        **{row: _with(facts, said[_release(row[0], facts)], row[0], target) for row, facts in asked.items()},
    }


def _is_open(facts: IndexFacts) -> bool:
    """Return whether the sdist of a release without a wheel can add unknown facts."""
    if facts.kind is not WheelKind.NONE or facts.sdist is None:
        return False
    return not facts.compiled or facts.sdist.requires_python is None


def _release(pin: Pin, facts: IndexFacts) -> tuple[str, str, str]:
    assert facts.sdist is not None  # noqa: S101  # `_is_open` says so
    return pin.name, str(pin.version), facts.sdist.filename


def _with(facts: IndexFacts, said: SdistFacts, pin: Pin, target: Target) -> IndexFacts:
    """Return the facts with the information from their sdist."""
    assert facts.sdist is not None  # noqa: S101  # `_is_open` says so
    sdist = facts.sdist
    if sdist.requires_python is None:
        sdist = replace(sdist, requires_python=said.requires_python)
    left_out = why_not_built(sdist, pin, target)
    if left_out is not None:
        return replace(facts, sdist=None, excluded=(*facts.excluded, left_out))
    if said.build is Build.PURE and not facts.compiled:
        return replace(facts, sdist=sdist, kind=WheelKind.PURE, built_from_source=True)
    return replace(facts, sdist=sdist)


def _look(pin: Pin, facts: IndexFacts, sdists: Sdists) -> SdistFacts:
    """Request the URL from the index if the input has only the file name, and then the file itself."""
    sdist = facts.sdist
    if pin.version is None or sdist is None:
        return _NOTHING
    try:
        if facts.compiled:
            listed = sdists.find_listed(pin.name, pin.version, sdist, index_url=pin.index_url)
            if listed is not None and listed.requires_python is not None:
                return SdistFacts(build=Build.COMPILED, requires_python=listed.requires_python)
        if (sdist.size or 0) > MOST_BYTES:
            return _NOTHING
        return read_sdist(sdists.fetch_file(pin.name, pin.version, sdist, index_url=pin.index_url))
    except FtauditError:
        return _NOTHING


def read_sdist(path: Path) -> SdistFacts:
    """Return the facts of an sdist; one that is damaged, too large, or not understood is undetermined."""
    try:
        found = _read(path)
        return SdistFacts(build=judge_build(found), requires_python=_required_python(found.texts))
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError):
        return _NOTHING


def _required_python(texts: Mapping[str, str]) -> str | None:
    """Return the range in the sdist's metadata, or else the range in the project's files."""
    recorded = parse_headers(texts.get("PKG-INFO", "")).get("Requires-Python")
    project = tomli.loads(texts.get("pyproject.toml", "")).get("project", {})
    stated = project.get("requires-python") if isinstance(project, dict) else None
    of_setuptools = read_setuptools(texts.get("setup.cfg", ""), texts.get("setup.py", "")).requires_python
    found = recorded or stated or of_setuptools
    return str(found).strip() if found else None


def _read(path: Path) -> SourceFiles:
    found = SourceFiles()
    for number, (name, size, text) in enumerate(_members(path)):
        if number > MOST_MEMBERS:
            raise ValueError("too many members")
        parts = PurePosixPath(name).parts
        if len(parts) == 2 and text is not None and size <= MOST_TEXT:
            found.texts[parts[1]] = text
        if is_compiled(PurePosixPath(*parts[1:])):
            found.compiled = True
    return found


def _members(path: Path) -> Iterator[tuple[str, int, str | None]]:
    """Yield the name, the size, and for build files and scripts at the top the text, of each file."""
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    wanted = _is_build_file(info.filename) and info.file_size <= MOST_TEXT
                    yield info.filename, info.file_size, _decode(archive.read(info)) if wanted else None
        return
    if not path.name.endswith(SUFFIXES):
        raise ValueError("its name is not that of an sdist")
    with tarfile.open(path, mode="r:*") as tar:
        total = 0
        for member in tar:
            total += member.size
            if total > 20 * MOST_BYTES:
                raise ValueError("it is too large when unpacked")
            if member.isdir():
                continue
            file = tar.extractfile(member) if _is_build_file(member.name) and member.isreg() else None
            yield member.name, member.size, _decode(file.read(MOST_TEXT)) if file is not None else None


def _is_build_file(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and (parts[1] == "PKG-INFO" or is_build_file(parts[1]))


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "replace").replace("\r\n", "\n")
