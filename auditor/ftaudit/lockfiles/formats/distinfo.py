"""Reads one installed distribution from its `.dist-info`, `.egg-info`, or `.egg-link`, whatever that contains."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from packaging.utils import InvalidName, NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from ftaudit.errors import InputError
from ftaudit.lockfiles.dependencies.needs import Needs, parse_needs
from ftaudit.lockfiles.input_files import how_to_repair, read_bytes
from ftaudit.wheel import parse_headers

MAX_HEADERS: Final = 2 << 20
"""Bytes of METADATA that are read; the description after the headers can be longer."""
MAX_REQUIREMENTS: Final = 5_000
_COMPILED: Final = (".so", ".pyd", ".dylib")
_FOLDER: Final = re.compile(r"(?P<name>[^-]+)(?:-(?P<version>[^-]+))?.*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """The metadata of an installed distribution."""

    path: Path
    """The `.dist-info` folder or similar."""
    name: NormalizedName
    version: Version | None = None
    needs: Needs = field(default_factory=Needs)
    requested: bool = False
    """Whether the user requested it by name (PEP 376's REQUESTED)."""
    installer: str | None = None
    direct_url: Any = None
    """The document of `direct_url.json` (PEP 610), or `None`."""
    source_tree: str | None = None
    """The folder that an `.egg-link` names."""
    has_record: bool = False
    built_here: bool = False
    """Whether RECORD lists compiled code and WHEEL has the tag of a local build (`linux_x86_64`)."""
    files: tuple[str, ...] | None = None
    """The files in RECORD or `installed-files.txt`, below the packages folder; `None` if neither exists."""
    top_level: tuple[str, ...] = ()
    """The names in `top_level.txt`."""
    problem: str | None = None


def read_distribution(path: Path) -> Distribution:
    """Return the distribution; an unreadable part is its `problem`, never an exception."""
    match = _FOLDER.fullmatch(path.stem)
    guess = match["name"] if match else path.stem
    name = canonicalize_name(re.sub(r"[^A-Za-z0-9._-]+", "-", guess).strip("-._") or "nameless")
    try:
        return _read(path, name)
    except InputError as error:
        return Distribution(path=path, name=name, problem=error.problem)


def _read(path: Path, guess: NormalizedName) -> Distribution:
    if path.suffix == ".egg-link":
        lines = _text(path).splitlines()
        return Distribution(
            path=path, name=guess, source_tree=str(Path(path.parent, lines[0].strip())) if lines else None
        )
    is_new = path.suffix == ".dist-info"
    file = path / "METADATA" if is_new else path / "PKG-INFO" if path.is_dir() else path
    headers = parse_headers(read_bytes(file)[:MAX_HEADERS].decode("utf-8", "replace"))
    lines = [str(value) for value in headers.get_all("Requires-Dist", [])]
    if not is_new and not lines and path.is_dir():
        lines = list(requires_txt_lines(_optional(path / "requires.txt") or ""))
    if len(lines) > MAX_REQUIREMENTS:
        raise InputError(f"{path} has {len(lines):,} requirements; ftaudit reads at most {MAX_REQUIREMENTS:,}")
    name, version = _identity(headers, path)
    record = _optional(path / "RECORD") if is_new else None
    return Distribution(
        path=path,
        name=name,
        version=version,
        needs=parse_needs(lines),
        requested=is_new and (path / "REQUESTED").is_file(),
        installer=(_optional(path / "INSTALLER") or "").strip()[:40] or None,
        direct_url=_direct_url(path / "direct_url.json") if is_new else None,
        has_record=record is not None,
        files=_recorded(record) if record is not None else _installed_files(path),
        top_level=tuple((_optional(path / "top_level.txt") or "").split()) if path.is_dir() else (),
        built_here=record is not None
        and _lists_compiled(record)
        and _is_local((_optional(path / "WHEEL") or "")[:100_000]),
    )


def _identity(headers: Any, path: Path) -> tuple[NormalizedName, Version]:
    """Return name and version, which METADATA must have (core metadata specification)."""
    try:
        name = canonicalize_name(str(headers.get("Name", "")).strip(), validate=True)
    except InvalidName as error:
        raise InputError(f"{path}: its metadata has no valid name") from error
    version = str(headers.get("Version", "")).strip()
    try:
        return name, Version(version)
    except (InvalidVersion, ValueError) as error:
        raise InputError(f"{path}: its metadata has no valid version: {version[:80]!r}") from error


def _text(path: Path) -> str:
    return read_bytes(path).decode("utf-8", "replace")


def _optional(path: Path) -> str | None:
    """Return the text of a file that may be missing or unreadable."""
    try:
        return _text(path)
    except InputError:
        return None


def _direct_url(path: Path) -> Any:
    text = _optional(path)
    if text is None:
        return None
    try:
        return json.loads(text[:1_000_000])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON", hint=how_to_repair(path)) from error


def _lists_compiled(record: str) -> bool:
    try:
        return any(row and row[0].lower().endswith(_COMPILED) for row in csv.reader(io.StringIO(record)))
    except csv.Error:
        return False


def _recorded(record: str) -> tuple[str, ...]:
    """Return the paths of a RECORD, without those outside the packages folder."""
    try:
        paths = [row[0].replace("\\", "/") for row in csv.reader(io.StringIO(record)) if row]
    except csv.Error:
        return ()
    return tuple(path for path in paths if not path.startswith(("/", "../")) and "/../" not in path)


def _installed_files(path: Path) -> tuple[str, ...] | None:
    """Return the files in an `.egg-info` of `pip install --no-use-pep517`, whose paths are relative to it."""
    text = _optional(path / "installed-files.txt") if path.is_dir() else None
    if text is None:
        return None
    return tuple(line.strip().removeprefix("../") for line in text.splitlines() if line.strip().startswith("../"))


def _is_local(wheel: str) -> bool:
    """Return whether a wheel's tags come from a build that no index accepts: `linux_x86_64` without a libc."""
    tags = re.findall(r"^Tag: .*-([\w.]+)\s*$", wheel[:100_000], re.MULTILINE)
    return any(tag.startswith("linux_") for tag in tags)


def requires_txt_lines(text: str) -> Iterator[str]:
    """Yield setuptools' `requires.txt` as requirement lines: its sections are extras and markers, `[extra:marker]`."""
    marker = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            extra, _, condition = line.strip("[]").partition(":")
            parts = [f"({condition})"] if condition else []
            parts += [f"extra == '{canonicalize_name(extra)}'"] if extra else []
            marker = " and ".join(parts)
        elif line:
            yield f"{line} ; {marker}" if marker else line
