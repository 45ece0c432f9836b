"""Reads what a project itself asks for, as the `pyproject.toml` beside a lock file says it to Poetry and PDM."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from ftaudit.lockfiles.fields import read_range
from ftaudit.lockfiles.files import Table, read_toml
from ftaudit.lockfiles.needs import parse_edge
from ftaudit.lockfiles.requirements import Edge, IndexOptions

MAIN: Final = "main"
"""What Poetry calls the group of the dependencies proper."""
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The project's own requirements. Names of extras and groups are normalised."""

    path: Path
    main: tuple[Edge, ...] = ()
    extras: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)
    groups: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)
    index: IndexOptions = field(default_factory=IndexOptions)

    def edges(self, extras: Iterable[str], groups: Iterable[str]) -> tuple[Edge, ...]:
        """Return the dependencies proper, and those of the chosen extras and groups that there are."""
        chosen = [edge for name in extras for edge in self.extras.get(name, ())]
        return (*self.main, *chosen, *(edge for name in groups for edge in self.groups.get(name, ())))


def read_manifest(folder: Path) -> Manifest | None:
    """Return what the `pyproject.toml` of the folder asks for, or `None` where there is none.

    A requirement that is malformed is left to the lock file, which was made of it. Raise `InputError` for a file
    that is no TOML or of another shape.
    """
    path = folder / "pyproject.toml"
    if not path.is_file():
        return None
    top = Table(path, "", read_toml(path)[0])
    project, tool = top.table("project"), top.table("tool")
    poetry, pdm = tool.table("poetry"), tool.table("pdm")
    static = "dependencies" in project and "dependencies" not in project.texts("dynamic")
    listed = _poetry_dependencies(poetry.table("dependencies"))
    main = (
        _lines(project.texts("dependencies")) if static else [e for edges in listed.values() for e, o in edges if not o]
    )
    optional = project.table("optional-dependencies")
    extras = {canonicalize_name(key): _lines(optional.texts(key)) for key in optional.keys()}  # noqa: SIM118
    named = poetry.table("extras")
    for key in named.keys():  # noqa: SIM118
        wanted = [canonicalize_name(name) for name in named.texts(key)]
        extras.setdefault(canonicalize_name(key), [e for name in wanted for e, _ in listed.get(name, ())])
    groups = _dependency_groups(top.table("dependency-groups"))
    in_poetry = poetry.table("group")
    for key in in_poetry.keys():  # noqa: SIM118
        found = _poetry_dependencies(in_poetry.table(key).table("dependencies"))
        groups.setdefault(canonicalize_name(key), []).extend(e for edges in found.values() for e, _ in edges)
    legacy = _poetry_dependencies(poetry.table("dev-dependencies"))
    if legacy:
        groups.setdefault(canonicalize_name("dev"), []).extend(e for edges in legacy.values() for e, _ in edges)
    in_pdm = pdm.table("dev-dependencies")
    for key in in_pdm.keys():  # noqa: SIM118
        lines = [line.removeprefix("-e ").strip() for line in in_pdm.texts(key)]
        groups.setdefault(canonicalize_name(key), []).extend(_lines(lines))
    own = canonicalize_name(project.text("name") or poetry.text("name") or "")
    return Manifest(
        path=path,
        main=tuple(main),
        extras={name: tuple(_without_own(name, extras, own)) for name in extras},
        groups={name: tuple(edges) for name, edges in groups.items()},
        index=_sources(pdm),
    )


def _lines(lines: Iterable[str]) -> list[Edge]:
    return [edge for line in lines if (edge := parse_edge(line)) is not None]


def _without_own(extra: NormalizedName, extras: Mapping[NormalizedName, list[Edge]], own: str) -> list[Edge]:
    """Follow an extra that names the project itself with other extras (`all = ["me[a,b]"]`)."""
    found: list[Edge] = []
    waiting, seen = [extra], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for edge in extras.get(name, ()):
            if edge.name == own:
                waiting.extend(canonicalize_name(extra) for extra in edge.extras)
            else:
                found.append(edge)
    return found


def _dependency_groups(table: Table) -> dict[str, list[Edge]]:
    """Return the groups of PEP 735; what includes itself ends where it began."""
    keys = {canonicalize_name(key): key for key in table.keys()}  # noqa: SIM118

    def collect(name: str, seen: set[str]) -> list[Edge]:
        if name in seen or name not in keys:
            return []
        seen.add(name)
        entries = table.raw(keys[canonicalize_name(name)])
        if not isinstance(entries, list):
            raise table.error(keys[canonicalize_name(name)], "is not an array")
        found = _lines(entry for entry in entries if isinstance(entry, str))
        for entry in entries:
            if isinstance(entry, dict) and isinstance(entry.get("include-group"), str):
                found += collect(canonicalize_name(entry["include-group"]), seen)
        return found

    return {name: collect(name, set()) for name in keys}


def _poetry_dependencies(table: Table) -> dict[str, list[tuple[Edge, bool]]]:
    """Return per package its edges, each with whether it is optional."""
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
    """Return the edge that Poetry's `name = "^1"` or `name = { version, extras, markers, python, platform }` is."""
    constraint = value if isinstance(value, str) else _of(value, "version")
    extras = _of(value, "extras")
    python, platform = _of(value, "python"), _of(value, "platform")
    markers = [_of(value, "markers")]
    if isinstance(python, str) and (range_ := poetry_range(python)):
        markers += [f"python_full_version {each.operator} '{each.version}'" for each in range_]
    if isinstance(platform, str) and platform.isalnum():
        markers.append(f"sys_platform == '{platform}'")
    texts = [f"({marker})" for marker in markers if isinstance(marker, str) and marker]
    edge = Edge(
        name=canonicalize_name(name),
        extras=tuple(sorted(canonicalize_name(extra) for extra in extras if isinstance(extra, str)))
        if isinstance(extras, list)
        else (),
        marker=" and ".join(texts) or None,
    )
    return replace(edge, specifier=poetry_range(constraint)) if isinstance(constraint, str) else edge


def poetry_range(text: str) -> SpecifierSet | None:
    """Return Poetry's constraint as PEP 440 has it, or `None` for any version and for what PEP 440 cannot say (`||`).

    `^1.2.3` keeps the first part that is not zero, `~1.2` the minor version, and a bare version is exact
    (Poetry's documentation, "Dependency specification").
    """
    parts = []
    for part in filter(None, (part.strip() for part in text.split(","))):
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
    """Return the first version that a caret or tilde range leaves out."""
    numbers = [int(part) for part in re.findall(r"\d{1,9}", version.partition("-")[0])][:3] or [0]
    kept = (
        next((i for i, number in enumerate(numbers) if number), len(numbers) - 1) if caret else min(len(numbers), 2) - 1
    )
    return ".".join(map(str, (*numbers[:kept], numbers[kept] + 1)))


def _of(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _sources(pdm: Table) -> IndexOptions:
    """Return PDM's sources: the one named `pypi` takes the default index's place."""
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
    return IndexOptions(index_url=default, extra_index_urls=tuple(others), find_links=tuple(links))
