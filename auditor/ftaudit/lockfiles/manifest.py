"""Reads a project's own requirements, as the `pyproject.toml` next to a lock file states them to Poetry and PDM."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ftaudit.lockfiles.dependencies.needs import parse_edge
from ftaudit.lockfiles.fields import read_range
from ftaudit.lockfiles.input_files import Table, read_toml
from ftaudit.lockfiles.requirements import Edge, InputIndexes

MAIN: Final = "main"
"""Poetry's name for the group of the main dependencies."""
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")
_EITHER: Final = re.compile(r"\s*\|\|?\s*")
"""Poetry's separator between alternative constraints."""
_PARTS: Final = re.compile(r"[<>=!~^]*\s*[^\s,<>=!~^]+")
_PLATFORM: Final = re.compile(r"(==|!=)?\s*([\w*-]+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The project's own requirements. Names of extras and groups are normalized."""

    path: Path
    own: str = ""
    """The project's name, through which an extra can refer to others (`all = ["me[a,b]"]`)."""
    main: tuple[Edge, ...] = ()
    extras: Mapping[str, Sequence[Edge]] = field(default_factory=dict)
    groups: Mapping[str, Sequence[Edge]] = field(default_factory=dict)
    included: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The groups that a group includes (PEP 735)."""
    index: InputIndexes = field(default_factory=InputIndexes)

    def edges(self, extras: Iterable[str], groups: Iterable[str]) -> tuple[Edge, ...]:
        """Return the main dependencies, and those of the chosen extras and groups that exist."""
        found = list(self.main)
        for name in self._reached(groups, self.included):
            found += self.groups.get(name, ())
        # The project's own name refers to its extras: `dev = ["me[tests]"]`.
        extras = [*extras, *(extra for edge in found if edge.name == self.own for extra in edge.extras)]
        named = {name: self._named_by(name) for name in self.extras}
        for name in self._reached(extras, named):
            found += self.extras.get(name, ())
        return tuple(edge for edge in found if edge.name != self.own)

    def _named_by(self, extra: str) -> list[str]:
        return [other for edge in self.extras[extra] if edge.name == self.own for other in edge.extras]

    @staticmethod
    def _reached(names: Iterable[str], further: Mapping[str, Sequence[str]]) -> list[str]:
        """Return the names and everything that they lead to, each once."""
        seen: dict[str, None] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen[name] = None
                waiting.extend(further.get(name, ()))
        return list(seen)


def read_manifest(folder: Path) -> Manifest | None:
    """Return the requirements in the `pyproject.toml` of the folder, or `None` if there is no such file.

    Skip a malformed requirement: the lock file was made from it and covers it. Raise `InputError` for a file that is
    not TOML or has another shape.
    """
    path = folder / "pyproject.toml"
    if not path.is_file():
        return None
    top = Table(path, "", read_toml(path)[0])
    project, tool = top.table("project"), top.table("tool")
    poetry, pdm = tool.table("poetry"), tool.table("pdm")
    listed = _poetry_dependencies(poetry.table("dependencies"))
    if "dependencies" in project and "dependencies" not in project.texts("dynamic"):
        main = _lines(project.texts("dependencies"))
    else:
        main = [edge for edges in listed.values() for edge, is_optional in edges if not is_optional]
    groups, included = _dependency_groups(top.table("dependency-groups"))
    for name, edges in _groups_of_tools(poetry, pdm):
        groups.setdefault(name, []).extend(edges)
    return Manifest(
        path=path,
        own=canonicalize_name(project.text("name") or poetry.text("name") or ""),
        main=tuple(main),
        extras=_extras(project, poetry, listed),
        groups=groups,
        included=included,
        index=_sources(pdm),
    )


def _extras(project: Table, poetry: Table, listed: Mapping[str, Sequence[tuple[Edge, bool]]]) -> dict[str, list[Edge]]:
    """Return the extras of PEP 621, and those of Poetry, which name optional dependencies."""
    optional, named = project.table("optional-dependencies"), poetry.table("extras")
    extras: dict[str, list[Edge]] = {}
    for key in optional.keys():  # noqa: SIM118
        extras[canonicalize_name(key)] = _lines(optional.texts(key))
    for key in named.keys():  # noqa: SIM118
        wanted = map(canonicalize_name, named.texts(key))
        extras.setdefault(canonicalize_name(key), [edge for name in wanted for edge, _ in listed.get(name, ())])
    return extras


def _groups_of_tools(poetry: Table, pdm: Table) -> Iterator[tuple[str, list[Edge]]]:
    """Yield the groups in the formats that Poetry and PDM had before PEP 735."""
    groups = poetry.table("group")
    for key in groups.keys():  # noqa: SIM118
        found = _poetry_dependencies(groups.table(key).table("dependencies"))
        yield canonicalize_name(key), [edge for edges in found.values() for edge, _ in edges]
    legacy = _poetry_dependencies(poetry.table("dev-dependencies"))
    if legacy:
        yield "dev", [edge for edges in legacy.values() for edge, _ in edges]
    in_pdm = pdm.table("dev-dependencies")
    for key in in_pdm.keys():  # noqa: SIM118
        yield canonicalize_name(key), _lines(line.removeprefix("-e ").strip() for line in in_pdm.texts(key))


def _lines(lines: Iterable[str]) -> list[Edge]:
    return [edge for line in lines if (edge := parse_edge(line)) is not None]


def _dependency_groups(table: Table) -> tuple[dict[str, list[Edge]], dict[str, list[str]]]:
    """Return the groups of PEP 735, and the groups that each includes."""
    groups: dict[str, list[Edge]] = {}
    included: dict[str, list[str]] = {}
    for key in table.keys():  # noqa: SIM118
        entries, name = table.raw(key), canonicalize_name(key)
        if not isinstance(entries, list):
            raise table.error(key, "is not an array")
        groups[name] = _lines(entry for entry in entries if isinstance(entry, str))
        named = (entry.get("include-group") for entry in entries if isinstance(entry, dict))
        included[name] = [canonicalize_name(other) for other in named if isinstance(other, str)]
    return groups, included


def _poetry_dependencies(table: Table) -> dict[str, list[tuple[Edge, bool]]]:
    """Return the edges of each package, each with whether it is optional."""
    found: dict[str, list[tuple[Edge, bool]]] = {}
    for key in table.keys():  # noqa: SIM118
        name = canonicalize_name(key)
        if name == "python":
            continue
        values = table.raw(key)
        for value in values if isinstance(values, list) else [values]:
            found.setdefault(name, []).append((poetry_edge(name, value), bool(_of(value, "optional"))))
    return found


def poetry_edge(name: str, value: object) -> Edge:
    """Return the edge for Poetry's `name = "^1"` or `name = { version, extras, markers, python, platform }`."""
    constraint = value if isinstance(value, str) else _of(value, "version")
    extras = _of(value, "extras")
    python, platform = _of(value, "python"), _of(value, "platform")
    markers = [_of(value, "markers")]
    if isinstance(python, str):
        markers.append(_python_marker(python))
    if isinstance(platform, str):
        markers.append(_platform_marker(platform))
    texts = [f"({marker})" for marker in markers if isinstance(marker, str) and marker]
    edge = Edge(
        name=canonicalize_name(name),
        extras=tuple(sorted(canonicalize_name(extra) for extra in extras if isinstance(extra, str)))
        if isinstance(extras, list)
        else (),
        marker=" and ".join(texts) or None,
    )
    return replace(edge, specifier=poetry_range(constraint)) if isinstance(constraint, str) else edge


def _python_marker(text: str) -> str | None:
    """Return the marker for a constraint on Python versions, or `None` if it admits every version."""
    ranges = poetry_ranges(text)
    conditions = [
        " and ".join(f"python_full_version {one.operator} '{one.version}'" for one in each) for each in ranges
    ]
    return " or ".join(f"({each})" for each in conditions) or None


def _platform_marker(text: str) -> str | None:
    """Return the marker for a constraint on `sys.platform`: `win32 || darwin`, `!=linux`, `linux,!=darwin`."""
    conditions = []
    for part in _EITHER.split(text):
        names = [_PLATFORM.fullmatch(name.strip()) for name in part.split(",")]
        conditions.append(" and ".join(f"sys_platform {m[1] or '=='} '{m[2]}'" for m in names if m and m[2] != "*"))
    return " or ".join(f"({each})" for each in conditions) if all(conditions) else None


def poetry_ranges(text: str) -> tuple[SpecifierSet, ...]:
    """Return the alternative ranges of Poetry's constraint; empty if it admits every version."""
    ranges = [poetry_range(part) for part in _EITHER.split(text)]
    return tuple(each for each in ranges if each is not None) if None not in ranges else ()


def poetry_range(text: str) -> SpecifierSet | None:
    """Return Poetry's constraint in PEP 440 syntax, or `None` for any version and for `||`, which PEP 440 lacks.

    `^1.2.3` fixes the first part that is not zero, `~1.2` the minor version, and a bare version is exact (Poetry's
    documentation, "Dependency specification"). Its parts are separated by commas or spaces.
    """
    parts = []
    for part in _PARTS.findall(text) if "|" not in text else ():
        part = "".join(part.split())
        if part == "*":
            continue
        if part[0] == "^" or (part[0] == "~" and not part.startswith("~=")):
            version = part[1:].strip()
            parts += [f">={version}", f"<{_next(version, caret=part[0] == '^')}"]
        else:
            parts.append(part if part[0] in "<>=!~" else f"=={part}")
    try:
        return read_range(",".join(parts)) or None
    except ValueError:
        return None


def _next(version: str, *, caret: bool) -> str:
    """Return the first version that a caret or tilde range excludes."""
    numbers = [int(part) for part in re.findall(r"\d{1,9}", version.partition("-")[0])][:3] or [0]
    kept = (
        next((i for i, number in enumerate(numbers) if number), len(numbers) - 1) if caret else min(len(numbers), 2) - 1
    )
    return ".".join(map(str, (*numbers[:kept], numbers[kept] + 1)))


def _of(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _sources(pdm: Table) -> InputIndexes:
    """Return PDM's sources: the one named `pypi` replaces the default index."""
    default, others, links = None, [], []
    for source in pdm.tables("source"):
        url = _VARIABLE.sub(lambda m: os.environ.get(m[1], m[0]), source.text("url") or "")
        if not url:
            continue
        if source.text("type") == "find_links":
            links.append(url)
        elif source.text("name") == "pypi":
            default = url
        else:
            others.append(url)
    return InputIndexes(index_url=default, extra_index_urls=tuple(others), find_links=tuple(links))
