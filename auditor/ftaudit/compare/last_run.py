"""The file in which `ftaudit watch` keeps the last run, read back without trust in its content."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ftaudit.__about__ import __version__
from ftaudit.compare.documents import MAX_BYTES
from ftaudit.compare.watching import WatchedTarget
from ftaudit.errors import InputError, cause_of
from ftaudit.model.plain import from_plain, to_plain

KIND: Final = "ftaudit watch"
VERSION: Final = 1
"""The schema version of the file."""
HINT: Final = "restore it, or delete it to start again: the next run then lists every blocker"


@dataclass(frozen=True, kw_only=True, slots=True)
class LastRun:
    """What the runs of a project so far have found."""

    inputs: tuple[str, ...]
    """The inputs, relative to the folder of the file."""
    recorded: str
    """When the last run ended, in UTC."""
    targets: tuple[WatchedTarget, ...]

    def of(self, target: str) -> WatchedTarget | None:
        """Return what is known for a target, or `None` if no run had it."""
        return next((one for one in self.targets if one.audit.target == target), None)


def relative_inputs(inputs: tuple[str, ...], path: Path) -> tuple[str, ...]:
    """Return the inputs relative to the folder of the file, so that it does not matter where the command runs."""
    return tuple(sorted({name if name == "-" else _relative(Path(name), path.resolve().parent) for name in inputs}))


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), folder)).as_posix()
    except ValueError:  # Another drive.
        return path.resolve().as_posix()


def read_last_run(path: Path, inputs: tuple[str, ...]) -> LastRun | None:
    """Return the last run of these inputs, or `None` if the file does not exist.

    Raise `InputError` for a file that cannot be read, is not such a file, is of another release, or is of other inputs.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} has more than {MAX_BYTES:,} bytes", hint=HINT)
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {cause_of(error)}", hint=HINT) from error
    found = _parse(data, path)
    wanted = relative_inputs(inputs, path)
    if found.inputs != wanted:
        raise InputError(
            f"{path} has a run of {', '.join(found.inputs)}, but this run reads {', '.join(wanted)}",
            hint="specify another file with --last-run, or delete this one to start again",
        )
    return found


def _parse(data: bytes, path: Path) -> LastRun:
    try:
        loaded = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {str(error)[:200]}", hint=HINT) from error
    if not isinstance(loaded, dict) or loaded.get("kind") != KIND:
        raise InputError(f"{path} is not a file of ftaudit watch", hint="specify another file with --last-run")
    version = loaded.get("schema_version")
    if version != VERSION or isinstance(version, bool):
        raise InputError(
            f"{path} has schema version {str(version)[:20]}; this release reads {VERSION}",
            hint="use the release of ftaudit that wrote it, or delete it to start again",
        )
    if loaded.get("checksum") != _checksum(loaded):
        raise InputError(f"{path} is damaged or was edited: it does not match its checksum", hint=HINT)
    try:
        return LastRun(
            inputs=from_plain(tuple[str, ...], loaded.get("inputs")),
            recorded=from_plain(str, loaded.get("recorded")),
            targets=from_plain(tuple[WatchedTarget, ...], loaded.get("targets")),
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {str(error)[:200]}", hint=HINT) from error


def render_last_run(
    old: LastRun | None, targets: tuple[WatchedTarget, ...], *, inputs: tuple[str, ...], path: Path, now: datetime
) -> str:
    """Return the content of the file after a run. Targets that only earlier runs had are kept."""
    here = {one.audit.target for one in targets}
    apart = () if old is None else (one for one in old.targets if one.audit.target not in here)
    document: dict[str, Any] = {
        "kind": KIND,
        "schema_version": VERSION,
        "tool": {"name": "ftaudit", "version": __version__},
        "recorded": now.isoformat(timespec="seconds"),
        "inputs": list(relative_inputs(inputs, path)),
        "targets": [to_plain(one) for one in (*targets, *apart)],
    }
    document["checksum"] = _checksum(document)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


def _checksum(document: Mapping[str, Any]) -> str:
    """Return the digest of everything else in the file: an edited verdict has the form of another."""
    told = {key: value for key, value in document.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
