"""Why an import failed, in one line, and whether something outside the distribution is to blame."""

from __future__ import annotations

import errno
import re
import signal
from collections.abc import Collection
from typing import Any, Final

_LIBRARY: Final = re.compile(
    r"([^\s:'/]+\.(?:so|dylib|dll)[.\d]*): cannot open shared object file|Library not loaded: (\S+)"
)
_DEVICE: Final = re.compile(
    r"display|\bX11\b|wayland|libcuda|\bCUDA\b|no (?:such )?device|audio device|settings are not configured"
    r"|network is unreachable|name resolution",
    re.IGNORECASE,
)
_OUTSIDE_ERRORS: Final = frozenset(
    {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENETUNREACH, errno.ENODEV, errno.EMFILE, errno.EFBIG, errno.ENOSPC}
)
_OUTSIDE_KINDS: Final = frozenset({"ConnectionError", "gaierror", "ImproperlyConfigured", "TclError"})
_LIMIT: Final = 500

_REMOVED: Final = frozenset(
    {
        "aifc",
        "asynchat",
        "asyncore",
        "audioop",
        "cgi",
        "cgitb",
        "chunk",
        "crypt",
        "distutils",
        "imghdr",
        "imp",
        "lib2to3",
        "mailcap",
        "msilib",
        "nis",
        "nntplib",
        "ossaudiodev",
        "pipes",
        "smtpd",
        "sndhdr",
        "spwd",
        "sunau",
        "telnetlib",
        "uu",
        "xdrlib",
    }
)
"""Standard-library modules that 3.12 and 3.13 removed (PEP 594, PEP 632): a missing one is the distribution's fault."""


def escape(text: str, limit: int = _LIMIT) -> str:
    """Return untrusted text made safe for a report: it moves no cursor, and has at most `limit` characters."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in cut
    )


def describe_exception(error: dict[str, Any]) -> str:
    """Return type and message of the child's exception, on one line."""
    kinds, message = error["kinds"], " ".join(str(error["message"]).split())
    kind = str(kinds[0]) if kinds else "exception"
    return escape(f"{kind}: {message}" if message else kind)


def describe_signal(number: int) -> str:
    """Return `SIGSEGV (Segmentation fault)`."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name} ({signal.strsignal(number)})"


def is_environmental(error: dict[str, Any], *, own_names: Collection[str], own_files: Collection[str]) -> bool:
    """Return whether the import failed because something outside the distribution is missing.

    `own_names` are the top-level names that the distribution brings, `own_files` the base names of its files. A
    symbol that the interpreter lacks, and a module that the standard library no longer has, are the distribution's
    own fault on this target. If the exception itself does not show that, those that led to it do (`__cause__` and
    `__context__`): a package may raise its own error if a dependency is missing.
    """
    for each in (error, *error.get("causes", ())):
        answer = _outside(each, own_names, own_files)
        if answer is not None:
            return answer
    return False


def _outside(error: dict[str, Any], own_names: Collection[str], own_files: Collection[str]) -> bool | None:
    """Return whether one exception is for something outside the distribution; `None` if it does not show that."""
    kinds, message = set(error["kinds"]), str(error["message"])
    if "undefined symbol" in message or "Symbol not found" in message:
        return re.search(r"\b_?Py[A-Z_]", message) is None
    if library := _LIBRARY.search(message):
        return (library[1] or library[2]).rpartition("/")[2] not in own_files
    if "ImportError" in kinds:
        missing = (error["name"] or "").partition(".")[0]
        if missing in _REMOVED:
            return False
        if missing and missing not in own_names:
            return True
    if kinds & _OUTSIDE_KINDS or ("OSError" in kinds and error["errno"] in _OUTSIDE_ERRORS):
        return True
    return True if _DEVICE.search(message) else None
