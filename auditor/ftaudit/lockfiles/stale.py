"""Whether a project has changed since its lock file was made: by the hash in the lock file, or by the requirements."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from ftaudit.errors import InputError
from ftaudit.lockfiles import compiled_from
from ftaudit.lockfiles.asked import find_asked
from ftaudit.lockfiles.dependencies.markers import EVERYWHERE, extras_of, holds_everywhere
from ftaudit.lockfiles.formats.script import read_block
from ftaudit.lockfiles.input_files import read_text, read_toml
from ftaudit.lockfiles.requirements import InputFormat, LockData, Requirements
from ftaudit.lockfiles.uv_changes import ELSEWHERE, find_change, of_pythons

_POETRY_KEYS: Final = ("dependencies", "source", "extras", "dev-dependencies")
"""The keys of `[tool.poetry]` that always count; `group` counts if it exists."""
MOST_PARENTS: Final = 6
"""Folders above a lock file that are searched for a workspace."""
_ALGORITHMS: Final = ("md5", "sha1", "sha256", "sha512")
_PROJECT_KEYS: Final = ("requires-python", "dependencies", "optional-dependencies")
_NEEDS: Final = ("dependencies", "optional-dependencies", "dev-dependencies")
"""uv's record of a package's dependencies."""
_MARKERS: Final = (UndefinedComparison, UndefinedEnvironmentName)


def describe_stale(requirements: Requirements, read: compiled_from.Read) -> str | None:
    """Return how an input is out of date, or what cannot be compared, in a sentence; `None` if nothing shows it.

    `read` reads an input of any format.
    """
    path = requirements.path
    if difference := find_stale(requirements, read):
        command = compiled_from.find_command(path) if requirements.format is InputFormat.REQUIREMENTS_TXT else None
        return f"{path} is out of date: {difference}; {f'run `{command}` again' if command else 'lock again'}"
    if requirements.format is InputFormat.CONDA_LOCK:
        from ftaudit.lockfiles import stale_conda

        others = stale_conda.other_sources(path, requirements.record)
        if others:
            return f"whether {path} is out of date: it was made from {others[0]}, which uses other names than conda"
    return None


def find_stale(requirements: Requirements, read: compiled_from.Read) -> str | None:
    """Return how the project has changed since its lock file was made, in a phrase, or `None` if nothing shows it.

    A missing or unreadable project file shows nothing: the lock file is judged unchanged.
    """
    path = requirements.path
    try:
        match requirements.format:
            case InputFormat.UV_LOCK:
                return _of_uv(path, requirements.record)
            case InputFormat.POETRY_LOCK | InputFormat.PDM_LOCK | InputFormat.PIPFILE_LOCK:
                return _of_asked(requirements) or _by_hash(requirements)
            case InputFormat.PYLOCK:
                return _of_pylock(requirements)
            case InputFormat.PIXI_LOCK:
                from ftaudit.lockfiles import stale_conda

                return stale_conda.of_pixi(path, requirements.record)
            case InputFormat.CONDA_LOCK:
                from ftaudit.lockfiles import stale_conda

                return stale_conda.of_conda_lock(path, requirements.record)
            case InputFormat.REQUIREMENTS_TXT if path.is_file():
                return compiled_from.find_change(requirements, read)
            case _:
                return None
    except (InputError, ValueError, TypeError, AttributeError, KeyError, RecursionError, *_MARKERS):
        # Errors in the project file are for its own tool to report.
        return None


def _project(lock: Path) -> Mapping[str, Any]:
    """Return the `pyproject.toml` next to a lock file; empty if there is no such file."""
    path = lock.with_name("pyproject.toml")
    return read_toml(path)[0] if path.is_file() else {}


def _of_asked(requirements: Requirements) -> str | None:
    """Return which requirement of the project the locked version does not meet."""
    overridden = _project(requirements.path).get("tool", {}).get("pdm", {}).get("resolution", {}).get("overrides", {})
    aside = {canonicalize_name(name) for name in overridden}
    locked: dict[str, list[Version | None]] = {}
    for package in requirements.lock.packages if requirements.lock is not None else ():
        locked.setdefault(package.name, []).append(package.version)
    for asked in find_asked(requirements):
        versions = locked.get(asked.edge.name, [])
        if (
            asked.edge.name not in aside
            and versions
            and all(v and asked.excludes(asked.edge.name, v) for v in versions)
        ):
            return f"{asked.path} asks for {asked.edge.name}{asked.edge.specifier}, but {versions[0]} is locked"
    return None


def _by_hash(requirements: Requirements) -> str | None:
    """Return that no version of the project's hashed content has the hash in the lock file."""
    path = requirements.path
    manifest = path.with_name("Pipfile" if requirements.format is InputFormat.PIPFILE_LOCK else "pyproject.toml")
    if not manifest.is_file():
        return None
    match requirements.format:
        case InputFormat.PIPFILE_LOCK:
            locked = json.loads(read_text(path))["_meta"]["hash"]["sha256"]
            contents = _pipfile_contents(read_toml(manifest)[0])
        case InputFormat.PDM_LOCK:
            locked = read_toml(path)[0]["metadata"]["content_hash"]
            contents = _pdm_contents(read_toml(manifest)[0])
        case _:
            locked = read_toml(path)[0]["metadata"]["content-hash"]
            contents = _poetry_contents(read_toml(manifest)[0])
    return f"{manifest} has changed since" if _is_other(locked, contents) else None


