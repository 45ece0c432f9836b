"""Reads Pipenv's `Pipfile.lock`."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from ftaudit.errors import InputError
from ftaudit.lockfiles.direct import ARCHIVES, local_path, parse_file
from ftaudit.lockfiles.fields import check_known, hash_of, left_out
from ftaudit.lockfiles.input_files import Table, how_to_repair, read_text, read_toml
from ftaudit.lockfiles.manifest import poetry_edge
from ftaudit.lockfiles.requirements import (
    Edge,
    EdgeSource,
    InputFormat,
    InputIndexes,
    LockData,
    LockedPackage,
    Requirements,
)
from ftaudit.model import DistributionFile, Location
from ftaudit.urls import public

SPEC: Final = 6
"""The supported `pipfile-spec`."""
DEFAULT: Final = "default"
DEVELOP: Final = "develop"
_NAMES_OF_DEVELOP: Final = ("dev", "dev-packages", DEVELOP)
_SECTIONS: Final = {"packages": DEFAULT, "dev-packages": DEVELOP}
"""The Pipfile's names of the two sections that have other names in the lock file."""
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}|\$(\w+)")


def read(
    path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = (), all_extras: bool = False
) -> Requirements:
    """Return the packages of the section `default` and of the chosen ones; `dev` means `develop`.

    The lock file has versions and hashes, but no file names and no edges: the files come from the index, and only
    packages that the Pipfile next to it names have a chain. The format has no extras. Raise `InputError` with the
    place of the error, `UsageError` for an extra or an unknown section.
    """
    text = read_text(path)
    top = Table(path, "", _parse(text, path))
    meta = top.table("_meta")
    if "_meta" not in top or DEFAULT not in top:
        raise top.error("_meta" if "_meta" not in top else DEFAULT, "is missing: this is not a Pipfile.lock file")
    if meta.raw("pipfile-spec") != SPEC:
        raise meta.error("pipfile-spec", f"is {meta.raw('pipfile-spec')!r}; ftaudit supports {SPEC}")
    sections = [key for key in top.keys() if key not in ("_meta", DEFAULT)]  # noqa: SIM118
    chosen = [DEVELOP if group in _NAMES_OF_DEVELOP else group for group in groups]
    check_known("extra", extras, (), path)
    check_known("group", chosen, sections, path)
    sources = [(source.text("name"), _expanded(source)) for source in meta.tables("sources")]
    lines = _lines(text, [(key, list(top.table(key).keys())) for key in top.keys() if key != "_meta"])  # noqa: SIM118
    packages: dict[NormalizedName, LockedPackage] = {}
    doubles: list[LockedPackage] = []
    for section in (DEFAULT, *chosen):
        table = top.table(section)
        for key in table.keys():  # noqa: SIM118
            place = Location(path=str(path), line=lines.get((section, key)))
            package = _package(table.table(key), canonicalize_name(key), place, dict(sources))
            known = packages.setdefault(package.name, package)
            if known is not package and known.version != package.version and _section_of(known, lines) == section:
                problem = f"it is also locked to {known.version}, at {known.location}; Pipenv installs only one of them"
                doubles.append(dataclasses.replace(package, problem=problem))
    python = meta.table("requires").text("python_version")
    urls = [url for _, url in sources]
    return Requirements(
        path=path,
        format=InputFormat.PIPFILE_LOCK,
        index=InputIndexes(index_url=urls[0] if urls else None, extra_index_urls=tuple(urls[1:])),
        left_out=left_out((), filter(top.raw, sections), taken=((), chosen)),
        lock=LockData(
            packages=(*packages.values(), *doubles),
            direct=_direct(path, (DEFAULT, *chosen)),
            edges_from=EdgeSource.LOCK if len(packages) < 2 else EdgeSource.NOWHERE,
            requires_python=_only(python),
            remedy="python_version in the Pipfile",
            notes=(f"{path} was made in one environment; other environments may need other packages",),
        ),
    )


def _only(python: str | None) -> tuple[SpecifierSet, ...]:
    """Return the range of the Python version that a Pipfile requires."""
    return (SpecifierSet(f"=={python}.*"),) if python and re.fullmatch(r"\d+\.\d+", python) else ()


