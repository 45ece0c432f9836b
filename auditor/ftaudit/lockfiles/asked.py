"""The requirements that the project next to a lock file has for each package: its locking tool obeys them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from ftaudit.errors import InputError
from ftaudit.lockfiles.dependencies.needs import parse_edge
from ftaudit.lockfiles.input_files import Table, read_toml
from ftaudit.lockfiles.manifest import poetry_edge, read_manifest
from ftaudit.lockfiles.requirements import Edge, InputFormat, Requirements
from ftaudit.model import StrEnum


class ManifestPart(StrEnum):
    """The place of a requirement in the manifest."""

    MAIN = "dependencies"
    EXTRA = "extra"
    GROUP = "group"
    CONSTRAINT = "constraint"
    ELSEWHERE = "elsewhere"
    """In a table that ftaudit does not edit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One requirement of the project itself."""

    path: Path
    """The manifest."""
    part: ManifestPart
    name: str = ""
    """The extra or group of the requirement; for other requirements, the key of the table."""
    edge: Edge

    def excludes(self, name: NormalizedName, version: Version) -> bool:
        """Return whether this is a requirement for the package that does not admit the version."""
        allowed = self.edge.specifier
        return self.edge.name == name and allowed is not None and not allowed.contains(version, prereleases=True)

    def __str__(self) -> str:
        where = f" of the {self.part} {self.name}" if self.part in (ManifestPart.EXTRA, ManifestPart.GROUP) else ""
        extras = f"[{','.join(self.edge.extras)}]" if self.edge.extras else ""
        return f"{self.edge.name}{extras}{self.edge.specifier or ''}{where} in {self.path}"


def find_asked(requirements: Requirements) -> tuple[Asked, ...]:
    """Return the requirements of a lock file's manifests; empty if no readable manifest is next to it.

    Every extra and group counts, chosen or not: the locking tool locks them all.
    """
    folder = requirements.path.parent
    try:
        match requirements.format:
            case InputFormat.UV_LOCK:
                return tuple(asked for each in _folders(requirements) for asked in _of_pyproject(each))
            case InputFormat.POETRY_LOCK | InputFormat.PDM_LOCK:
                return tuple(_of_pyproject(folder))
            case InputFormat.PIPFILE_LOCK:
                return tuple(_of_pipfile(folder / "Pipfile"))
            case _:
                return ()
    except InputError:
        # The lock file was read without it; errors in the manifest are for the locking tool to report.
        return ()


def _folders(requirements: Requirements) -> Iterator[Path]:
    """Yield the folders of the project and of the members of its workspace."""
    yield requirements.path.parent
    for package in requirements.lock.packages if requirements.lock is not None else ():
        if package.own and package.source_tree is not None:
            folder = Path(package.source_tree)
            if folder.resolve() != requirements.path.parent.resolve():
                yield folder


def _of_pyproject(folder: Path) -> Iterator[Asked]:
    manifest = read_manifest(folder)
    if manifest is None:
        return
    yield from _all(manifest.path, ManifestPart.MAIN, {"": manifest.main})
    yield from _all(manifest.path, ManifestPart.EXTRA, manifest.extras)
    yield from _all(manifest.path, ManifestPart.GROUP, manifest.groups)
    uv = Table(manifest.path, "", read_toml(manifest.path)[0]).table("tool").table("uv")
    for part, key in (
        (ManifestPart.CONSTRAINT, "constraint-dependencies"),
        (ManifestPart.ELSEWHERE, "override-dependencies"),
        (ManifestPart.ELSEWHERE, "dev-dependencies"),
    ):
        edges = [edge for line in uv.texts(key) if (edge := parse_edge(line)) is not None]
        yield from _all(manifest.path, part, {key: edges})


def _of_pipfile(path: Path) -> Iterator[Asked]:
    if not path.is_file():
        return
    top = Table(path, "", read_toml(path)[0])
    for key, part, name in (("packages", ManifestPart.MAIN, ""), ("dev-packages", ManifestPart.GROUP, "dev")):
        table = top.table(key)
        edges = [poetry_edge(canonicalize_name(each), table.raw(each)) for each in table.keys()]  # noqa: SIM118
        yield from _all(path, part, {name: edges})


def _all(path: Path, part: ManifestPart, named: Mapping[str, Iterable[Edge]]) -> Iterator[Asked]:
    for name, edges in named.items():
        for edge in edges:
            yield Asked(path=path, part=part, name=name, edge=edge)
