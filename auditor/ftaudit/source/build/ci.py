"""Reads files of continuous integration (GitHub, GitLab): free-threaded jobs, and their settings for cibuildwheel.

A workflow is YAML whose strings may hold shell scripts. The YAML is parsed; assignments in scripts are searched for in
the strings. Comments of either do not count, except for the version behind an action that is pinned by its hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ftaudit.source.build.build_facts import BuildFact, FactKind, mentions_free_threading

if TYPE_CHECKING:
    import yaml

MAX_DEPTH: Final = 100
MAX_EVENTS: Final = 200_000
"""The size up to which a workflow is parsed as YAML; a larger one is parsed line by line."""

_SKIP: Final = re.compile(r"CIBW_SKIP(?:_\w+)?")
_OBSOLETE: Final = "CIBW_FREE_THREADED_SUPPORT"
_ENABLE: Final = re.compile(r"CIBW_ENABLE(?:_\w+)?")
_FREE_THREADING: Final = "cpython-freethreading"
_ASSIGNED: Final = re.compile(
    r"\b(?P<name>CIBW_[A-Z_]+)[\"']?\s*(?P<by>[:=])\s*(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|(?P<bare>.*))"
)
"""A variable is set in a script, or in a line of YAML."""
_VERSION: Final = re.compile(r"cibuildwheel(?:@v|==)(\d+(?:\.\d+)*)")
_PINNED: Final = re.compile(r"cibuildwheel@[0-9a-f]{40}\b")
_PINNED_VERSION: Final = re.compile(r"#\s*v?(\d+(?:\.\d+)*)")
_LANE: Final = re.compile(r"\b3\.1[3-9]t\b|\bcp31[3-9]t\b|\bpython3\.1[3-9]t\b")
_RUNS_PYTHON: Final = re.compile(r"python-version|setup-python|cibuildwheel|\btox\b|\bnox\b|\bpytest\b")
_VERSION_KEY: Final = "python-version"


@dataclass(frozen=True, kw_only=True, slots=True)
class YamlString:
    """A string of the file: each of its lines with its number, and the keys that lead to it."""

    keys: tuple[str, ...]
    key_line: int
    """The line of the last key, or of the string without a key."""
    lines: tuple[tuple[int, str], ...]

    @property
    def text(self) -> str:
        """The lines, joined."""
        return "\n".join(text for _, text in self.lines)


def find_ci_facts(path: str, text: str) -> Iterator[BuildFact]:
    """Yield what the file says about free-threaded builds and about cibuildwheel.

    A file that is not valid YAML (a template) is read line by line.
    """
    lines = text.split("\n")
    try:
        entries = list(_entries(text, lines))
    except ValueError:
        entries = list(_entries_of_lines(lines))
    yield from _job(path, entries)
    for entry in entries:
        for number, name, value in _variables(entry):
            yield from _option(path, number, name, value)
        for number, line in entry.lines:
            version = _version(line, lines[number - 1])
            if version is not None:
                yield BuildFact(kind=FactKind.CIBW_VERSION, path=path, line=number, value=version)


def _version(said: str, line: str) -> str | None:
    """Return the version of cibuildwheel that a string names, or the comment behind one that names a commit."""
    found = _VERSION.search(said)
    if found is None and _PINNED.search(said):
        found = _PINNED_VERSION.search(line)
    return None if found is None else found[1]


def _job(path: str, entries: Sequence[YamlString]) -> Iterator[BuildFact]:
    """Yield whether a file with Python jobs has a free-threaded job."""
    said = [(key, entry) for entry in entries for key in (entry.keys[-1:] or ("",))]
    if not any(_RUNS_PYTHON.search(key) or _RUNS_PYTHON.search(entry.text) for key, entry in said):
        return
    lane = any(
        mentions_free_threading(entry.text) or _LANE.search(entry.text)
        for key, entry in said
        if not _SKIP.fullmatch(key) and "exclude" not in entry.keys
    )
    at = next((entry.key_line for entry in entries if _VERSION_KEY in entry.keys or _VERSION_KEY in entry.text), 1)
    yield BuildFact(kind=FactKind.CI_FILE, path=path, line=at, settled=lane)


def _variables(entry: YamlString) -> Iterator[tuple[int, str, str]]:
    """Yield the variables of cibuildwheel that an entry sets, each line of a value by itself: line, name, value."""
    if entry.keys and entry.keys[-1].startswith("CIBW_"):
        yield from ((number, entry.keys[-1], line) for number, line in entry.lines)
        return
    for number, line in entry.lines:
        if not line.lstrip().startswith("#") and (found := _ASSIGNED.search(line)):
            value = found["double"] or found["single"] or (found["bare"] or "").split(" #")[0].strip("'\" ")
            yield number, found["name"], value


def _option(path: str, number: int, name: str, value: str) -> Iterator[BuildFact]:
    if _SKIP.fullmatch(name):
        for word in value.split():
            yield BuildFact(kind=FactKind.CIBW_SKIP, path=path, line=number, value=word)
    elif name == _OBSOLETE:
        wanted = value.strip().lower() in ("true", "1", "yes")
        yield BuildFact(kind=FactKind.CIBW_OBSOLETE, path=path, line=number, value=name, settled=wanted)
    elif _ENABLE.fullmatch(name) and _FREE_THREADING in value.split():
        yield BuildFact(kind=FactKind.CIBW_ENABLE, path=path, line=number, value=name)


def _entries(text: str, lines: Sequence[str]) -> Iterator[YamlString]:
    """Yield every string of a YAML file, in the file's order; raise `ValueError` for invalid YAML or too much of it."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for number, event in enumerate(yaml.parse(text, Loader=loader)):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH or number > MAX_EVENTS:
                raise ValueError("nested too deeply, or too long")
        roots = list(yaml.compose_all(text, Loader=loader))
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError("not YAML") from error
    seen: set[int] = set()
    waiting: list[tuple[tuple[str, ...], int, yaml.Node]] = [((), 1, root) for root in reversed(roots)]
    while waiting:
        keys, line, node = waiting.pop()
        if id(node) in seen:
            continue  # An alias: its anchor was read.
        seen.add(id(node))
        match node:
            case yaml.ScalarNode():
                yield YamlString(keys=keys, key_line=line, lines=tuple(_placed(node, lines)))
            case yaml.SequenceNode():
                waiting += [(keys, line, item) for item in reversed(node.value)]
            case yaml.MappingNode():
                waiting += reversed(
                    [((*keys, _key(name, node)), name.start_mark.line + 1, value) for name, value in node.value]
                )


