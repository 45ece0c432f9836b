"""Folders from the view of imports: the user's source roots, and installed packages."""

from __future__ import annotations

import configparser
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ftaudit.cpython.suffixes import find_suffix
from ftaudit.model.reachability import MOST_SOURCE

MOST_FILES: Final = 200_000
"""Maximum number of files in a folder."""
MOST_BYTES: Final = 64 << 20
"""Size limit of a file."""
SOURCES: Final = (".py", ".pyi", ".pyx")
_ASIDE: Final = frozenset({"__pycache__", "node_modules"})


def is_wanted(name: str) -> bool:
    """Return whether a file of this name matters to imports."""
    is_python = name.endswith((*SOURCES, ".pth")) or find_suffix(name) is not None
    return is_python or name in ("entry_points.txt", "METADATA")


@dataclass(slots=True, eq=False)
class FolderTree:
    """One folder."""

    name: str
    root: Path
    own: bool = False
    prefix: str = ""
    """The prefix of a displayed path."""
    only: frozenset[str] | None = None
    """The paths of this package; `None` includes every path."""
    problems: list[str] = field(default_factory=list)
    reads: dict[str, str | None] = field(default_factory=dict)
    """The files that were read, with a mark of their content (see `mark`)."""
    _paths: list[str] | None = None

    def paths(self) -> Iterable[str]:
        """Return the files that matter to imports."""
        if self._paths is None:
            self._paths = sorted(self.only) if self.only is not None else sorted(self._walk())
        return self._paths

    def _walk(self) -> Iterator[str]:
        count = 0
        seen: set[str] = set()
        for folder, folders, names in os.walk(self.root, followlinks=True):
            real = os.path.realpath(folder)
            folders[:] = sorted(name for name in folders if not self._skips(folder, name))
            if Path(folder).is_symlink():  # Python follows links; one that leads back to a folder above it has no end.
                if real in seen or os.path.realpath(self.root).startswith(real):
                    folders.clear()
                    continue
                seen.add(real)
            for name in names:
                if not is_wanted(name):
                    continue
                count += 1
                if count > MOST_FILES:
                    self.problems.append(f"{self.root} has more than {MOST_FILES:,} files")
                    return
                yield Path(folder, name).relative_to(self.root).as_posix()

    def _skips(self, folder: str, name: str) -> bool:
        """Return whether a folder contains nothing to import; an environment is not the user's own code."""
        if name in _ASIDE or name.startswith("."):
            return True
        return self.own and (Path(folder, name, "pyvenv.cfg").exists() or name == "site-packages")

    def read(self, path: str) -> bytes | None:
        """Return a file's content, of a source at most one byte more than is followed; `None` if it is not a regular
        file, or is too large.
        """
        data, mark = self._read(path)
        self.reads[path] = mark
        return data

    def mark(self, path: str) -> str | None:
        """Return a text that changes with the file: the digest of a source, and the state of any other file. Return
        `None` if it cannot be read.
        """
        if path.endswith((*SOURCES, ".txt")):
            return self._read(path)[1]
        return _state(self.root / path)

    def _read(self, path: str) -> tuple[bytes | None, str | None]:
        place = self.root / path
        try:
            status = place.stat()
            is_source = path.endswith((*SOURCES, ".txt"))
            if not stat.S_ISREG(status.st_mode) or (not is_source and status.st_size > MOST_BYTES):
                return None, None
            with place.open("rb") as file:  # Of a source that is too large, only its size matters.
                data = file.read(MOST_SOURCE + 1 if is_source else MOST_BYTES)
        except OSError:
            return None, None
        return data, hashlib.sha256(data).hexdigest() if is_source else _state(place)

    def shown(self, path: str) -> str:
        """Return the path for the reader."""
        return f"{self.prefix}{path}"

    def package(self, path: str) -> str:
        """Return the first part of the path."""
        return self.name if self.own else path.partition("/")[0].partition(".")[0]

    def metadata(self) -> Sequence[bytes]:
        """Return the METADATA files of every distribution in the folder."""
        paths = [path for path in self.paths() if path.endswith(".dist-info/METADATA") and path.count("/") == 1]
        return [data for path in paths if (data := self.read(path)) is not None]

    def groups(self) -> Sequence[tuple[str, str, str]]:
        """Return the entry points of every distribution in the folder."""
        found: list[tuple[str, str, str]] = []
        for path in self.paths():
            if path.endswith(".dist-info/entry_points.txt") and path.count("/") == 1:
                found += parse_entry_points(self.read(path) or b"")
        return found


def _state(place: Path) -> str | None:
    try:
        status = place.stat()
    except OSError:
        return None
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def parse_entry_points(data: bytes) -> list[tuple[str, str, str]]:
    """Return group, name, and object of each entry point; nothing for a malformed file."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # Names keep their case.
    try:
        parser.read_string(data.decode("utf-8", "replace"))
    except configparser.Error:
        return []
    return [(group, name, value.strip()) for group in parser.sections() for name, value in parser.items(group)]
