"""The content of an installed distribution, from its RECORD: extension modules and top-level import names."""

from __future__ import annotations

import csv
import mmap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from packaging.utils import NormalizedName, canonicalize_name

from ftaudit.cpython.hooks import hook_name
from ftaudit.cpython.suffixes import find_suffix, suffix_order
from ftaudit.cpython.versions import Version
from ftaudit.errors import ArchiveError
from ftaudit.model import Hook
from ftaudit.wheel.directory import ArchiveMember
from ftaudit.wheel.module_members import module_members
from ftaudit.wheel.startup import MOST, holds_code, is_startup, parse_pth

RECORD_BYTES = 64 << 20
_CUSTOM = frozenset({"sitecustomize", "usercustomize"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """The importable modules of one distribution."""

    modules: tuple[tuple[str, str], ...]
    """Dotted name and path below the environment of each extension module that the interpreter would load."""
    toplevels: tuple[str, ...]
    """Names for a plain `import NAME`."""
    files: frozenset[str]
    """Every path, with forward slashes."""
    startup: tuple[str, ...] = ()
    """Files that an interpreter runs when it starts in the environment (`Lib/site.py`)."""
    others_start_up: bool = False
    """Whether any distribution of the environment has such files."""


def read_contents(environment: Path, name: NormalizedName, version: Version) -> Contents:
    """Return the content of the named distribution for the free-threaded build of a version.

    Raise `ArchiveError` if its RECORD (PEP 376, PEP 427) is missing or unreadable.
    """
    return contents_of(environment, read_record(_find_record(environment, name), name), version)


def read_record(record: Path, name: NormalizedName) -> list[str]:
    """Return the paths that a RECORD lists; raise `ArchiveError` if it is missing or unreadable."""
    try:
        if record.stat().st_size > RECORD_BYTES:
            raise ArchiveError(f"{name}: its RECORD has more than {RECORD_BYTES >> 20} MB")
        with record.open(encoding="utf-8", newline="") as file:
            return [row[0] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArchiveError(f"{name}: its RECORD cannot be read: {error}") from error


def contents_of(environment: Path, paths: Iterable[str], version: Version) -> Contents:
    """Return the content of a distribution of these files for the free-threaded build of a version."""
    inside = [path for path in paths if not path.startswith("/") and ".." not in PurePosixPath(path).parts]
    modules = tuple(_modules(environment, inside, version))
    return Contents(
        modules=modules,
        toplevels=_toplevels(inside, dict(modules)),
        files=frozenset(inside),
        startup=tuple(sorted(path for path in inside if is_startup(path) and runs_code(environment, path))),
        others_start_up=any(runs_code(environment, path.name) for path in environment.glob("*.pth"))
        or any(environment.glob("*.start")),
    )


def find_metadata(environment: Path, name: NormalizedName) -> str:
    """Return the METADATA of an installed distribution, with its description; nothing if it cannot be read."""
    try:
        return _find_record(environment, name).with_name("METADATA").read_text("utf-8", "replace")
    except (OSError, ArchiveError):
        return ""


def runs_code(environment: Path, path: str) -> bool:
    """Return whether a start-up file runs code; one that cannot be read does, as far as is known."""
    if not path.endswith(".pth"):
        return True
    return holds_code(_lines(environment / path))


def search_paths(environment: Path) -> tuple[str, ...]:
    """Return the folders within the environment that its `.pth` files add to the search path."""
    found: dict[str, None] = {}
    inside = environment.resolve()
    for file in sorted(environment.glob("*.pth")):
        for line in _lines(file) or ():
            if line.startswith(("#", "import ", "import\t")) or not line.strip() or "\0" in line:
                continue
            folder = (environment / line.rstrip()).resolve()
            if folder.is_relative_to(inside) and folder.is_dir():
                found[str(folder)] = None
    return tuple(found)


def _lines(path: Path) -> tuple[str, ...] | None:
    try:
        with path.open("rb") as file:
            return parse_pth(file.read(MOST + 1))
    except (OSError, ValueError):
        return None


def _find_record(environment: Path, name: NormalizedName) -> Path:
    for folder in sorted(environment.glob("*.dist-info")):
        if canonicalize_name(folder.name.partition("-")[0]) == name:
            return folder / "RECORD"
    raise ArchiveError(f"{name}: the environment has no metadata of it")


def _modules(environment: Path, paths: Iterable[str], version: Version) -> Iterable[tuple[str, str]]:
    """Yield the extension modules; of several files for one name the one whose suffix the interpreter tries first.

    A file whose name carries no build's tag is a module only if it exports an init hook of its name.
    """
    best: dict[str, tuple[int, str]] = {}
    for module in module_members(_member(path) for path in paths):
        suffix = find_suffix(module.path)
        rank = None if suffix is None else suffix_order(suffix, version)
        if rank is None or not module.by_import or not all(module.name.split(".")) or module.variant_of is not None:
            continue
        if rank and not _exports_init(environment / module.path, module.name):
            continue
        if module.name not in best or rank < best[module.name][0]:
            best[module.name] = rank, module.path
    for name, (_, path) in sorted(best.items()):
        yield name, path


def _member(path: str) -> ArchiveMember:
    return ArchiveMember(name=path, offset=0, end=0, compressed=0, size=0, crc=0, method=0, flags=0)


def _exports_init(path: Path, name: str) -> bool:
    """Return whether the image's string table has `PyInit_NAME`, or `PyModExport_NAME` (PEP 793).

    In ELF, Mach-O and PE an exported name is there between zero bytes (Mach-O puts a `_` before it).
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image:
            return any(
                image.find(before + hook_name(name, hook).encode() + b"\0") >= 0
                for hook in Hook
                for before in (b"\0", b"\0_")
            )
    except (OSError, ValueError):
        return False


def _toplevels(paths: Iterable[str], modules: dict[str, str]) -> tuple[str, ...]:
    """Return the top-level names: packages with an `__init__`, and single modules. Scripts and data do not count."""
    found: dict[str, None] = {}
    for path in paths:
        first, _, rest = path.partition("/")
        if rest:
            stem, name = rest, first
            importable = stem == "__init__.py" or (name in modules and "/" not in rest)
        else:
            name, _, suffix = first.partition(".")
            importable = suffix == "py" or modules.get(name) == first
        importable = importable and name not in _CUSTOM
        if importable and name.isidentifier():
            found[name] = None
    # A leading underscore says that the module is not meant to be imported by itself.
    public = [name for name in found if not name.startswith("_")]
    return tuple(sorted(public or found))
