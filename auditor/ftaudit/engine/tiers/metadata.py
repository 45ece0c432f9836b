"""What a version that has no wheel for the platform needs: read, never built, so that the resolution goes on."""

from __future__ import annotations

import email.parser
import functools
import tarfile
from pathlib import Path
from typing import Final

from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from ftaudit.engine.tiers.sdists import Sdists
from ftaudit.errors import ArchiveError, FtauditError
from ftaudit.index.client import Index
from ftaudit.index.release import Query
from ftaudit.model import DistributionFile
from ftaudit.once import Once
from ftaudit.wheel import open_wheel, read_metadata

STATIC_SINCE: Final = Version("2.2")
"""The metadata version from which an sdist says which fields are not static (PEP 643)."""
LARGEST_PKG_INFO: Final = 4 << 20


class MetadataReader:
    """Finds `Requires-Dist` lines in another platform's wheel or in an sdist whose metadata is static."""

    def __init__(self, index: Index, sdists: Sdists, folder: Path, *, offline: bool) -> None:
        self._index, self._sdists, self._folder, self._offline = index, sdists, folder, offline
        self._known = Once[tuple[NormalizedName, Version], "tuple[str, ...] | None"]()

    def __call__(self, name: NormalizedName, version: Version) -> tuple[str, ...] | None:
        """Return the lines, or `None` when nothing states them without a build or the index does not answer."""
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
    """Return the `Requires-Dist` lines of a tar sdist, or `None` where they are not static (PEP 643)."""
    try:
        with tarfile.open(path, mode="r:*") as archive:
            for member in archive:
                parts = member.name.split("/")
                if len(parts) == 2 and parts[1] == "PKG-INFO" and member.isfile() and member.size <= LARGEST_PKG_INFO:
                    file = archive.extractfile(member)
                    return _static_requirements(file.read().decode("utf-8", "replace")) if file else None
    except (tarfile.TarError, OSError, EOFError, ValueError):
        return None
    return None


def _static_requirements(text: str) -> tuple[str, ...] | None:
    message = email.parser.HeaderParser().parsestr(text.replace("\r\n", "\n").partition("\n\n")[0])
    try:
        static = Version(str(message.get("Metadata-Version", "1.0"))) >= STATIC_SINCE
    except InvalidVersion:
        return None
    dynamic = {str(field).strip().lower() for field in message.get_all("Dynamic", [])}
    if not static or "requires-dist" in dynamic:
        return None
    return tuple(str(line) for line in message.get_all("Requires-Dist", []))
