"""How to reproduce an answer: the commands, the versions that made it, the digests of its inputs."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from ftaudit.__about__ import __version__
from ftaudit.model import Report
from ftaudit.registry import GROUP, load_rules
from ftaudit.urls import without_credentials
from ftaudit.whole_files import digest_of

EPOCH_VARIABLE: Final = "SOURCE_DATE_EPOCH"
"""Seconds since 1970 that replace the current time in a reproducible build (reproducible-builds.org)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduction:
    """What another person needs to get the same answer. It contains no credentials."""

    made: datetime
    """In UTC."""
    commands: tuple[str, ...]
    """Command lines in shell syntax."""
    versions: tuple[tuple[str, str], ...]
    """Pairs of a component and its version."""
    inputs: tuple[tuple[str, str | None], ...]
    """Pairs of an input and the SHA-256 of its bytes; `None` for an input that is not a file."""


def find_reproduction(report: Report, commands: Iterable[Sequence[str]]) -> Reproduction:
    """Return how a report was made, now. Each command is a list of arguments, with the program's name first."""
    registry = load_rules()
    packs = [f"{_dist(entry.dist)} ({entry.name})" for entry in entry_points(group=GROUP)]
    return Reproduction(
        made=present_time(),
        commands=tuple(without_credentials(shlex.join(command)) for command in commands),
        versions=(
            ("ftaudit", __version__),
            ("rule packs", f"{', '.join(packs) or 'none'}: {len(registry.rules)} rules"),
            ("target", f"CPython {report.target}"),
            ("platforms", ", ".join(report.platforms)),
            ("imported with", report.interpreter or "nothing: no package code was run"),
            ("run on", f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"),
            ("index", ", ".join(map(without_credentials, report.indexes)) or "none was queried"),
        ),
        inputs=tuple((path, _digest(Path(path))) for path in report.inputs),
    )


def _dist(dist: object) -> str:
    name, version = getattr(dist, "name", None), getattr(dist, "version", None)
    return f"{name} {version}" if name else "of no distribution"


def present_time() -> datetime:
    """Return the time for a report: `SOURCE_DATE_EPOCH` if it is set, otherwise the current time, in UTC."""
    epoch = os.environ.get(EPOCH_VARIABLE, "")
    if epoch.isascii() and epoch.isdigit() and len(epoch) < 12:
        return datetime.fromtimestamp(int(epoch), tz=timezone.utc)
    return datetime.now(tz=timezone.utc).replace(microsecond=0)


def _digest(path: Path) -> str | None:
    try:
        return digest_of(path) if path.is_file() else None
    except OSError:
        return None
