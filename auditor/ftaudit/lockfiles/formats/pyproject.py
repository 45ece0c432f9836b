"""Reads `pyproject.toml`: PEP 621 dependencies, extras, PEP 735 groups, and the sources in `[tool.uv]`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from ftaudit.errors import InputError, UsageError
from ftaudit.lockfiles.direct import fragment_hashes, parse_reference
from ftaudit.lockfiles.input_files import Table, read_toml, string_line
from ftaudit.lockfiles.requirements import (
    InputFormat,
    InputIndexes,
    InputRequirement,
    Problem,
    Reference,
    ReferenceKind,
    Requirements,
)
from ftaudit.lockfiles.tool_settings import uv_binaries, uv_settings
from ftaudit.model import Location

_FOREIGN: Final = ("poetry", "flit", "pdm")
_WAYS: Final = {
    "poetry": "run `poetry lock`, then specify the poetry.lock",
    "flit": "specify an environment in which it is installed (--env), or a requirements file",
    "pdm": "run `pdm lock`, then specify the pdm.lock",
}
"""The file to name instead of another tool's project."""


def read(
    path: Path,
    *,
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    all_extras: bool = False,
) -> Requirements:
    """Return the project's dependencies, those of the chosen extras and of the chosen dependency groups.

    Dependencies that need a build (`dynamic`) are a problem row. Raise `InputError` for a file without a project and
    for a malformed dependency, `UsageError` for an unknown extra or group.
    """
    document, text = read_toml(path)
    return _Project(path, document, text).read(extras, groups, all_extras=all_extras)


def read_document(
    path: Path,
    document: object,
    text: str,
    *,
    extras: Sequence[str],
    groups: Sequence[str],
    all_extras: bool,
    form: InputFormat,
) -> Requirements:
    """Return the requirements of a document of this shape inside a file of another format; errors as in `read`."""
    found = _Project(path, document, text).read(extras, groups, all_extras=all_extras)
    return dataclasses.replace(found, format=form)


def project_name(path: Path) -> NormalizedName | None:
    """Return the name that a `pyproject.toml` declares, if it declares one."""
    document, _ = read_toml(path)
    name = Table(path, "", document).table("project").text("name")
    return canonicalize_name(name) if name else None


