"""A wheel from the view of imports: its Python files are fetched once, in few ranges, and cached by its digest."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import random
import re
import zipfile
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ftaudit.__about__ import __version__
from ftaudit.errors import ArchiveError, StoreMismatch
from ftaudit.model import DistributionFile, StoreOrigin
from ftaudit.model.reachability import MOST_SOURCE
from ftaudit.reach.binary_names import names_in
from ftaudit.reach.folder_tree import SOURCES, is_wanted, parse_entry_points
from ftaudit.wheel import ArchiveMember, WheelArchive, local_path, module_member, open_wheel
from ftaudit.whole_files import write_whole

if TYPE_CHECKING:
    import requests

FOLDER: Final = "reach"
"""The folder in the cache."""
MOST_MEMBER: Final = 16 << 20
"""Size limit of an inflated file."""
MOST_TOTAL: Final = 1 << 30
"""Size limit of all inflated Python files of a wheel."""
MOST_BINARY: Final = 96 << 20
"""Bytes of a fetched extension module that are searched for names."""
_SCHEME: Final = re.compile(r"^[^/]+\.data/(?:platlib|purelib)/")
_DATA: Final = re.compile(r"^[^/]+\.data/")


@functools.lru_cache(maxsize=1)
def analysis_version() -> str:
    """Return a key for the code that reads wheels for this analysis, so that stale results are never used."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for name in ("wheel_files.py", "folder_tree.py", "binary_names.py", "cython_tables.py"):
        digest.update((here / name).read_bytes())
    return f"{__version__}-{digest.hexdigest()[:16]}"


_KEPT: Final = re.compile(r"[0-9a-f]{64}-[0-9a-f]{16}(?:\.zip|-[0-9a-f]{16}\.json)")
"""The names of the files that the cache has of wheels: their Python files, or what their binaries name."""


def kept_files(cache: Path) -> dict[str, bytes]:
    """Return what this analysis has read of wheels, by the name in the cache."""
    places = sorted((cache / FOLDER / analysis_version()).glob("[0-9a-f][0-9a-f]/*"))
    return {place.name: place.read_bytes() for place in places if _KEPT.fullmatch(place.name)}


def is_content_of(data: bytes, file: DistributionFile, folder: Path) -> bool:
    """Return whether these are the Python files of a local wheel; raise `ArchiveError` if it cannot be read."""
    tree = WheelTree(name=file.filename, file=file, store=WheelStore(folder=folder, session=None, use_cache=False))
    try:
        return _content(tree._fetch()) == _content(data)
    finally:
        tree.close()


def _nowhere(name: str) -> None:
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class WheelStore:
    """The source of wheels, and the cache for their content."""

    folder: Path
    """The cache folder."""
    session: Callable[[], requests.Session] | None
    """`None` fetches nothing."""
    fetchers: Executor | None = None
    use_cache: bool = True
    stored: Callable[[str], tuple[StoreOrigin, bytes] | None] = _nowhere
    """Returns a file by its name in the cache from a facts store."""
    read_again: float = 0.0
    """The share of the stores' files, from 0 to 1, that are compared with the wheel."""

    def open(self, file: DistributionFile) -> WheelArchive:
        """Open a wheel; raise `ArchiveError` if it cannot be read."""
        if file.url is None:
            raise ArchiveError("its location is unknown", about=file.filename)
        session = None if self.session is None or local_path(file.url) is not None else self.session()
        return open_wheel(file.url, cache_dir=self.folder / "wheels", session=session, sha256=file.sha256)

    def place(self, file: DistributionFile, kind: str) -> Path | None:
        """Return the cache path for part of a wheel; `None` if its digest is unknown."""
        name = self.name(file, kind)
        if name is None or not self.use_cache:
            return None
        return self.folder / FOLDER / analysis_version() / name[:2] / name

    def name(self, file: DistributionFile, kind: str) -> str | None:
        """Return the name of a part of a wheel in the cache; `None` if the wheel's digest is unknown."""
        digest = (file.sha256 or "").lower()
        if not re.fullmatch("[0-9a-f]{64}", digest):
            return None
        return f"{digest}-{hashlib.sha256((file.url or '').encode()).hexdigest()[:16]}{kind}"

    def find_stored(self, file: DistributionFile, kind: str) -> tuple[StoreOrigin, bytes] | None:
        """Return a part of a wheel from a facts store; raise `InputError` for a damaged one."""
        name = self.name(file, kind)
        return None if name is None else self.stored(name)

    def is_sample(self) -> bool:
        """Return whether to compare what a facts store says with the wheel this time."""
        return self.session is not None and random.random() < self.read_again  # noqa: S311 - a sample, not a secret.