def _key(name: yaml.Node, table: yaml.MappingNode) -> str:
    """Return a key's text; of `name: X` and `value: …` in one table, `X` is the key of the value."""
    key = str(name.value)
    if key == "value":
        named = next((value.value for other, value in table.value if other.value == "name"), None)
        return named if isinstance(named, str) else key
    return key


def _placed(node: yaml.ScalarNode, lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines of a string with their numbers, from 1."""
    first, last = node.start_mark.line, node.end_mark.line
    if node.style in ("|", ">"):
        end = last + 1 if node.end_mark.column else last
        yield from ((number, lines[number - 1]) for number in range(first + 2, min(end, len(lines)) + 1))
    elif first == last:
        yield first + 1, str(node.value)
    else:
        number = first
        for word in str(node.value).split():
            number = next((at for at in range(number, last + 1) if word in lines[at]), number)
            yield number + 1, word


def _entries_of_lines(lines: Sequence[str]) -> Iterator[YamlString]:
    """Yield the lines of a file that is not YAML; those of a block under a cibuildwheel key get that key."""
    block: tuple[int, str] | None = None
    for number, line in enumerate(lines, 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if block is not None and indent > block[0]:
            yield YamlString(keys=(block[1],), key_line=number, lines=((number, bare),))
            continue
        block = None
        key, _, value = bare.removeprefix("- ").partition(":")
        if key.startswith("CIBW_") and value.strip() in ("", ">", ">-", "|", "|-"):
            block = (indent, key)
        else:
            yield YamlString(keys=(), key_line=number, lines=((number, bare),))
