"""The errors that a user can fix or must know about, each with its exit code and what to do next."""

from __future__ import annotations


class FtauditError(Exception):
    """A failure that ends the command, with a message of one sentence and a next step.

    `problem` describes the failure and its place; `hint` recommends what to do next. If the problem belongs to one file
    or page, `about` names it, and `what` is the rest.
    """

    exit_code = 2

    def __init__(self, what: str, *, hint: str | None = None, about: str | None = None) -> None:
        self.what = what
        self.about = about
        self.problem = what if about is None else f"{about}: {what}"
        self.hint = hint
        super().__init__(self.problem)


class UsageError(FtauditError):
    """The command line or the configuration names something that does not exist."""


class InputError(FtauditError):
    """An input file is missing, empty, unreadable, or malformed; `problem` names the place in it."""


class InterpreterError(FtauditError):
    """No free-threaded interpreter could be found or provided, or the named one is not free-threaded."""


class ResolutionError(FtauditError):
    """uv itself could not be run; a package that does not resolve is a row, not this error."""


class IndexUnreachable(FtauditError):
    """The index did not answer for a project. The engine turns it into a row."""

    exit_code = 3


class ArchiveError(FtauditError):
    """A wheel or sdist is truncated, hostile, encrypted, or does not match its name. The engine turns it into a row."""

    exit_code = 3


class DamagedArchive(ArchiveError):
    """A wheel that no installer accepts: not a zip archive, truncated, or with a member outside the archive."""


class NoConnection(IndexUnreachable):
    """No connection to the index could be made."""


class NotCached(IndexUnreachable):
    """The network is disabled, and the cache does not have the page."""


class NotFetched(ArchiveError):
    """The network is disabled, and the file is not available locally."""


class StoreMismatch(FtauditError):
    """A facts store says something else of a wheel than the wheel itself."""


class ImageError(FtauditError):
    """An extension module's image cannot be parsed. The engine turns it into a row."""

    exit_code = 3


class EngineMissing(ImageError):
    """An engine that reads images is not installed: it comes with an extra. The answer is not cached."""


def cause_of(error: Exception) -> str:
    """Return what failed, for people: the system's words, without the error number and the path."""
    return str(getattr(error, "strerror", None) or error)
