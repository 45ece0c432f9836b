"""Changes of a uv project since its lock file was made, other than those of its requirements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ftaudit.lockfiles.input_files import read_toml
from ftaudit.lockfiles.uv_pythons import are_same

ELSEWHERE: Final = ("git", "url", "path", "directory", "editable", "virtual")
"""The value that replaces a range of versions in uv's record of a requirement that no index answers."""
_FOLDERS: Final = ("virtual", "editable", "directory")
_TABLES: Final = {"constraints": "constraint-dependencies", "overrides": "override-dependencies"}
"""uv's records of `[tool.uv]`, with the keys there."""
_MOST_MEMBERS: Final = 1000


def find_change(path: Path, document: Mapping[str, Any]) -> str | None:
    """Return how the settings of the project next to a `uv.lock` differ from those that it records, or `None`.

    Raise `InputError`, `ValueError`, `TypeError` or `AttributeError` for a malformed project.
    """
    top = path.with_name("pyproject.toml")
    if not top.is_file() or path.name != "uv.lock":
        return None
    project = read_toml(top)[0]
    uv = project.get("tool", {}).get("uv", {})
    local = {
        canonicalize_name(package["name"]): path.parent / where
        for package in document.get("package", ())
        if isinstance(where := _folder(package), str)
    }
    for folder, name in _members(path.parent, uv.get("workspace", {})):
        if name not in local:
            return f"{folder / 'pyproject.toml'} describes {name}, which is not locked"
    for key, table in _TABLES.items():
        if differing := _differing(uv.get(table, ()), document.get("manifest", {}).get(key, ())):
            return f"{top} has different {table} for {', '.join(differing)}"
    files = {folder / "pyproject.toml" for folder in local.values() if (folder / "pyproject.toml").is_file()}
    # Groups can require other Python versions.
    pythons = () if "dependency-groups" in uv else [_python_of(file) for file in sorted(files)]
    return of_pythons(top, pythons, document) or _sources(path, uv.get("sources", {}), document)


def _python_of(file: Path) -> Any:
    return read_toml(file)[0].get("project", {}).get("requires-python")


def _folder(package: Mapping[str, Any]) -> Any:
    """Return the folder of a local package, relative to the lock file; `None` for any other package."""
    source = package.get("source", {})
    return next((source[kind] for kind in _FOLDERS if kind in source), None)


def _members(root: Path, workspace: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield the folder and the name of each project that the workspace's patterns match."""
    excluded = {folder for pattern in workspace.get("exclude", ()) for folder in root.glob(str(pattern))}
    found = {folder: None for pattern in workspace.get("members", ()) for folder in sorted(root.glob(str(pattern)))}
    for folder in list(found)[:_MOST_MEMBERS]:
        file = folder / "pyproject.toml"
        if folder in excluded or not file.is_file():
            continue
        document = read_toml(file)[0]
        name = document.get("project", {}).get("name")
        if isinstance(name, str) and document.get("tool", {}).get("uv", {}).get("managed", True):
            yield folder, canonicalize_name(name)


def _differing(lines: Iterable[Any], entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names for which the requirements in the project and in the record differ."""
    parsed = [Requirement(line) for line in lines if isinstance(line, str)]
    wanted = {(canonicalize_name(each.name), None if each.url else each.specifier) for each in parsed}
    recorded = {
        (
            canonicalize_name(entry["name"]),
            None if any(key in entry for key in ELSEWHERE) else SpecifierSet(entry.get("specifier", "")),
        )
        for entry in entries
    }
    elsewhere = {name for name, specifier in recorded if specifier is None}
    return sorted({name for name, _ in wanted ^ recorded if name not in elsewhere})


def of_pythons(file: Path, asked: Iterable[Any], document: Mapping[str, Any]) -> str | None:
    """Return that the projects of a lock file support other Python versions than it was made for.

    `asked` has the `requires-python` of each project. Raise `ValueError` for a malformed one.
    """
    ranges = [each for each in asked if isinstance(each, str)]
    locked = document.get("requires-python")
    if not ranges or not isinstance(locked, str) or are_same(ranges, locked):
        return None
    return f"{file} supports Python {' and '.join(sorted(set(ranges)))}, but the lock file is for {locked}"


def _sources(path: Path, shared: Mapping[str, Any], document: Mapping[str, Any]) -> str | None:
    """Return that a requirement comes from an index in the lock file, and from elsewhere in the project, or reverse."""
    for package in document.get("package", ()):
        where = _folder(package)
        entries = package.get("metadata", {}).get("requires-dist", ())
        file = path.parent / str(where) / "pyproject.toml"
        if where is None or not entries or not file.is_file():
            continue
        project = read_toml(file)[0]
        sources = dict(shared) | project.get("tool", {}).get("uv", {}).get("sources", {})
        kinds = {canonicalize_name(name): _is_elsewhere(source) for name, source in sources.items()}
        lines = project.get("project", {}).get("dependencies", ())
        by_url = {canonicalize_name(each.name) for each in map(Requirement, lines) if each.url}
        direct = {canonicalize_name(each.name) for each in map(Requirement, lines)}
        for entry in entries:
            name = canonicalize_name(entry["name"])
            expected = kinds.get(name, False) if name not in by_url else True
            recorded = any(key in entry for key in ELSEWHERE)
            if name in direct and expected is not None and expected != recorded and "marker" not in entry:
                return f"{file} gets {name} from a different source"
    return None


def _is_elsewhere(source: Any) -> bool | None:
    """Return whether a source is not an index; `None` if that depends on the environment or on an extra."""
    if not isinstance(source, dict) or not {"marker", "extra", "group"}.isdisjoint(source):
        return None
    return any(source.get(kind) for kind in ("git", "url", "path", "workspace"))
