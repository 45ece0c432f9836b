"""Reads the dependencies of tox environments: `deps` of `tox.ini`, and of `tox.toml`."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ftaudit.errors import InputError
from ftaudit.lockfiles.fields import check_known
from ftaudit.lockfiles.formats import requirements_txt
from ftaudit.lockfiles.input_files import how_to_repair, read_text, read_toml
from ftaudit.lockfiles.requirements import InputFormat, Requirements

BASE: Final = "testenv"
_REFERENCE: Final = re.compile(r"\{\[([^\]]+)\]([\w-]+)\}")
_FACTOR: Final = re.compile(r"(?P<factors>!?[\w.]+(?:[-,]\s*!?[\w.]+)*)\s*:\s+(?P<line>.+)")
_DEEPEST: Final = 10


def read(
    path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = (), all_extras: bool = False
) -> Requirements:
    """Return the `deps` of the base environment, and of those chosen by name (`--group NAME`).

    Raise `InputError` for a file without an environment, `UsageError` for an unknown environment.
    """
    check_known("extra", extras, (), path)
    environments = _of_toml(path) if path.suffix == ".toml" else _of_ini(path)
    if BASE not in environments:
        raise InputError(f"{path} defines no tox environment", hint="specify a requirements or lock file")
    check_known("group", groups, environments, path)
    factors = {factor for name in groups for factor in name.split("-")}
    lines: list[str] = []
    conditional = False
    for name in dict.fromkeys((BASE, *groups)):
        for line in environments[name]:
            match = _FACTOR.fullmatch(line)
            if match is None or "://" in match["factors"]:
                lines.append(line)
            elif _holds(match["factors"], factors):
                lines.append(match["line"])
            else:
                conditional = True
    text = dict(enumerate(dict.fromkeys(lines), start=1))
    found = requirements_txt.read_lines(path, text)
    others = sorted(set(environments) - {BASE, *groups})
    return Requirements(
        path=path,
        format=InputFormat.TOX,
        roots=found.roots,
        constraints=found.constraints,
        index=found.index,
        left_out=(
            *(f"group {name}" for name in others),
            *(("lines for factors that no selected environment has",) if conditional else ()),
        ),
    )


def _holds(text: str, factors: set[str]) -> bool:
    """Return whether a tox condition is true: `py311,py312-django: …`, with `!` for "not"."""
    return any(
        all((each.strip("! ") in factors) is not each.strip().startswith("!") for each in one.split("-"))
        for one in text.split(",")
    )


def _of_ini(path: Path) -> dict[str, list[str]]:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(read_text(path))
    except configparser.Error as error:
        raise InputError(f"{path} is not an ini file: {str(error).splitlines()[0][:200]}") from error
    found: dict[str, list[str]] = {}
    for section in parser.sections():
        name = section.partition(":")[2] or section
        if section == BASE or section.startswith(f"{BASE}:"):
            value = parser.get(section, "deps", fallback="") or ""
            found[BASE if section == BASE else name] = list(_lines(value, parser, path, 0))
    return found


def _lines(value: str, parser: configparser.RawConfigParser, path: Path, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise InputError(f"{path}: sections refer to each other in a loop")
    for line in (line.partition(" #")[0].strip() for line in value.splitlines()):
        match = _REFERENCE.fullmatch(line)
        if match is not None:
            yield from _lines(parser.get(match[1], match[2], fallback="") or "", parser, path, depth + 1)
        elif line and not line.startswith("#"):
            yield line.replace("{toxinidir}", ".").replace("{tox_root}", ".").replace("{env:PWD}", ".")


def _of_toml(path: Path) -> dict[str, list[str]]:
    document: Mapping[str, Any] = read_toml(path)[0]
    try:
        base, named = document.get("env_run_base", {}), document.get("env", {})
        found = {BASE: [str(line) for line in base.get("deps", ()) if isinstance(line, str)]}
        for name, table in named.items():
            found[str(name)] = [str(line) for line in table.get("deps", ()) if isinstance(line, str)]
    except AttributeError as error:
        raise InputError(
            f"{path} is malformed: a table of an environment is missing", hint=how_to_repair(path)
        ) from error
    return found