@dataclass(slots=True, eq=False)
class WheelTree:
    """One wheel."""

    name: str
    file: DistributionFile
    store: WheelStore
    own: bool = False
    bytes_read: int = 0
    origin: StoreOrigin | None = None
    """The facts store that something of it came from."""
    _members: dict[str, str] = field(default_factory=dict)
    """The member for each installed path."""
    _sources: zipfile.ZipFile | None = None
    _names: dict[str, list[str] | None] | None = None
    _names_place: Path | None = None
    _is_new: bool = False
    """Whether some names are not in the cache yet."""
    _archive: WheelArchive | None = None
    """The wheel, from its first use to `close`."""

    def load(self) -> None:
        """Read the wheel; raise `ArchiveError` if it cannot be read."""
        place = self.store.place(self.file, ".zip")
        data: bytes | None = None
        if place is not None:
            with contextlib.suppress(OSError):
                data = place.read_bytes()
        if data is not None:
            try:
                self._take(data)
            except (zipfile.BadZipFile, ValueError, KeyError):
                data = None
        if data is None and not self._take_stored():
            data = self._fetch()
            self._take(data)
            if place is not None:
                with contextlib.suppress(OSError):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    write_whole(place, data)

    def _take_stored(self) -> bool:
        """Take the Python files from a facts store, if one has them; raise `StoreMismatch` for wrong ones."""
        found = self.store.find_stored(self.file, ".zip")
        if found is None:
            return False
        self.origin, data = found
        try:
            self._take(data)
        except (zipfile.BadZipFile, ValueError, KeyError, AttributeError) as error:
            raise self._wrong() from error
        if self.store.is_sample():
            with contextlib.suppress(ArchiveError):
                if _content(self._fetch()) != _content(data):
                    raise self._wrong()
        return True

    def _wrong(self) -> StoreMismatch:
        name = "" if self.origin is None else self.origin.name
        return StoreMismatch(
            f"the facts store {name} is wrong about {self.file.filename}",
            hint="stop using this store, and report the error to its maker",
        )

    def _take(self, data: bytes) -> None:
        self._sources = zipfile.ZipFile(io.BytesIO(data))
        listed = json.loads(self._sources.read("members.json"))
        self._members = {str(path): str(member) for path, member in listed.items()}

    def _fetch(self) -> bytes:
        """Return a zip archive of the Python files, and the list of all relevant files."""
        packed = io.BytesIO()
        archive = self._open()
        wanted: dict[str, ArchiveMember] = {}
        for member in archive.members:
            path = _installed_path(member.name)
            if path is not None and is_wanted(path.rpartition("/")[2]):
                wanted.setdefault(path, member)
        sources = {
            path: member
            for path, member in wanted.items()
            if path.endswith((*SOURCES, ".txt", ".pth", "METADATA")) and member.size <= MOST_MEMBER
        }
        too_large = [path for path, member in wanted.items() if path.endswith(SOURCES) and member.size > MOST_MEMBER]
        if sum(member.size for member in sources.values()) > MOST_TOTAL:
            raise ArchiveError("its Python files are too large to be read", about=self.file.filename)
        by_member = {member.name: path for path, member in sources.items()}
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as kept:
            listed = {path: member.name for path, member in wanted.items()}
            kept.writestr("members.json", json.dumps(listed))
            for path in too_large:  # Only its size matters.
                kept.writestr(path, bytes(MOST_SOURCE + 1))
            for member, data in archive.read_members(list(sources.values()), fetchers=self.store.fetchers):
                if data is not None:
                    kept.writestr(by_member[member.name], data)
        return packed.getvalue()

    def _open(self) -> WheelArchive:
        if self._archive is None:
            self._archive = self.store.open(self.file)
        return self._archive

    def close(self) -> None:
        """Close the wheel, and store what was found in its binaries; what was read of it stays."""
        if self._is_new and self._names_place is not None:
            with contextlib.suppress(OSError):
                self._names_place.parent.mkdir(parents=True, exist_ok=True)
                write_whole(self._names_place, json.dumps(self._names).encode())
            self._is_new = False
        if self._archive is not None:
            self.bytes_read += self._archive.bytes_read
            self._archive.close()
            self._archive = None

    @property
    def digest(self) -> str | None:
        """What identifies its content; `None` if that is unknown."""
        place = self.store.place(self.file, "")
        return None if place is None else place.name

    def paths(self) -> Iterable[str]:
        """Return the files that matter to imports."""
        return self._members

    def read(self, path: str) -> bytes | None:
        """Return a Python file, or `None` if it could not be read."""
        if self._sources is None or path not in self._members:
            return None
        try:
            return self._sources.read(path)
        except (KeyError, zipfile.BadZipFile, ValueError, OSError):
            return None

    def shown(self, path: str) -> str:
        """Return the path after installation."""
        return path

    def package(self, path: str) -> str:
        """Return the distribution."""
        return self.name

    def metadata(self) -> Sequence[bytes]:
        """Return the METADATA files of the wheel: one, unless it is malformed."""
        paths = [path for path in self._members if path.endswith(".dist-info/METADATA") and path.count("/") == 1]
        return [data for path in paths if (data := self.read(path)) is not None]

    def groups(self) -> Sequence[tuple[str, str, str]]:
        """Return the wheel's entry points."""
        found: list[tuple[str, str, str]] = []
        for path in self._members:
            if path.endswith(".dist-info/entry_points.txt") and path.count("/") == 1:
                found += parse_entry_points(self.read(path) or b"")
        return found

    def names(self, path: str, module: str, known: Collection[str], digest: str) -> list[str] | None:
        """Return the modules that an extension module's binary names; `None` if it could not be read.

        `digest` identifies `known`.
        """
        if self._names is None:
            self._names_place = self.store.place(self.file, f"-{digest}.json")
            self._names = _read_names(self._names_place) or self._stored_names(f"-{digest}.json")
            if self.origin is not None and path in self._names and self.store.is_sample():
                read = self._find_names(path, module, known)
                if read is not None and read != self._names[path]:
                    raise self._wrong()
        if path not in self._names:
            self._names[path] = self._find_names(path, module, known)
            self._is_new = True
        return self._names[path]

    def _stored_names(self, kind: str) -> dict[str, list[str] | None]:
        found = self.store.find_stored(self.file, kind)
        if found is None:
            return {}
        self.origin, data = found
        return _parse_names(data)

    def _find_names(self, path: str, module: str, known: Collection[str]) -> list[str] | None:
        try:
            archive = self._open()
            member = archive.member(self._members[path])
            if member is None or member.compressed > MOST_BINARY or module_member(member) is None:
                return None
            image = next(iter(archive.read_images([member])))
        except ArchiveError:
            return None
        return None if image.error is not None or not image.data else names_in(image.data, known, module)


def _read_names(place: Path | None) -> dict[str, list[str] | None]:
    if place is None:
        return {}
    try:
        return _parse_names(place.read_bytes())
    except OSError:
        return {}


def _parse_names(data: bytes) -> dict[str, list[str] | None]:
    try:
        kept = json.loads(data)
        return {str(path): [str(name) for name in names] for path, names in kept.items() if isinstance(names, list)}
    except (ValueError, AttributeError):
        return {}


def _content(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _installed_path(name: str) -> str | None:
    """Return the installed path of a member below site-packages, or `None` if it has no such path."""
    path, schemes = _SCHEME.subn("", name, count=1)
    return None if not schemes and _DATA.match(path) else path
