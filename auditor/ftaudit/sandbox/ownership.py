"""Which distribution of an environment a file belongs to, by RECORD, and whose file took the place of another's."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.utils import NormalizedName, canonicalize_name

from ftaudit.cpython.versions import Version
from ftaudit.errors import ArchiveError
from ftaudit.sandbox.contents import RECORD_BYTES, read_contents

_ALGORITHMS: Final = frozenset({"sha256", "sha384", "sha512"})
"""What the specification of RECORD lets wheels use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ownership:
    """The files of an environment, by their path below it with forward slashes."""

    environment: Path
    owners: dict[str, tuple[NormalizedName, ...]]
    overwritten: dict[NormalizedName, tuple[tuple[str, NormalizedName], ...]]
    """For each distribution its files that now hold what another one wrote, with that one's name."""

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
    overwritten: dict[NormalizedName, list[tuple[str, NormalizedName]]] = defaultdict(list)
    for path, hashes in claims.items():
        if len(hashes) < 2 or len(set(hashes.values())) < 2:
            continue
        winners = [name for name, claimed in hashes.items() if _holds(environment / path, claimed)]
        for name in hashes:
            if winners and name not in winners:
                overwritten[name].append((path, winners[0]))
    return Ownership(
        environment=environment,
        owners={path: tuple(hashes) for path, hashes in claims.items()},
        overwritten={name: tuple(files) for name, files in overwritten.items()},
    )


def _holds(path: Path, claimed: str) -> bool:
    """Return whether a file has the hash that a RECORD claims, `sha256=` and URL-safe base64 without padding."""
    algorithm, _, digest = claimed.partition("=")
    if algorithm not in _ALGORITHMS:
        return False
    try:
        found = hashlib.new(algorithm, path.read_bytes()).digest()
    except OSError:
        return False
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode() == digest
