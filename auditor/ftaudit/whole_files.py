"""Files that are there whole or not at all, and the digest of one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

SUFFIX: Final = ".part"
"""What a file that is not finished is called."""
_CHUNK: Final = 1 << 20


@contextlib.contextmanager
def unfinished(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Yield a new file in a folder, and its path. Rename it once it is whole: it is removed otherwise.

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
    """Put a file with this content in the place of `path`, in one step; raise `OSError` where that is not possible.

    Only its owner may read it, unless `mode` says otherwise.
    """
    with unfinished(path.parent) as (file, part):
        file.write(data)
        file.close()
        if mode is not None:
            part.chmod(mode)
        part.replace(path)


def digest_of(path: Path) -> str:
    """Return the SHA-256 digest of a file, in lower-case hexadecimal; raise `OSError` if it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
