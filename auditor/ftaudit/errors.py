"""The errors that a user can fix or must know about, each with its exit code and what to do next."""

from __future__ import annotations


class FtauditError(Exception):
    """A failure that ends the command, said in one sentence and with a next step.

    `problem` says what and where; `hint` says what to do next. Where the problem is one file's or page's, `about` names
    that, and `what` is the rest.
    """

    exit_code = 2

    def __init__(self, what: str, *, hint: str | None = None, about: str | None = None) -> None:
        self.what = what
        self.about = about
        self.problem = what if about is None else f"{about}: {what}"
        self.hint = hint
        super().__init__(self.problem)


class UsageError(FtauditError):
    """The command line or the configuration asks for something that does not exist."""


class InputError(FtauditError):
    """An input file is missing, empty, unreadable or malformed; `problem` names the place in it."""


class InterpreterError(FtauditError):
    """No free-threaded interpreter could be found or provided, or the named one is not free-threaded."""


class ResolutionError(FtauditError):
    """uv itself could not be run; a package that does not resolve is a row, not this error."""


class IndexUnreachable(FtauditError):
    """The index did not answer for a project. The engine makes a row of it."""

    exit_code = 3


class ArchiveError(FtauditError):
    """A wheel or sdist is truncated, hostile, encrypted or not what its name says. The engine makes a row of it."""

    exit_code = 3


class DamagedArchive(ArchiveError):
    """A wheel that no installer takes: no zip archive, cut off, or with a member that leads out of it."""


class NoConnection(IndexUnreachable):
    """No connection to the index came about at all."""


class NotCached(IndexUnreachable):
    """No network was to be used, and the cache does not have the page."""


class NotFetched(ArchiveError):
    """No network was to be used, and the file is not at hand."""


class ImageError(FtauditError):
    """An extension module's image cannot be parsed. The engine makes a row of it."""

    exit_code = 3
