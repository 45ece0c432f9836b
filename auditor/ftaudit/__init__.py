"""ftaudit: is this Python stack ready for free-threaded CPython?

`audit()` is the command `ftaudit check` as a typed call; `Settings` says what it is to look at, and the `Report`
that it returns is plain frozen data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftaudit.__about__ import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from ftaudit.model import Report
    from ftaudit.settings import Settings

__all__ = ["__version__", "audit"]


def audit(*inputs: str | Path, settings: Settings | None = None) -> Report:
    """Audit what the input files pin and return the report.

    `inputs` are requirements files, lock files, `pyproject.toml`s, environments or folders of wheels; without one, the
    most precise input of the current folder is taken. Raise `ftaudit.errors.FtauditError` for what makes the command
    exit with 2: an input that cannot be read, a setting that does not exist. What cannot be checked is a row.
    """
    from ftaudit import engine
    from ftaudit.settings import Settings

    return engine.audit([*map(str, inputs)], settings or Settings())