def _parse(text: str, path: Path) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}:{error.lineno}: this is not valid JSON: {error.msg}", hint=how_to_repair(path, text)
        ) from error
    except (RecursionError, ValueError) as error:
        what = f"{path} is nested too deeply, or has a number with thousands of digits"
        raise InputError(what, hint=how_to_repair(path)) from error


def _lines(text: str, sections: Sequence[tuple[str, Sequence[str]]]) -> dict[tuple[str, str], int]:
    """Return the line of each entry: the keys are searched in the order of the document."""
    found: dict[tuple[str, str], int] = {}
    line, at = 1, 0
    for section, keys in sections:
        for key in (None, *keys):
            written = json.dumps(section if key is None else key)
            match = re.compile(rf"{re.escape(written)}\s*:\s*\{{").search(text, at)
            if match is None:
                return found
            line += text.count("\n", at, match.start())
            at = match.start()
            if key is not None:
                found[section, key] = line
    return found


def _package(table: Table, name: NormalizedName, place: Location, sources: dict[str | None, str]) -> LockedPackage:
    version, folder = _version(table), Path(place.path).parent
    hashes = [hash_of(table, f"hashes[{i}]", value) for i, value in enumerate(table.texts("hashes"))]
    repository = next((table.text(kind) for kind in ("git", "hg", "svn", "bzr") if kind in table), None)
    where = table.text("file") or table.text("path")
    files: tuple[DistributionFile, ...] | None = None
    source_tree = problem = None
    if repository is not None:
        problem = f"it comes from a repository ({public(repository)}), which ftaudit does not build"
    elif where is not None and where.partition("#")[0].lower().endswith(ARCHIVES):
        url = where if "://" in where else local_path(where, folder).as_uri()
        files = (DistributionFile(filename=url.partition("#")[0].rpartition("/")[2], url=url.partition("#")[0]),)
        found = parse_file(url)
        version = version or (found[1] if found else None)
    elif where is not None:
        source_tree = str(local_path(where, folder))
    index = table.text("index")
    return LockedPackage(
        name=name,
        version=version,
        location=place,
        marker=table.text("markers"),
        files=files,
        allowed_hashes=frozenset(f"{algorithm}:{digest}" for pairs in hashes for algorithm, digest in pairs),
        index_url=sources.get(index) if index else None,
        source_tree=source_tree,
        problem=problem,
    )


def _version(table: Table) -> Version | None:
    """Return the version of `==1.0`; Pipenv writes `*` for packages that its own environment does not install."""
    value = table.text("version")
    if value in (None, "", "*"):
        return None
    try:
        return Version((value or "").lstrip("="))
    except (InvalidVersion, ValueError) as error:
        raise table.error("version", f"is not a version: {(value or '')[:80]!r}") from error


def _expanded(source: Table) -> str:
    """Expand the environment variables in a source's URL, as Pipenv does.

    Raise `InputError` if an unset variable makes the URL invalid.
    """
    url = _VARIABLE.sub(lambda match: os.environ.get(match[1] or match[2], match[0]), source.need("url"))
    unset = _VARIABLE.search(url)
    if unset is not None and "://" not in url:
        problem = source.error("url", f"names the environment variable {unset[1] or unset[2]}, which is not set")
        raise InputError(problem.problem, hint="set it, or use --index-url")
    return url


def _section_of(package: LockedPackage, lines: Mapping[tuple[str, str], int]) -> str | None:
    """Return the section of a package, by its line."""
    return next((section for (section, _), line in lines.items() if line == package.location.line), None)


def _direct(path: Path, sections: Sequence[str]) -> tuple[Edge, ...]:
    """Return the requirements of the Pipfile next to the lock file."""
    pipfile = path.with_name("Pipfile")
    if not pipfile.is_file():
        return ()
    return tuple(_asked(Table(pipfile, "", read_toml(pipfile)[0]), sections))


def _asked(top: Table, sections: Sequence[str]) -> Iterator[Edge]:
    for key in top.keys():  # noqa: SIM118
        if _SECTIONS.get(key, key) not in sections:
            continue
        table = top.table(key)
        for name in table.keys():  # noqa: SIM118
            value: Any = table.raw(name)
            extras = value.get("extras") if isinstance(value, dict) else None
            # The locked version meets its range, and its markers are in the lock file as well.
            yield poetry_edge(name, {"extras": extras})
