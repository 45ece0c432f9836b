"""Finds the file for a module's name: in the packages of the stack, the user's own code, or the standard library."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from ftaudit.cpython.suffixes import find_suffix, suffix_order


class FoundKind(Enum):
    """The kinds of module that a name can have."""

    PYTHON = "python"
    EXTENSION = "extension"
    NAMESPACE = "namespace"
    STDLIB = "stdlib"
    ABSENT = "absent"
    """Nothing in the stack has this name."""
    UNSURE = "unsure"
    """It may be in a package whose files are unknown."""


class ImportTree(Protocol):
    """Files that an import can find: one wheel, one installed package, or one folder of the user's code."""

    @property
    def name(self) -> str:
        """The distribution, or the folder."""
        ...

    @property
    def own(self) -> bool:
        """Whether it is the user's code."""
        ...

    def paths(self) -> Iterable[str]:
        """Return all files, with `/`, relative to the import root."""
        ...

    def read(self, path: str) -> bytes | None:
        """Return a file's content, or `None` if it cannot be read."""
        ...

    def metadata(self) -> Sequence[bytes]:
        """Return the METADATA files of its distributions."""
        ...

    def shown(self, path: str) -> str:
        """Return the path for the reader."""
        ...

    def package(self, path: str) -> str:
        """Return the distribution, or the top-level package, of a file."""
        ...

    def groups(self) -> Sequence[tuple[str, str, str]]:
        """Return the entry points: group, name, and object."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The file of a module's name."""

    kind: FoundKind
    name: str
    is_package: bool = False
    tree: ImportTree | None = None
    path: str = ""
    twin: str = ""
    """For an extension module, the source file of the same name: `.py`, `.pyx`."""
    portions: tuple[str, ...] = ()

    @property
    def is_own(self) -> bool:
        """Whether it is a file of the user's own code."""
        return self.tree is not None and self.tree.own


