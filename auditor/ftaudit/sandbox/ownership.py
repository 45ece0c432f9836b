"""Which distribution of an environment a file belongs to, by RECORD, and which files several of them claim."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name

from ftaudit.cpython.versions import Version
from ftaudit.errors import ArchiveError
from ftaudit.sandbox.contents import RECORD_BYTES, read_contents


@dataclass(frozen=True, kw_only=True, slots=True)
class Ownership:
    """The files of an environment, by their path below it with forward slashes."""

    environment: Path
    owners: dict[str, tuple[NormalizedName, ...]]
    contested: dict[NormalizedName, tuple[tuple[str, NormalizedName], ...]]
    """For each distribution, its files that another distribution has in a different version, with its name.

    Which of the two is there depends on the order of installation.
    """

    def is_listed(self, file: str, version: Version) -> bool:
        """Return whether a loaded file is an extension module that its distribution is known to hold."""
        try:
            path = Path(os.path.abspath(file)).relative_to(self.environment).as_posix()  # noqa: PTH100 - no links
        except (ValueError, OSError):
            return False
        for owner in self.owners.get(path, ()):
            try:
                contents = read_contents(self.environment, owner, version)
            except ArchiveError:
                continue
            if any(path == module for _, module in contents.modules):
                return True
        return False


def read_ownership(environment: Path) -> Ownership:
    """Read the RECORD of every distribution; one that cannot be read owns nothing, which its own import reports."""
    claims: dict[str, dict[NormalizedName, str]] = defaultdict(dict)
    for record in sorted(environment.glob("*.dist-info/RECORD")):
        name = canonicalize_name(record.parent.name.partition("-")[0])
        try:
            if record.stat().st_size > RECORD_BYTES:
                continue
            with record.open(encoding="utf-8", newline="") as file:
                rows = [row for row in csv.reader(file) if row]
        except (OSError, UnicodeDecodeError, csv.Error):
            continue
        for row in rows:
            claims[row[0]][name] = row[1] if len(row) > 1 else ""
    contested: dict[NormalizedName, list[tuple[str, NormalizedName]]] = defaultdict(list)
    for path, hashes in claims.items():
        for name, claimed in hashes.items():
            others = (other for other, digest in hashes.items() if digest != claimed)
            contested[name] += [(path, other) for other in others]
    return Ownership(
        environment=environment,
        owners={path: tuple(hashes) for path, hashes in claims.items()},
        contested={name: tuple(files) for name, files in contested.items()},
    )
