"""Reads conda's `environment.yml`: its pip part, and a row for each conda package, which is not checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from ftaudit.errors import InputError
from ftaudit.lockfiles.formats import requirements_txt
from ftaudit.lockfiles.input_files import how_to_repair, read_text
from ftaudit.lockfiles.requirements import KNOWN_FORMATS, InputFormat, Problem, Requirements
from ftaudit.model import Location

MAX_CHARACTERS: Final = 200_000
MAX_NODES: Final = 20_000
MAX_DEPTH: Final = 8
"""A list of lists in a table has depth three."""
NO_PACKAGES: Final = frozenset({"python", "python_abi", "python-freethreading", "python-gil", "pip", "conda", "nomkl"})
"""The interpreter, its builds, and the installers: the question is whether the packages suit another interpreter."""
_NAME: Final = re.compile(r"(?:(?P<channel>[^\s:]+)::)?(?P<name>[A-Za-z0-9_][\w.-]*)(?P<rest>.*)", re.DOTALL)


def read(path: Path) -> Requirements:
    """Return the requirements of the pip part, with the files that it includes, and a problem for each conda package.

    Conda's documentation describes the format ("Creating an environment file manually"). Raise `InputError`, with the
    line, for any other file. Anchors, aliases, and tags are rejected: an environment file does not need them.
    """
    text = read_text(path, "an environment file")
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{path} has {len(text):,} characters; ftaudit reads at most {MAX_CHARACTERS:,} of YAML")
    root = _compose(text, path)
    dependencies = _entry(root, "dependencies")
    if not isinstance(dependencies, yaml.SequenceNode):
        at = f"{path}:{_line(dependencies) if dependencies else 1}"
        raise InputError(
            f"{at}: 'dependencies' is not a list: this is not a conda environment file",
            hint=f"ftaudit reads {KNOWN_FORMATS}",
        )
    problems: list[Problem] = []
    lines: dict[int, str] = {}
    for item in dependencies.value:
        place = Location(path=str(path), line=_line(item))
        match item:
            case yaml.ScalarNode(value=str(text)):
                problems += _conda(text.strip(), place)
            case yaml.MappingNode():
                lines |= _pip(item, path)
            case _:
                raise InputError(f"{place}: a dependency is neither a name nor a table")
    found = requirements_txt.read_lines(path, lines) if lines else Requirements(path=path, format=InputFormat.CONDA)
    return Requirements(
        path=path,
        format=InputFormat.CONDA,
        roots=found.roots,
        constraints=found.constraints,
        index=found.index,
        problems=tuple(problems),
    )


def list_packages(path: Path) -> list[tuple[str, str]]:
    """Return the name and the range, in conda's spelling, of each conda package in an environment file, in order.

    Raise `InputError` for a malformed file.
    """
    dependencies = _entry(_compose(read_text(path, "an environment file"), path), "dependencies")
    items = dependencies.value if isinstance(dependencies, yaml.SequenceNode) else ()
    found = (_NAME.fullmatch(item.value.strip()) for item in items if isinstance(item, yaml.ScalarNode))
    return [(match["name"], match["rest"].strip()) for match in found if match]


def _compose(text: str, path: Path) -> yaml.Node | None:
    """Return the document's nodes, which have their lines; no Python objects are constructed."""
    try:
        for number, event in enumerate(_events(text)):
            place = f"{path}:{_line(event)}"
            if getattr(event, "anchor", None) is not None or getattr(event, "tag", None) is not None:
                raise InputError(f"{place}: anchors, aliases and tags are not supported")
            if number > MAX_NODES:
                raise InputError(f"{place}: more than {MAX_NODES:,} entries")
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise not_yaml(path, error, text) from error


def not_yaml(path: Path, error: Exception, text: str) -> InputError:
    """Return the error for a file that the YAML parser rejects, with the line if the parser names one."""
    hint = how_to_repair(path, text)
    if not isinstance(error, yaml.MarkedYAMLError):
        return InputError(f"{path} is not valid YAML: {str(error).splitlines()[0][:200]}", hint=hint)
    mark = error.problem_mark or error.context_mark
    place = f"{path}:{mark.line + 1}" if mark else str(path)
    return InputError(f"{place}: this is not valid YAML: {error.problem or error.context}", hint=hint)


def _events(text: str) -> Iterator[yaml.Event]:
    """Yield the parser's events one by one; reject a document that is nested too deeply."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"line {_line(event)}: nested more than {MAX_DEPTH} levels deep")
        yield event


def _entry(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _line(node: yaml.Node | yaml.Event) -> int:
    return node.start_mark.line + 1 if node.start_mark else 1


def _conda(text: str, place: Location) -> list[Problem]:
    """Return the row of a conda package, or nothing for the interpreter and the installers."""
    match = _NAME.fullmatch(text)
    if match is None:
        raise InputError(f"{place}: {text[:80]!r} does not name a package")
    if match["name"].lower() in NO_PACKAGES:
        return []
    message = "a conda package: ftaudit checks only the packages that pip installs"
    return [Problem(name=match["name"], message=message, location=place)]


def _pip(table: yaml.MappingNode, path: Path) -> dict[int, str]:
    """Return the lines of `- pip: […]` by their position in the file."""
    lines: dict[int, str] = {}
    for name, value in table.value:
        place = f"{path}:{_line(name)}"
        if name.value != "pip":
            raise InputError(f"{place}: {str(name.value)[:80]!r} is not a supported installer; use pip")
        if not isinstance(value, yaml.SequenceNode):
            raise InputError(f"{place}: 'pip' is not a list")
        for item in value.value:
            line = _line(item)
            if not isinstance(item, yaml.ScalarNode) or "\n" in item.value.strip() or line in lines:
                raise InputError(f"{path}:{line}: each entry of 'pip' must be one line of a requirements file")
            lines[line] = item.value.strip()
    return lines
