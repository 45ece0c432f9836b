"""Repositories and an index, and the data set of one run over them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.index_server import IndexServer

from ftaudit.fleet.dataset import read_rows

Run = Callable[..., tuple[int, str]]
WHERE = ("--platform", "linux-x86_64", "--quiet", "--workers", "1")


@dataclass
class Fleet:
    """Repositories and an index, and the data set of one run over them."""

    server: IndexServer
    repositories: Path
    cache: Path
    data: Path
    code: int

    def rows(self, table: Any) -> list[dict[str, Any]]:
        return list(read_rows(self.data, table))

    def check(self, output: Path) -> tuple[str | Path, ...]:
        index = ("--index-url", self.server.simple_url, "--cache-dir", self.cache)
        return ("fleet", "check", self.repositories, "-o", output, *index, *WHERE)


def digests_of(folder: Path) -> dict[str, str]:
    """Return the digest of each Parquet file of a data set."""
    files = sorted(folder.rglob("*.parquet"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
