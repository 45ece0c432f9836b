"""Creates, measures, and removes folders with third-party content, without recursion, however deep they are.

`shutil.rmtree` and `os.walk` recurse before CPython 3.13 and 3.12, and both fail if a path is longer than the system
allows. A module can nest thousands of folders in its scratch folder.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ftaudit.errors import UsageError


def require_folder(folder: Path, purpose: str, hint: str) -> None:
    """Create a folder if it is missing; raise `UsageError` if that is not possible or the folder is not writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot use {folder} as {purpose}: {error.strerror}", hint=hint) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"cannot use {folder} as {purpose}: it is not writable", hint=hint)


@contextlib.contextmanager
def temporary_folder(prefix: str = "ftaudit-", *, within: Path | None = None) -> Iterator[Path]:
    """Yield a new folder, and remove it afterwards with its content."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=within))
    try:
        yield folder
    finally:
        remove_tree(folder)


@functools.cache
def scratch_folder() -> Path:
    """Return a folder of this process that is removed on exit."""
    folder = Path(tempfile.mkdtemp(prefix="ftaudit-"))
    atexit.register(remove_tree, folder)
    return folder


def remove_tree(folder: Path) -> bool:
    """Remove a folder with its content; return whether it is gone. Links are removed, never followed.

    Each nested folder is moved to the top before it is emptied, so that no path grows longer than two names.
    """
    numbers = itertools.count()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        _open_up(current)
        try:
            with os.scandir(current) as entries:
                found = list(entries)
        except OSError:
            continue
        for entry in found:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(_moved_up(folder, Path(entry.path), numbers))
                else:
                    Path(entry.path).unlink()
        if current != folder:
            with contextlib.suppress(OSError):
                current.rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not os.path.lexists(folder)


def _moved_up(top: Path, folder: Path, numbers: Iterator[int]) -> Path:
    if folder.parent == top:
        return folder
    _open_up(folder)
    while os.path.lexists(moved := top / f".removing-{next(numbers)}"):
        pass
    folder.rename(moved)
    return moved


def _open_up(folder: Path) -> None:
    """Make a folder readable and writable for its owner: its content may have restricted it."""
    with contextlib.suppress(OSError):
        mode = folder.lstat().st_mode
        if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
            folder.chmod(stat.S_IRWXU)


def size_of(folder: Path) -> int:
    """Return the size of the files in a folder in bytes, as far as paths can be followed; links count themselves."""
    total = 0
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                        else:
                            total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total