class _Project:
    """One pyproject.toml during the read."""

    def __init__(self, path: Path, document: object, text: str) -> None:
        top = Table(path, "", document)
        self._path, self._text = path, text
        self._top, self._project = top, top.table("project")
        self._groups = top.table("dependency-groups")
        self._uv = top.table("tool").table("uv")
        self._sources = self._uv.table("sources")
        name = self._project.text("name")
        self._name = canonicalize_name(name) if name else None
        # In a script, `[tool.uv]` counts for it alone.
        self._settings = uv_settings(path.parent) if path.name == "pyproject.toml" else self._uv
        self._indexes = [*self._settings.tables("index"), *self._uv.tables("index")]
        self._package_indexes: dict[NormalizedName, str] = {}
        self._problems: list[Problem] = []
        self._optional = self._project.table("optional-dependencies")
        self._offered = {canonicalize_name(key): key for key in self._optional.keys()}  # noqa: SIM118
        self._dynamic = self._project.texts("dynamic")
        self._wanted: list[tuple[NormalizedName, str | None]] = []
        """The extras to read, each with the marker under which it is requested."""
        self._groups_read: set[NormalizedName] = set()

    def read(self, extras: Sequence[str], groups: Sequence[str], *, all_extras: bool) -> Requirements:
        offered, dynamic = self._offered, self._dynamic
        if not (self._project.keys() or self._groups.keys()):
            self._refuse_foreign()
            return self._read_setuptools(extras, groups, all_extras=all_extras)
        for extra in offered if all_extras else map(canonicalize_name, extras):
            self._want(extra, None)
        roots = self._others(self._list(self._project, "dependencies"))
        for group in groups:
            roots += self._others(self._group(group, ()))
        seen: set[tuple[str, str | None]] = set()
        while self._wanted:
            extra, marker = self._wanted.pop(0)
            if (extra, marker) in seen:
                continue
            seen.add((extra, marker))
            needed = [_under(marker, each) for each in self._list(self._optional, offered[extra])]
            roots += self._others(needed)
        place = Location(path=str(self._path), line=string_line(self._text, "dependencies"))
        dynamic = self._read_dynamic(roots, extras, all_extras=all_extras)
        for field in ("dependencies", "optional-dependencies"):
            if field in dynamic and (field == "dependencies" or extras or all_extras):
                message = f"{field} are dynamic: only a build can determine them, and ftaudit does not build it"
                self._problems.append(Problem(name=self._name or "project", message=message, location=place))
        foreign = self._foreign_groups()
        return Requirements(
            path=self._path,
            format=InputFormat.PYPROJECT,
            left_out=(
                *(f"extra {name}" for name in sorted(set(offered) - {extra for extra, _ in seen})),
                *(
                    f"group {name}"
                    for name in self._groups.keys()  # noqa: SIM118
                    if canonicalize_name(name) not in self._groups_read
                ),
                *(f"group {name}" for name in sorted(self._hatch_environments()) if name not in self._groups_read),
                *(f"group {name} (only for {tool}: specify {tool}.lock)" for name, tool in sorted(foreign.items())),
            ),
            roots=tuple(roots),
            constraints=tuple(self._list(self._uv, "constraint-dependencies")),
            overrides=tuple(self._list(self._uv, "override-dependencies")),
            index=self._index(),
            package_indexes=self._package_indexes,
            problems=tuple(self._problems),
        )

    def _read_setuptools(self, extras: Sequence[str], groups: Sequence[str], *, all_extras: bool) -> Requirements:
        """Return what `setup.cfg` and `setup.py` next to it state; raise `InputError` if they belong to no project."""
        from ftaudit.lockfiles.formats import setuptools_project

        if setuptools_project.is_project(self._path.parent):
            return setuptools_project.read(self._path, extras=extras, groups=groups, all_extras=all_extras)
        if "build-system" not in self._top:
            raise InputError(
                f"{self._path} does not describe a project: it has neither [project] nor [dependency-groups]",
                hint="specify a file that lists packages",
            )
        return Requirements(path=self._path, format=InputFormat.PYPROJECT)

    def _others(self, requirements: Iterable[InputRequirement]) -> list[InputRequirement]:
        """Return the requirements without those on the project itself, whose extras are added to the read.

        An extra or a group can name the project with other extras: `all = ["me[a,b]"]`.
        """
        others = []
        for requirement in requirements:
            if requirement.name != self._name or requirement.reference is not None:
                others.append(requirement)
                continue
            for extra in requirement.extras:
                self._want(canonicalize_name(extra), requirement.marker)
        return others

    def _want(self, extra: NormalizedName, marker: str | None) -> None:
        """Add an extra to the read; raise `UsageError` for an unknown one, unless a build may create it."""
        if extra in self._offered:
            self._wanted.append((extra, marker))
        elif "optional-dependencies" not in self._dynamic:
            raise self._unknown("extra", extra, list(self._offered.values()))

    def _refuse_foreign(self) -> None:
        """Raise `InputError` if another tool's table has the dependencies."""
        foreign = [tool for tool in _FOREIGN if tool in self._top.table("tool")]
        if foreign:
            raise InputError(
                f"{self._path} lists its dependencies only for {foreign[0]}, not in [project]",
                hint=_WAYS[foreign[0]],
            )

    def _read_dynamic(self, roots: list[InputRequirement], extras: Sequence[str], *, all_extras: bool) -> list[str]:
        """Add the values that the build backend reads from other files; return the fields that need a build.

        The other files are requirements files (`[tool.setuptools.dynamic]` with `file`, hatch-requirements-txt), and
        `setup.cfg` or literals of `setup.py`.
        """
        from ftaudit.lockfiles.formats import setuptools_project

        left, folder = list(self._dynamic), self._path.parent
        if not left:
            return left
        tools = self._top.table("tool")
        hook = tools.table("hatch").table("metadata").table("hooks").table("requirements_txt")
        dynamic = tools.table("setuptools").table("dynamic")
        files = [*_files_of(dynamic, "dependencies"), *_texts(hook, "files")]
        stated = None if files or hook.keys() else setuptools_project.state(folder)
        if "dependencies" in left and files:
            roots += setuptools_project.read_files(folder, files)
            left.remove("dependencies")
        elif "dependencies" in left and stated is not None and stated.dependencies is not None:
            roots += setuptools_project.roots_of(self._path, stated.dependencies, stated.files)
            left.remove("dependencies")
        optional, of_hook = dynamic.table("optional-dependencies"), hook.table("optional-dependencies")
        by_extra = {canonicalize_name(key): _files_of(optional, key) for key in optional.keys()}  # noqa: SIM118
        by_extra |= {canonicalize_name(key): of_hook.texts(key) for key in of_hook.keys()}  # noqa: SIM118
        if stated is not None:
            by_extra |= {canonicalize_name(key): list(named) for key, named in stated.extra_files.items()}
        lines = {} if stated is None else {canonicalize_name(k): v for k, v in (stated.extras or {}).items()}
        is_known = bool(by_extra) or (stated is not None and stated.extras is not None)
        if "optional-dependencies" in left and is_known:
            for extra in {*by_extra, *lines} if all_extras else set(map(canonicalize_name, extras)):
                roots += setuptools_project.roots_of(self._path, lines.get(extra, ()), by_extra.get(extra, ()))
            left.remove("optional-dependencies")
        return left

    def _foreign_groups(self) -> dict[NormalizedName, str]:
        """Return the groups in separate tables of Poetry and PDM, with the tool that reads them."""
        tools = self._top.table("tool")
        poetry, pdm = tools.table("poetry"), tools.table("pdm")
        found = dict.fromkeys(map(canonicalize_name, pdm.table("dev-dependencies").keys()), "pdm")
        found |= dict.fromkeys(map(canonicalize_name, poetry.table("group").keys()), "poetry")
        if poetry.table("dev-dependencies").keys():
            found[canonicalize_name("dev")] = "poetry"
        return {name: tool for name, tool in found.items() if name not in map(canonicalize_name, self._groups.keys())}

    def _hatch_environments(self) -> dict[NormalizedName, Table]:
        """Return Hatch's environments, from `[tool.hatch.envs]` and `hatch.toml`, which are chosen like groups."""
        tables = [self._top.table("tool").table("hatch").table("envs")]
        file = self._path.with_name("hatch.toml")
        if file.is_file():
            tables.append(Table(file, "", read_toml(file)[0]).table("envs"))
        return {canonicalize_name(key): table.table(key) for table in tables for key in table.keys()}  # noqa: SIM118

    def _list(self, table: Table, key: str) -> list[InputRequirement]:
        places = [f"{key}[{i}]" for i in range(len(table.texts(key)))]
        parsed = [self._parse(value, table, at) for value, at in zip(table.texts(key), places, strict=True)]
        return [requirement for found in parsed for requirement in found]

    def _group(self, name: str, chain: tuple[str, ...]) -> list[InputRequirement]:
        keys = {canonicalize_name(key): key for key in self._groups.keys()}  # noqa: SIM118
        normal = canonicalize_name(name)
        if normal not in keys and (table := self._hatch_environments().get(normal)) is not None:
            self._groups_read.add(normal)
            return [*self._list(table, "dependencies"), *self._list(table, "extra-dependencies")]
        if normal not in keys:
            if (tool := self._foreign_groups().get(normal)) is not None:
                raise UsageError(
                    f"{self._path}: the group {name!r} is defined only for {tool}, not in [dependency-groups]",
                    hint=f"run `{tool} lock`, then specify {tool}.lock with --group {name}",
                )
            raise self._unknown("group", name, list(keys.values()))
        if normal in chain:
            loop = " -> ".join((*chain[chain.index(normal) :], normal))
            raise InputError(f"{self._path}: dependency-groups include each other: {loop}")
        self._groups_read.add(normal)
        entries = self._groups.raw(keys[normal])
        if not isinstance(entries, list):
            raise self._groups.error(keys[normal], "is not an array")
        found: list[InputRequirement] = []
        for i, entry in enumerate(entries):
            at = f"{keys[normal]}[{i}]"
            match entry:
                case str():
                    found += self._parse(entry, self._groups, at)
                case {"include-group": str(other)} if len(entry) == 1:
                    found += self._group(other, (*chain, normal))
                case _:
                    raise self._groups.error(at, "is neither a requirement nor an include-group")
        return found

    def _parse(self, value: str, table: Table, at: str) -> list[InputRequirement]:
        """Return the requirement, once for each source in `[tool.uv.sources]` with a marker."""
        line = string_line(self._text, value)
        try:
            parsed = Requirement(value)
        except InvalidRequirement as error:
            problem = table.error(at, f"is not a requirement: {str(error).splitlines()[0]}: {value[:120]!r}")
            where = f" (line {line})" if line else ""
            raise InputError(f"{problem.problem}{where}") from error
        reference = parse_reference(parsed.url, self._path.parent) if parsed.url else None
        base = InputRequirement(
            name=canonicalize_name(parsed.name),
            specifier=parsed.specifier,
            extras=tuple(sorted(canonicalize_name(extra) for extra in parsed.extras)),
            marker=str(parsed.marker) if parsed.marker else None,
            location=Location(path=str(self._path), line=line),
            hashes=fragment_hashes(parsed.url) if parsed.url else frozenset(),
            reference=reference,
        )
        return [base] if reference else self._sourced(base)

    def _sourced(self, base: InputRequirement) -> list[InputRequirement]:
        keys = {canonicalize_name(key): key for key in self._sources.keys()}  # noqa: SIM118
        if base.name not in keys:
            return [base]
        key = keys[base.name]
        many = isinstance(self._sources.raw(key), list)
        found = []
        for source in self._sources.tables(key) if many else [self._sources.table(key)]:
            marker = source.text("marker")
            both = f"({base.marker}) and ({marker})" if base.marker and marker else base.marker or marker
            index = source.text("index")
            reference = self._reference(source, base)
            if index and base.name:
                self._package_indexes[base.name] = self._named_index(index, source)
            found.append(
                InputRequirement(
                    name=base.name,
                    specifier=base.specifier,
                    extras=base.extras,
                    marker=both,
                    location=base.location,
                    reference=reference,
                )
            )
        return found

    def _reference(self, source: Table, base: InputRequirement) -> Reference | None:
        folder = self._path.parent
        if url := source.text("git") or source.text("url"):
            return parse_reference(f"git+{url}" if "git" in source else url, folder)
        if path := source.text("path"):
            return parse_reference(path, folder)
        if source.raw("workspace"):
            for member in self._members():
                if project_name(member / "pyproject.toml") == base.name:
                    return Reference(kind=ReferenceKind.TREE, url=str(member))
            raise source.error("workspace", f"refers to {base.name}, which is not a member of {folder}'s workspace")
        return None

    def _members(self) -> list[Path]:
        """Return the folders of the workspace's members; the root can be any parent folder."""
        for root in (self._path.parent, *self._path.parent.absolute().parents):
            file = root / "pyproject.toml"
            if not file.is_file():
                continue
            workspace = Table(file, "", read_toml(file)[0]).table("tool").table("uv").table("workspace")
            if workspace.keys():
                found = [folder for pattern in workspace.texts("members") for folder in _glob(root, pattern)]
                return [root, *found]
        return []

    def _named_index(self, name: str, source: Table) -> str:
        for index in self._indexes:
            if index.text("name") == name:
                return index.need("url")
        raise source.error("index", f"names an unknown [[tool.uv.index]]: {name!r}")

    def _index(self) -> InputIndexes:
        settings = self._settings
        folder = settings.path.parent
        open_to_all = [index for index in settings.tables("index") if not index.raw("explicit")]
        default = next((index.need("url") for index in open_to_all if index.raw("default")), None)
        others = [index.need("url") for index in open_to_all if not index.raw("default")]
        return dataclasses.replace(
            uv_binaries(settings),
            index_url=default or settings.text("index-url"),
            extra_index_urls=(*others, *settings.texts("extra-index-url")),
            no_index=bool(settings.raw("no-index")),
            find_links=tuple(
                link if "://" in link else str((folder / link).absolute()) for link in settings.texts("find-links")
            ),
            pre=settings.text("prerelease") == "allow",
        )

    def _unknown(self, what: str, name: str, known: list[str]) -> UsageError:
        hint = f"it has {', '.join(sorted(known))}" if known else f"it has no {what}s"
        return UsageError(f"{self._path} has no {what} named {name!r}", hint=hint)


def _files_of(table: Table, key: str) -> list[str]:
    """Return the files of `dependencies = { file = "requirements.txt" }`, one or more."""
    value = table.raw(key)
    found = value.get("file", ()) if isinstance(value, dict) else ()
    found = [found] if isinstance(found, str) else found
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _texts(table: Table, key: str) -> list[str]:
    """Return one or more strings; hatch-requirements-txt reads `requirements.txt` if its table names no file."""
    found = table.texts(key)
    return found or (["requirements.txt"] if table.keys() and key not in table else [])


def _under(marker: str | None, requirement: InputRequirement) -> InputRequirement:
    """Return the requirement with the marker added."""
    if marker is None:
        return requirement
    both = f"({marker}) and ({requirement.marker})" if requirement.marker else marker
    return dataclasses.replace(requirement, marker=both)


def _glob(root: Path, pattern: str) -> list[Path]:
    try:
        found = sorted(root.glob(pattern))
    except (ValueError, NotImplementedError) as error:
        raise InputError(
            f"{root / 'pyproject.toml'}: {pattern!r} is not a valid pattern for workspace members"
        ) from error
    return [folder for folder in found if (folder / "pyproject.toml").is_file()]
