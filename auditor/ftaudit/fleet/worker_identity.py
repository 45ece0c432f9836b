"""What the answers of a worker depend on: the code of ftaudit, and the installed rules."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import ftaudit
from ftaudit.__about__ import __version__
from ftaudit.registry import rules_identity
from ftaudit.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerIdentity:
    """Two processes with the same identity give the same answers."""

    version: str
    """The version of ftaudit."""
    digest: str
    """The digest of its code and data, and of the installed rules."""


@functools.lru_cache(maxsize=1)
def worker_identity() -> WorkerIdentity:
    """Return the identity of this process."""
    digest = hashlib.sha256(f"{code_digest()} {rules_identity()}".encode()).hexdigest()
    return WorkerIdentity(version=__version__, digest=digest)


def describe_worker() -> list[str]:
    """Return the version and the digest of this process, and its cache folder, as plain data."""
    identity = worker_identity()
    return [identity.version, identity.digest, str(Settings().cache)]


def code_digest() -> str:
    """Return a digest of the code and data of ftaudit."""
    digest = hashlib.sha256()
    room = Path(ftaudit.__file__).parent
    for path in sorted(room.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(path.relative_to(room).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
