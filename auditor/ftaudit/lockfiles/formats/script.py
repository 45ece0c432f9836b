"""Reads the metadata block of a Python script (PEP 723), or the lock file that uv keeps next to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import tomli

from ftaudit.errors import InputError
from ftaudit.lockfiles.formats import pyproject, uv_lock
from ftaudit.lockfiles.input_files import how_to_repair, read_text
from ftaudit.lockfiles.requirements import InputFormat, Requirements

_BLOCK: Final = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
"""The regular expression of the specification ("Inline script metadata")."""


def read(
    path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = (), all_extras: bool = False
) -> Requirements:
    """Return a script's requirements: from its lock file if there is one, otherwise from its metadata block.

    Raise `InputError` for a script without a block, or with a malformed one.
    """
    block = read_block(path)
    if block is None:
        raise InputError(
            f"{path} has no metadata block (PEP 723)",
            hint="create one with `uv add --script FILE PACKAGE`",
        )
    lock = path.with_name(f"{path.name}.lock")
    if lock.is_file():
        return uv_lock.read(lock, extras=extras, groups=groups, all_extras=all_extras)
    document = {"project": {"dependencies": block.get("dependencies", [])}, "tool": block.get("tool", {})}
    return pyproject.read_document(
        path, document, read_text(path), extras=extras, groups=groups, all_extras=all_extras, form=InputFormat.SCRIPT
    )


def read_block(path: Path) -> dict[str, Any] | None:
    """Return the script's metadata, or `None` if it has none; raise `InputError` for a malformed block."""
    text = read_text(path, "a script").replace("\r\n", "\n")
    found = [match for match in _BLOCK.finditer(text) if match["type"] == "script"]
    if len(found) > 1:
        raise InputError(f"{path} has more than one metadata block")
    if not found:
        return None
    lines = (line[2:] if line.startswith("# ") else line[1:] for line in found[0]["content"].splitlines(keepends=True))
    try:
        return tomli.loads("".join(lines))
    except (tomli.TOMLDecodeError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: its metadata block is not valid TOML: {error}", hint=how_to_repair(path)) from error