def _is_other(locked: str, contents: Iterable[str]) -> bool:
    """Return whether none of the texts has the hash; false without any text or hash."""
    algorithm, _, digest = locked.rpartition(":")
    algorithm = algorithm or "sha256"
    if algorithm not in _ALGORITHMS:
        return False
    digests = {hashlib.new(algorithm, text.encode()).hexdigest() for text in contents}
    return len(digest) in map(len, digests) and digest.lower() not in digests


def _poetry_contents(project: Mapping[str, Any]) -> Iterator[str]:
    """Yield the text that Poetry hashes, for each of its versions (poetry.packages.locker)."""
    own = project.get("tool", {}).get("poetry", {})
    table = project.get("project", {})
    if not own and not table:
        return
    old = {key: own.get(key) for key in _POETRY_KEYS}
    with_groups = old | ({"group": own["group"]} if own.get("group") is not None else {})
    yield json.dumps(old, sort_keys=True)
    yield json.dumps(with_groups, sort_keys=True)
    relevant = {key: table[key] for key in _PROJECT_KEYS if table.get(key) is not None}
    without: dict[str, Any] = {}
    for groups in (without, project.get("dependency-groups", {})):
        content: dict[str, Any] = {"project": relevant} if relevant else {}
        content |= {"dependency-groups": groups} if groups else {}
        if content:
            kept = {key: value for key, value in with_groups.items() if value is not None}
            yield json.dumps(content | {"tool": {"poetry": kept}}, sort_keys=True)


def _pdm_contents(project: Mapping[str, Any]) -> Iterator[str]:
    """Yield the text that PDM hashes, for its versions (pdm.project.project_file); not that of a workspace."""
    table, own = project.get("project", {}), project.get("tool", {}).get("pdm", {})
    if not table or own.get("workspace"):
        return
    groups = project.get("dependency-groups", {})
    legacy = own.get("dev-dependencies", {})
    resolution = own.get("resolution", {})
    overrides = resolution.get("overrides", {})
    base = {
        "sources": own.get("source", []),
        "dependencies": table.get("dependencies", []),
        "optional-dependencies": table.get("optional-dependencies", {}),
        "requires-python": table.get("requires-python", ""),
    }
    by_group: dict[str, list[Any]] = {}
    for name, entries in (*groups.items(), *legacy.items()):
        by_group.setdefault(name, []).extend(entries)
    normal: dict[str, list[Any]] = {}
    for name, entries in (*groups.items(), *legacy.items()):
        normal.setdefault(canonicalize_name(name), []).extend(entries)
    for dev in (by_group, normal, legacy, groups, _included(normal)):
        yield json.dumps(base | {"dev-dependencies": dev, "resolution": resolution}, sort_keys=True)
        yield json.dumps(base | {"dev-dependencies": dev, "overrides": overrides}, sort_keys=True)