REMOVED: Final = {
    "imp": (3, 12),
    "asyncore": (3, 12),
    "asynchat": (3, 12),
    "distutils": (3, 12),
    "smtpd": (3, 12),
    **dict.fromkeys(
        (
            *("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "mailcap", "msilib", "nis", "nntplib"),
            *("ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib", "lib2to3"),
        ),
        (3, 13),
    ),
}
"""Modules of the standard library, and the version that lacks them (What's New in Python 3.12 and 3.13)."""
ADDED: Final = {"tomllib": (3, 11), "annotationlib": (3, 14), "compression": (3, 14), "string.templatelib": (3, 14)}
_WINDOWS: Final = frozenset({"winreg", "msvcrt", "winsound", "_winapi", "nt", "_overlapped", "msilib"})
_UNIX: Final = frozenset(
    {
        *("fcntl", "grp", "pwd", "posix", "pty", "resource", "syslog", "termios", "tty", "readline"),
        *("curses", "_curses", "spwd"),
    }
)
ABSENT_ON: Final = {"win32": _UNIX, "linux": _WINDOWS, "darwin": _WINDOWS}
"""Modules of the standard library that a platform does not have."""


@dataclass(slots=True)
class Finder:
    """Finds modules by name."""

    trees: Sequence[ImportTree]
    """In search order: the user's code first."""
    version: tuple[int, int]
    sys_platform: str
    unread: Sequence[str] = ()
    """Distributions whose files are unknown."""
    _files: dict[str, dict[str, tuple[ImportTree, str]]] = field(default_factory=dict)
    """The entries of each folder, and the first tree with each entry."""
    _folders: dict[str, set[str]] = field(default_factory=dict)
    _found: dict[str, Found] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for tree in self.trees:
            for path in tree.paths():
                folder, _, base = path.rpartition("/")
                self._files.setdefault(folder, {}).setdefault(base, (tree, path))
                while folder:
                    parent, _, last = folder.rpartition("/")
                    known = self._folders.setdefault(parent, set())
                    if last in known:
                        break
                    known.add(last)
                    folder = parent

    def find(self, name: str) -> Found:
        """Return the module of a dotted name."""
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def _find(self, name: str) -> Found:
        """Search as Python does: built-in modules, the user's own folders, the standard library, site-packages."""
        top = name.partition(".")[0]
        if top in _BUILTIN:
            return Found(kind=FoundKind.STDLIB, name=name)
        parent, _, last = name.rpartition(".")
        here = self._in_folder(name, parent.replace(".", "/"), last)
        if self._is_stdlib(top) and not self._shadows(top):
            return Found(kind=FoundKind.STDLIB, name=name)
        if here is not None:
            return here
        return Found(kind=FoundKind.UNSURE if self.unread and not self._knows(top) else FoundKind.ABSENT, name=name)

    def _shadows(self, top: str) -> bool:
        """Return whether the user's own code has a module with the name of a standard library module."""
        found = self._in_folder(top, "", top)
        return found is not None and found.is_own

    def _knows(self, top: str) -> bool:
        """Return whether a package of this name is available, so that a missing submodule does not exist."""
        return top in self._folders.get("", ()) or any(
            base.partition(".")[0] == top for base in self._files.get("", ())
        )

    def _in_folder(self, name: str, folder: str, last: str) -> Found | None:
        inside = f"{folder}/{last}" if folder else last
        package = self._files.get(inside, {})
        here = self._files.get(folder, {})
        for files, stem, is_package in ((package, "__init__", True), (here, last, False)):
            binary = self._extension(files, stem)
            source = files.get(f"{stem}.py")
            if binary is not None and not self._is_behind(folder, last, binary[0]):
                twin = source or files.get(f"{stem}.pyx")
                return Found(
                    kind=FoundKind.EXTENSION,
                    name=name,
                    is_package=is_package,
                    tree=binary[0],
                    path=binary[1],
                    twin="" if twin is None else twin[1],
                )
            if source is not None and not self._is_behind(folder, last, source[0]):
                return Found(kind=FoundKind.PYTHON, name=name, is_package=is_package, tree=source[0], path=source[1])
        if last in self._folders.get(folder, ()):
            return Found(kind=FoundKind.NAMESPACE, name=name, is_package=True)
        return None

    def _is_behind(self, folder: str, last: str, tree: ImportTree) -> bool:
        """Return whether a module of site-packages is behind one of the user's own, which Python finds first."""
        if tree.own:
            return False
        if folder:
            return self.find(folder.replace("/", ".")).is_own
        own = self._files.get("", {}).get(f"{last}.py")
        return own is not None and own[0].own

    def _extension(self, files: dict[str, tuple[ImportTree, str]], stem: str) -> tuple[ImportTree, str] | None:
        best: tuple[int, tuple[ImportTree, str]] | None = None
        for base, place in files.items():
            if not base.startswith(stem + "."):
                continue
            suffix = find_suffix(base)
            if suffix is None or base.removesuffix(suffix.text) != stem:
                continue
            order = suffix_order(suffix, self.version)
            if order is not None and (best is None or order < best[0]):
                best = order, place
        return None if best is None else best[1]

    def _is_stdlib(self, top: str) -> bool:
        if top in REMOVED:
            return self.version < REMOVED[top]
        if top in ABSENT_ON.get(self.sys_platform, ()):
            return False
        if top in ADDED:
            return self.version >= ADDED[top]
        return top in sys.stdlib_module_names

    def children(self, package: str) -> Iterator[tuple[str, bool]]:
        """Yield the names of the modules in a package, and whether each is a package, in sorted order."""
        folder = package.replace(".", "/")
        names: dict[str, bool] = {}
        for base in self._files.get(folder, {}):
            stem = base.partition(".")[0]
            if base.endswith(".py") or find_suffix(base) is not None:
                names.setdefault(stem, False)
        for sub in self._folders.get(folder, ()):
            if self.find(f"{package}.{sub}").kind in (FoundKind.PYTHON, FoundKind.EXTENSION):
                names[sub] = True
        names.pop("__init__", None)
        yield from sorted(names.items())

    def read_beside(self, found: Found, name: str) -> bytes | None:
        """Return a file next to a module's file, or `None`."""
        folder = found.path.rpartition("/")[0]
        place = self._files.get(folder, {}).get(name)
        return None if place is None else place[0].read(place[1])

    def file_of(self, path: str) -> tuple[ImportTree, str] | None:
        """Return the tree and the relative path of a file."""
        folder, _, base = path.rpartition("/")
        return self._files.get(folder, {}).get(base)

    def entry_points(self, group: str | None) -> list[tuple[str, str, str]]:
        """Return the entry points of one group, or of every group."""
        return [each for tree in self.trees for each in tree.groups() if group is None or each[0] == group]

    def extensions(self) -> Iterator[Found]:
        """Yield every extension module that an import can find."""
        for folder, files in self._files.items():
            stems = {base.partition(".")[0] for base in files if find_suffix(base) is not None}
            for stem in sorted(stems):
                package = folder.replace("/", ".")
                name = package if stem == "__init__" else f"{package}.{stem}" if package else stem
                found = self.find(name) if name else None
                if found is not None and found.kind is FoundKind.EXTENSION:
                    yield found


_BUILTIN: Final = frozenset(
    {
        *("_abc", "_ast", "_codecs", "_collections", "_functools", "_imp", "_io", "_locale", "_operator", "_signal"),
        *("_sre", "_stat", "_string", "_symtable", "_thread", "_tokenize", "_tracemalloc", "_typing", "_warnings"),
        *("_weakref", "atexit", "builtins", "errno", "faulthandler", "gc", "itertools", "marshal", "sys", "time"),
        "__main__",
    }
)
"""Modules that are part of every interpreter (`Modules/config.c.in`), and are found before any file."""
