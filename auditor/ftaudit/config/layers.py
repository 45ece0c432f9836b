"""All configuration files together, checked: every key exists, has its type, and may be set there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ftaudit.config.config_files import File
from ftaudit.config.keys import Key, nearest
from ftaudit.config.lines import Lines
from ftaudit.config.values import WrongValue, convert
from ftaudit.errors import UsageError
from ftaudit.model import Location

ACCEPT: Final = "accept"
"""The array of tables with accepted known problems; the only setting in a file that has no option."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RawEntry:
    """One `[[accept]]` table, unchecked."""

    values: Mapping[str, Any]
    location: Location


@dataclass(frozen=True, kw_only=True, slots=True)
class FileValue:
    """The value that a file has for one option of one command."""

    value: Any
    location: Location


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """The values of all files: the first file with a value for an option wins, and a command's own table wins over the
    rest.
    """

    files: tuple[Path, ...] = ()
    values: Mapping[tuple[str, str], FileValue]
    """By command and the name of the option in the command."""
    accept: tuple[RawEntry, ...] = ()


def configure(files: Sequence[File], keys: Sequence[Key]) -> Configuration:
    """Check the files, the strongest first, against all keys of all commands, and return their values.

    Raise `UsageError` for a key that does not exist, with the nearest known key, for a value of another type, and for a
    key that a file that was only found may not set.
    """
    values: dict[tuple[str, str], FileValue] = {}
    accept: list[RawEntry] = []
    for file in files:
        merged: dict[tuple[str, str], FileValue] = {}
        reader = _LayerReader(file)
        commands = {key.section for key in keys}
        for name, value in file.values.items():
            if name == ACCEPT:
                accept += reader.entries(value)
            elif name in commands and isinstance(value, dict):
                mine = [key for key in keys if key.section == name]
                for inner, each in value.items():
                    own = reader.settings((name, inner), each, mine)
                    merged.update(own)
        for name, value in file.values.items():
            if name != ACCEPT and not (name in commands and isinstance(value, dict)):
                for place, found in reader.settings((name,), value, keys, also=(*commands, ACCEPT)).items():
                    merged.setdefault(place, found)
        for place, found in merged.items():
            values.setdefault(place, found)
    return Configuration(files=tuple(file.path for file in files), values=values, accept=tuple(accept))


class _LayerReader:
    """Reads the values of one file, and can name a place in it."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._folder = file.path.absolute().parent
        self._lines = Lines(file.text)

    def settings(
        self, path: tuple[str, ...], value: object, keys: Iterable[Key], *, also: Iterable[str] = ()
    ) -> dict[tuple[str, str], FileValue]:
        """Return the value for each key with this name."""
        keys = tuple(keys)
        mine = [key for key in keys if key.name == path[-1]]
        if not mine:
            near = nearest(path[-1], (*(key.name for key in keys), *also))
            where = f" in [{path[0]}]" if len(path) > 1 else ": unknown key"
            raise self.error(
                path,
                f"is not known{where}",
                hint=f"did you mean {near}?" if near else "`ftaudit config show` lists all keys",
            )
        location = self.location(path)
        found: dict[tuple[str, str], FileValue] = {}
        wrong: WrongValue | None = None
        for key in mine:
            if key.reserved and not self._file.named:
                raise self.error(
                    path,
                    f"cannot be set in a configuration file that ftaudit finds by itself: {key.reserved}",
                    hint=f"use {self._otherwise(key)}, or specify this file with --config",
                )
            try:
                made = convert(value, key, self._folder, named=self._file.named)
            except WrongValue as error:
                wrong = wrong or error
                continue
            found[key.command, key.dest] = FileValue(value=made, location=location)
        # One command can accept what another does not: `format = "sarif"` counts for every command with that format.
        if not found and wrong is not None:
            raise self.error(path, str(wrong), hint=wrong.hint) from wrong
        return found

    def entries(self, value: object) -> list[RawEntry]:
        """Return the tables of `[[accept]]`."""
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            hint = f"write [[{'.'.join((*self._file.prefix, ACCEPT))}]]; to skip rules, use ignore = [RULE]"
            raise self.error((ACCEPT,), "takes tables", hint=hint)
        return [
            RawEntry(values=entry, location=self.location((ACCEPT,), number=number))
            for number, entry in enumerate(value)
        ]

    def location(self, path: tuple[str, ...], *, number: int = 0) -> Location:
        """Return the location of a key, with its line if that is known."""
        line = self._lines.find((*self._file.prefix, *path), number=number)
        return Location(path=_shown(self._file.path), line=line)

    def error(self, path: tuple[str, ...], what: str, *, hint: str | None = None) -> UsageError:
        """Return the error that names the place."""
        return UsageError(f"{self.location(path)}: {'.'.join((*self._file.prefix, *path))} {what}", hint=hint)

    @staticmethod
    def _otherwise(key: Key) -> str:
        return " or ".join((f"--{key.name}", *key.variables))


def _shown(path: Path) -> str:
    """Return the path relative to the current folder if it is inside, otherwise the complete path."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
