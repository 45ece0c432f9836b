"""The changes of fixes: as a diff that `git apply` accepts, and on disk."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence

from ftaudit.errors import UsageError
from ftaudit.model import Finding
from ftaudit.source.fixing.offer import EditedFile
from ftaudit.whole_files import ChangedMeanwhile, Rewrite, rewrite


def unified_diff(edited: Iterable[EditedFile], findings: Sequence[Finding], shown: Callable[[str], str]) -> bytes:
    """Return what the fixes of the findings change as a unified diff, in the files' own bytes.

    `shown` returns the name of a path in it.
    """
    return b"".join(_diff(shown(each.file.shown), each.before, each.after(findings)) for each in edited)


def _diff(path: str, before: bytes, after: bytes) -> bytes:
    if before == after:
        return b""
    name = path.encode("utf-8", "surrogateescape")
    lines = difflib.diff_bytes(difflib.unified_diff, _lines(before), _lines(after), b"a/" + name, b"b/" + name)
    return b"diff --git a/" + name + b" b/" + name + b"\n" + b"".join(map(_line, lines))


def _lines(data: bytes) -> list[bytes]:
    """Return the lines as git sees them: a lone carriage return does not end a line."""
    return [line + b"\n" for line in data.split(b"\n")[:-1]] + (
        [data.rpartition(b"\n")[2]] if data[-1:] != b"\n" else []
    )


def _line(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"


def write_files(
    edited: Iterable[EditedFile], findings: Sequence[Finding], *, safe: bool = True
) -> Iterator[EditedFile]:
    """Write each file with the safe fixes of its findings, whole and in one step, and yield it. Links are followed.

    Without `safe` every fix is made.

    Raise `UsageError` for a file that changed since the scan, or that cannot be written; those before it stay written.
    """
    for each in edited:
        after = each.after(findings, safe=safe)
        if after == each.before:
            continue
        try:
            rewrite([Rewrite(path=each.file.path, old=each.before, new=after)])
        except ChangedMeanwhile as error:
            raise UsageError(f"{each.file.shown} changed during the scan", hint="run the command again") from error
        except OSError as error:
            raise UsageError(f"cannot write {each.file.shown}: {error.strerror}", hint="check permissions") from error
        yield each