def _included(groups: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the groups with their included groups expanded."""

    def whole(name: str, chain: tuple[str, ...]) -> Iterator[Any]:
        for entry in groups.get(name, ()) if name not in chain else ():
            if isinstance(entry, dict) and isinstance(other := entry.get("include-group"), str):
                yield from whole(canonicalize_name(other), (*chain, name))
            else:
                yield entry

    return {name: list(whole(name, ())) for name in groups}


def _pipfile_contents(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the text that Pipenv hashes (plette's `Pipfile.get_hash`)."""
    aside = ("source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv", "default", "develop")
    data = {
        "_meta": {"sources": document.get("source", []), "requires": document.get("requires", {})},
        "default": document.get("packages", {}),
        "develop": document.get("dev-packages", {}),
        **{name: value for name, value in document.items() if name not in aside},
    }
    if document.get("source"):
        # Without a source, Pipenv adds its own, which the user's configuration can name.
        yield json.dumps(data, sort_keys=True, separators=(",", ":"))


def _of_uv(path: Path, document: Mapping[str, Any]) -> str | None:
    if (workspace := _workspace_of(path.parent)) is not None:
        return f"uv reads the lock file next to {workspace} instead"
    members = {canonicalize_name(name) for name in document.get("manifest", {}).get("members", ())}
    for package in document.get("package", ()):
        source = package.get("source", {})
        where = next((source[kind] for kind in ("virtual", "editable", "directory") if kind in source), None)
        if where is None or not (where == "." or canonicalize_name(package["name"]) in members):
            continue
        if "metadata" not in package and "revision" not in document and any(key in package for key in _NEEDS):
            continue  # Early versions of uv recorded no requirements; no version records an empty list.
        file = path.parent / where / "pyproject.toml"
        if file.is_file() and (difference := _differs(file, package.get("metadata", {}))):
            return difference
    if path.name.endswith(".py.lock") and (script := path.with_suffix("")).is_file():
        block = read_block(script) or {}
        wanted = {_key(line) for line in block.get("dependencies", ())}
        locked = {_locked_key(entry) for entry in document.get("manifest", {}).get("requirements", ())}
        return _missing(script, wanted, locked) or of_pythons(script, [block.get("requires-python")], document)
    return find_change(path, document)


def _workspace_of(folder: Path) -> Path | None:
    """Return the `pyproject.toml` of a folder's workspace, if it is in another folder."""
    here = folder.absolute()
    for parent in list(here.parents)[:MOST_PARENTS]:
        file = parent / "pyproject.toml"
        workspace = read_toml(file)[0].get("tool", {}).get("uv", {}).get("workspace") if file.is_file() else None
        if workspace is None:
            continue
        relative = PurePosixPath(here.relative_to(parent).as_posix())
        members, excluded = (
            any(relative.match(str(pattern).rstrip("/")) for pattern in workspace.get(key, ()))
            for key in ("members", "exclude")
        )
        return file if members and not excluded and (folder / "pyproject.toml").is_file() else None
    return None


def _differs(file: Path, metadata: Mapping[str, Any]) -> str | None:
    """Return a requirement of a project that its record in the lock file lacks, or the reverse."""
    project = read_toml(file)[0]
    table = project.get("project", {})
    dynamic = table.get("dynamic", ())
    wanted: set[tuple[object, ...]] = set()
    if "dependencies" in dynamic or "optional-dependencies" in dynamic:
        return None
    wanted |= {_key(line) for line in table.get("dependencies", ())}
    for extra, lines in table.get("optional-dependencies", {}).items():
        wanted |= {_key(line, extra=canonicalize_name(extra)) for line in lines}
    locked = {_locked_key(entry) for entry in metadata.get("requires-dist", ())}
    groups = _included({canonicalize_name(k): v for k, v in project.get("dependency-groups", {}).items()})
    old = project.get("tool", {}).get("uv", {}).get("dev-dependencies", ())
    groups.setdefault("dev", []).extend(old)
    recorded = metadata.get("requires-dev", {})
    for name, lines in groups.items():
        wanted |= {(*_key(line), name) for line in lines if isinstance(line, str)}
        locked |= {(*_locked_key(entry), name) for entry in recorded.get(name, ())}
    return _missing(file, wanted, locked)


def _missing(file: Path, wanted: set[tuple[object, ...]], locked: set[tuple[object, ...]]) -> str | None:
    by_source = {key[0] for key in locked if key[1] is None}
    new = sorted({str(key[0]) for key in wanted - locked if key[0] not in by_source})
    names = {key[0] for key in wanted}
    gone = sorted({str(key[0]) for key in locked - wanted if key[0] not in names})
    known = {str(key[0]) for key in locked}
    if added := [name for name in new if name not in known]:
        return f"{file} asks for {', '.join(added)}, which is not locked"
    if new:
        return f"{file} has a different requirement for {', '.join(new)}"
    return f"{file} no longer asks for {', '.join(gone)}" if gone else None


def _key(line: str, *, extra: str | None = None) -> tuple[object, ...]:
    """Return name, range, extras, and environments of a requirement; raise `InvalidRequirement` for an invalid one."""
    parsed = Requirement(line)
    ranges = None if parsed.url else parsed.specifier
    return (
        canonicalize_name(parsed.name),
        ranges,
        frozenset(map(canonicalize_name, parsed.extras)),
        _environments(str(parsed.marker) if parsed.marker else None, extra),
    )


def _locked_key(entry: Mapping[str, Any]) -> tuple[object, ...]:
    """Return the same for uv's record of a requirement, whose range is unknown if it comes from elsewhere."""
    marker = entry.get("marker")
    elsewhere = any(key in entry for key in ELSEWHERE)
    extra = None
    if marker and "extra" in marker:
        extra = next(iter(extras_of(marker)), None)
    return (
        canonicalize_name(entry["name"]),
        None if elsewhere else SpecifierSet(entry.get("specifier", "")),
        frozenset(map(canonicalize_name, entry.get("extras", ()))),
        _environments(marker, extra),
    )


def _environments(marker: str | None, extra: str | None) -> tuple[object, ...]:
    """Return the environments and the extra for which a marker is true: different spellings compare equal."""
    if marker is None:
        return (extra, True)
    parsed = Marker(marker)
    held = tuple(parsed.evaluate({**environment, "extra": extra or ""}) for environment in EVERYWHERE)
    return (extra, True) if all(held) else (extra, held)


def _of_pylock(requirements: Requirements) -> str | None:
    """Return which requirement of the project next to it a `pylock.toml` does not meet; PDM's file has a hash."""
    path, lock = requirements.path, requirements.lock
    if path.name != "pylock.toml" or lock is None:
        return None
    own = read_toml(path)[0].get("tool", {}).get("pdm", {}).get("hashes", {})
    if isinstance(own, dict) and own.get("sha256"):
        changed = _is_other(own["sha256"], _pdm_contents(_project(path)))
        return f"{path.with_name('pyproject.toml')} has changed since" if changed else None
    project = _project(path)
    elsewhere = set(map(canonicalize_name, project.get("tool", {}).get("uv", {}).get("sources", {})))
    for line in project.get("project", {}).get("dependencies", ()):
        if canonicalize_name(Requirement(line).name) in elsewhere:
            continue
        if difference := _unmet(line, lock):
            return f"{path.with_name('pyproject.toml')} asks for {difference}"
    return None


def _unmet(line: str, lock: LockData) -> str | None:
    """Return the requirement if no locked package meets it in an environment in which it applies."""
    wanted = Requirement(line)
    if wanted.marker is not None and not holds_everywhere(wanted.marker):
        return None
    name = canonicalize_name(wanted.name)
    versions: list[Version | None] = [package.version for package in lock.packages if package.name == name]
    if not versions:
        return f"{wanted}, which is not locked"
    if wanted.url is None and not any(v is None or wanted.specifier.contains(v, prereleases=True) for v in versions):
        return f"{wanted}, but {versions[0]} is locked"
    return None
