"""Writes files completely or not at all, and computes digests of files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

SUFFIX: Final = ".part"
"""The name of an unfinished file."""
_CHUNK: Final = 1 << 20


@contextlib.contextmanager
def unfinished(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Yield a new file in a folder, and its path. Rename it after it is complete: otherwise it is removed.

    Close it before you rename it. Raise `OSError` for a folder that cannot be written to.
    """
    descriptor, name = tempfile.mkstemp(dir=folder, suffix=SUFFIX)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file, part
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Replace `path` with a file of this content in one step; raise `OSError` if that is not possible.

    Only its owner may read it, unless `mode` says otherwise.
    """
    with unfinished(path.parent) as (file, part):
        file.write(data)
        file.close()
        if mode is not None:
            part.chmod(mode)
        part.replace(path)


def replace_content(path: Path, data: bytes, *, mode: int) -> None:
    """Replace the file that a path names, behind any links, in one step; raise `OSError` if that is not possible.

    Write into anything that is not a regular file: replacing `/dev/null` would remove it from the whole machine.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(data)
    else:
        write_whole(path.resolve(), data, mode=mode)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewrite:
    """New content for an existing file."""

    path: Path
    old: bytes
    """The content from which the new content was made."""
    new: bytes


class ChangedMeanwhile(Exception):
    """The content of the file `path` has changed since its new content was made."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path


def rewrite(files: Sequence[Rewrite]) -> None:
    """Give each file its new content in one step, after all new files are ready. Links, owners, and modes stay.

    Raise `ChangedMeanwhile` for a file with changed content, and `OSError`, with `filename`, for a file that cannot be
    read or written. In both cases nothing is written, unless the system rejects the last step, the rename.
    """
    with contextlib.ExitStack() as stack:
        ready = [(_prepare(stack, file), file.path.resolve()) for file in files]
        for file in files:
            if not file.path.is_file() or file.path.read_bytes() != file.old:
                raise ChangedMeanwhile(file.path)
        for part, place in ready:
            part.replace(place)


def _prepare(stack: contextlib.ExitStack, rewritten: Rewrite) -> Path:
    """Write the new content next to the file, with its owner and mode."""
    place = rewritten.path.resolve()
    if not os.access(place, os.W_OK):
        number = errno.EACCES if place.exists() else errno.ENOENT
        raise OSError(number, os.strerror(number), str(rewritten.path))
    file, part = stack.enter_context(unfinished(place.parent))
    file.write(rewritten.new)
    file.flush()
    os.fsync(file.fileno())
    file.close()
    shutil.copymode(place, part)
    status = place.stat()
    with contextlib.suppress(OSError, AttributeError):
        os.chown(part, status.st_uid, status.st_gid)
    return part


def digest_of(path: Path) -> str:
    """Return the SHA-256 digest of a file, in lower-case hexadecimal; raise `OSError` if it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
