"""Reads an input file's bytes and TOML safely, and finds the line of an entry."""

from __future__ import annotations

import functools
import re
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from ftaudit.errors import InputError, cause_of

MAX_BYTES: Final = 32 * 1024 * 1024
"""No input is longer: the largest known lock files, with some thousand packages, have 5 MB."""


def read_bytes(path: Path) -> bytes:
    """Return the file's bytes; raise `InputError` if it is missing, not a regular file, unreadable, or too long.

    Standard input (`-`) and the shell's files under `/dev/fd` are read once and cached.
    """
    if is_stream(path):
        return _read_stream(str(path))
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise InputError(f"{path} is {what}", hint="specify a requirements or lock file")
        if status.st_size > MAX_BYTES:
            raise InputError(f"{path} has {status.st_size:,} bytes; ftaudit reads at most {MAX_BYTES:,}")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{path} cannot be read: {reason}") from error
    if len(data) > MAX_BYTES:
        raise InputError(f"{path} grew past {MAX_BYTES:,} bytes while it was read")
    return data


def is_stream(path: Path) -> bool:
    """Return whether a path means standard input, or a pipe that a shell opened (`<(command)`)."""
    name = str(path)
    return name == "-" or (_STREAM.fullmatch(name) is not None and not path.is_file())


_STREAM: Final = re.compile(r"/dev/(?:stdin|fd/\d+)|/proc/(?:self|\d+)/fd/\d+")


@functools.cache
def _read_stream(name: str) -> bytes:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{name} cannot be read: {cause_of(error)}") from error
    if len(data) > MAX_BYTES:
        raise InputError(f"{name} has more than {MAX_BYTES:,} bytes")
    return data


def read_text(path: Path, what: str = "it") -> str:
    """Return the file's text, which must be UTF-8; otherwise raise `InputError`, as `read_bytes` does."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8, as {what} must be: byte {error.start}") from error


def read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """Return the file's TOML document and its text; raise `InputError` naming the invalid line."""
    import tomli  # It is compiled, and three times as fast as tomllib for a lock file.

    text = read_text(path, "TOML")
    try:
        return tomli.loads(text), text
    except tomli.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}", hint=how_to_repair(path, text)) from error
    except (RecursionError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path} cannot be read as TOML: it is nested too deeply, or it has a number or date that does not exist",
            hint=how_to_repair(path),
        ) from error


_LOCKED_BY: Final = {
    "uv.lock": "uv lock",
    "poetry.lock": "poetry lock",
    "pdm.lock": "pdm lock",
    "pipfile.lock": "pipenv lock",
    "pixi.lock": "pixi lock",
    "conda-lock.yml": "conda-lock lock",
    "conda-lock.yaml": "conda-lock lock",
}
"""The command that makes each lock file."""
_CONFLICT: Final = re.compile(r"^(<{7}|={7}|>{7})( |$)", re.MULTILINE)
"""A line that git writes where it could not merge two versions of a file."""
_TABLE: Final = re.compile(r"\s*(?:Package|Name)[ \t]+Version\b")
"""The header that `pip list` and similar commands print."""


def how_to_repair(path: Path, text: str = "") -> str:
    """Return what to do about a malformed file, for an error's hint."""
    name = path.name.lower()
    command = _LOCKED_BY.get(name)
    if _CONFLICT.search(text):
        again = f", then run `{command}`" if command else ""
        return f"the file has unresolved merge conflicts; resolve them{again}"
    if _TABLE.match(text):
        return "this is the table of `pip list`: write the packages with `pip freeze` or `pip list --format json`"
    if command:
        return f"restore the file from version control, or delete it and run `{command}`"
    if name.endswith(".lock") or name.startswith("pylock."):
        return "restore the file from version control, or write it again with the tool that made it"
    return "correct the input, then run the command again"


def header_lines(text: str, header: str, count: int) -> Sequence[int | None]:
    """Return the line of each `[[header]]` of a TOML text, in order, or `None`s if they are not certain."""
    pattern = re.compile(rf"^[ \t]*\[\[[ \t]*{re.escape(header)}[ \t]*\]\][ \t]*(?:#.*)?\r?$", re.MULTILINE)
    lines: list[int | None] = []
    line, seen = 1, 0
    for match in pattern.finditer(text):
        line += text.count("\n", seen, match.start())
        seen = match.start()
        lines.append(line)
    return lines if len(lines) == count else [None] * count


def string_line(text: str, value: str) -> int | None:
    """Return the line of a string in a TOML text, or `None` if the string is missing or appears twice."""
    places = [at for quote in "\"'" for at in _occurrences(text, f"{quote}{value}{quote}")]
    return text.count("\n", 0, places[0]) + 1 if len(places) == 1 else None


def _occurrences(text: str, needle: str) -> Iterator[int]:
    at = text.find(needle)
    while at >= 0:
        yield at
        at = text.find(needle, at + 1)


class Table:
    """A table of TOML or JSON that has its place in the file, so that an error can name it."""

    __slots__ = ("_path", "_values", "place")

    def __init__(self, path: Path, place: str, values: object) -> None:
        if not isinstance(values, Mapping):
            raise InputError(f"{path}: {place or 'the document'} is not a table", hint=how_to_repair(path))
        self._path, self.place, self._values = path, place, values

    @classmethod
    def of(cls, other: Table, place: str, values: object) -> Table:
        """Return a table at another place in the same file."""
        return cls(other._path, place, values)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    @property
    def path(self) -> Path:
        """The file that has the table."""
        return self._path

    def keys(self) -> Sequence[str]:
        """Return the table's keys, in the file's order."""
        return list(self._values)

    def raw(self, key: str) -> Any:
        """Return the value unchanged, or `None`."""
        return self._values.get(key)

    def text(self, key: str) -> str | None:
        """Return the string, or `None` if it is missing."""
        value = self._values.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self.error(key, "is not a string")

    def need(self, key: str) -> str:
        """Return the string; raise `InputError` if it is missing."""
        value = self.text(key)
        if not value:
            raise self.error(key, "is missing")
        return value

    def table(self, key: str) -> Table:
        """Return the table of that key, empty if it is missing."""
        return Table(self._path, self._at(key), self._values.get(key, {}))

    def tables(self, key: str) -> list[Table]:
        """Return the tables of an array, empty if it is missing."""
        return [Table(self._path, f"{self._at(key)}[{i}]", item) for i, item in enumerate(self._list(key))]

    def texts(self, key: str) -> list[str]:
        """Return the strings of an array, empty if it is missing."""
        values = self._list(key)
        for i, value in enumerate(values):
            if not isinstance(value, str):
                raise self.error(f"{key}[{i}]", "is not a string")
        return values

    def error(self, key: str, what: str) -> InputError:
        """Return an `InputError` that names the place of a key."""
        return InputError(f"{self._path}: {self._at(key)} {what}", hint=how_to_repair(self._path))

    def _at(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def _list(self, key: str) -> list[Any]:
        value = self._values.get(key, [])
        if not isinstance(value, list):
            raise self.error(key, "is not an array")
        return value


def file_name(url: str) -> str:
    """Return the last part of a URL or path, decoded."""
    name = url.partition("#")[0].partition("?")[0].replace("\\", "/").rstrip("/").rpartition("/")[2]
    return unquote(name) if "%" in name else name
