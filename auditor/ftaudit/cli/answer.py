"""The answer of a command, and how it is written: to the terminal, into a pipe, or into a file."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ftaudit.errors import UsageError
from ftaudit.report.console import DEFAULT_WIDTH
from ftaudit.report.formats import Medium

ESCAPED: Final = "backslashreplace"
"""A file name is not always valid text: invalid parts are written as JSON escapes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandAnswer:
    """The answer of a command."""

    text: str
    exit_code: int = 0
    output: Path | None = None
    """The file to write it to; `None` is standard output."""
    notes: tuple[str, ...] = ()
    """Text for standard error."""
    also: tuple[tuple[Path, str], ...] = ()
    """Further files, each with the answer in its own format."""
    last: tuple[tuple[Path, str], ...] = ()
    """Files to write after the answer: what must not be recorded if the answer did not reach its reader."""
    data: bytes | None = None
    """Bytes to write instead of the text: a diff has the bytes of the files that it changes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Screen:
    """Properties of the reader of standard output."""

    width: int
    color: bool

    @property
    def page(self) -> Medium:
        """What a renderer needs to know about the answer."""
        return Medium(width=self.width, color=self.color, folder=Path.cwd())


def find_screen(options: argparse.Namespace) -> Screen:
    """Return the properties of the output.

    `--color` determines colors, then NO_COLOR and FORCE_COLOR, then whether the output is a terminal.
    """
    width = shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns
    match getattr(options, "color", "auto"):
        case "always":
            color = True
        case "never":
            color = False
        case _ if getattr(options, "output", None) or os.environ.get("NO_COLOR"):
            color = False
        case _:
            color = bool(os.environ.get("FORCE_COLOR")) or (sys.stdout is not None and sys.stdout.isatty())
    return Screen(width=width, color=color)


def write(answer: CommandAnswer) -> None:
    """Write to standard output, or replace the file in one step so that no reader sees half of it."""
    _write_answer(answer)
    for path, text in answer.last:
        replace_file(path, text)


def _write_answer(answer: CommandAnswer) -> None:
    for note in answer.notes:
        say(note)
    for path, text in answer.also:
        replace_file(path, text)
    if answer.output is None:
        if sys.stdout is None:  # The shell closed it (`>&-`).
            raise UsageError("cannot write to standard output: it is closed", hint="redirect it to /dev/null")
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(_encoded(answer.text) if answer.data is None else answer.data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UsageError(f"cannot write to standard output: {error.strerror}") from error
        return
    replace_file(answer.output, answer.text if answer.data is None else answer.data)


def _encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", ESCAPED)


def replace_file(path: Path, text: str | bytes) -> None:
    """Replace the file in one step (`replace_content`); raise `UsageError` if that is not possible."""
    from ftaudit.whole_files import replace_content

    try:
        replace_content(path, _encoded(text), mode=0o666 & ~_umask())
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}", hint="specify a file in a folder that exists"
        ) from error


def say(text: str) -> None:
    """Print a note that is not part of the answer to standard error."""
    from ftaudit.urls import redact

    print(f"ftaudit: {redact(text)}", file=sys.stderr)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
