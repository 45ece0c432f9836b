"""ftaudit: is this Python stack ready for free-threaded CPython?

`audit()` is the command `ftaudit check` as a typed call, and `audit_targets()` is the same for several targets.
`Settings` configures them, and the `Report` that they return is plain frozen data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftaudit.__about__ import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ftaudit.model import Report
    from ftaudit.settings import Settings

__all__ = ["Settings", "__version__", "audit", "audit_targets"]


def __getattr__(name: str) -> object:
    """Import `Settings` on first use, so that `import ftaudit` stays fast."""
    if name == "Settings":
        from ftaudit.settings import Settings

        return Settings
    raise AttributeError(f"module 'ftaudit' has no attribute {name!r}")


def audit(*inputs: str | Path, settings: Settings | None = None) -> Report:
    """Audit the packages that the input files pin and return the report.

    `inputs` are requirements files, lock files, `pyproject.toml`s, environments or folders of wheels; without one, the
    most precise input in the current folder is used. Raise `ftaudit.errors.FtauditError` for errors with exit code 2:
    an input that cannot be read, a setting that does not exist. A package that cannot be checked is a row.
    """
    from ftaudit import engine
    from ftaudit.settings import Settings

    return engine.audit([*map(str, inputs)], settings or Settings())


def audit_targets(*inputs: str | Path, targets: Sequence[str], settings: Settings | None = None) -> tuple[Report, ...]:
    """Audit the packages that the input files pin for several targets in one run; return a report for each, in order.

    `targets` are names such as `3.14t`, and replace `settings.target`. Inputs are read and pages of the index are
    requested once for all targets. `ftaudit.model.worst_exit_code` returns the combined exit code of the reports.
    Inputs and errors as in `audit`.
    """
    from ftaudit import engine
    from ftaudit.settings import Settings

    return engine.audit_targets([*map(str, inputs)], settings or Settings(), targets)
