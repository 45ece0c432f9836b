"""The content of a file for one target and platform: named, direct, and local requirements, merged and filtered by
marker.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name

from ftaudit.errors import FtauditError
from ftaudit.lockfiles.dependencies.markers import Markers
from ftaudit.lockfiles.direct import distribution_file, parse_file
from ftaudit.lockfiles.formats import pyproject, setuptools_project
from ftaudit.lockfiles.requirements import InputRequirement, Reference, ReferenceKind, Requirements
from ftaudit.model import Location, Pin
from ftaudit.target import Platform, Target, marker_environment
from ftaudit.urls import public, public_revision


@dataclass(kw_only=True, slots=True)
class ListedRequirements:
    """The requirements that apply to the target and platform."""

    named: dict[NormalizedName, InputRequirement] = field(default_factory=dict)
    """Looked up by name; several requirements with one name are merged."""
    own: set[Location] = field(default_factory=set)
    """The places of the input's own named requirements, as opposed to those of local projects."""
    also: dict[NormalizedName, list[Location]] = field(default_factory=dict)
    """The other places where the input names the same requirement."""
    constraints: list[InputRequirement] = field(default_factory=list)
    overrides: list[InputRequirement] = field(default_factory=list)
    wheels: list[str] = field(default_factory=list)
    """`name @ url` of wheels, whose dependencies uv can read without a build."""
    pins: list[Pin] = field(default_factory=list)
    """Direct requirements."""
    rows: list[Pin] = field(default_factory=list)
    """Problems that belong to no checked package."""
    tree_edges: set[tuple[NormalizedName, NormalizedName]] = field(default_factory=set)
    """Pairs of a requirement and the local project that has it."""
    notes: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)


def list_roots(
    requirements: Requirements, target: Target, platform: Platform, *, follow_trees: bool
) -> ListedRequirements:
    """Return the roots whose markers are true, and with `follow_trees` the static dependencies of local projects.

    For pip and uv, the name of a local project in the input means that project, not a package of an index. Raise
    `InputError` for a malformed marker.
    """
    listed = ListedRequirements()
    markers = Markers(marker_environment(target, platform))
    waiting: deque[tuple[InputRequirement, NormalizedName | None]] = deque((root, None) for root in requirements.roots)
    named: list[tuple[InputRequirement, NormalizedName | None]] = []
    trees: dict[NormalizedName, Reference] = {}
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while waiting:
        root, tree = waiting.popleft()
        if not markers.hold(root.marker, root.location):
            continue
        if root.reference is None:
            named.append((root, tree))
        elif root.reference.kind is not ReferenceKind.TREE:
            _take_file(root, tree, listed)
        else:
            name = _take_tree(root, tree, listed)
            trees.setdefault(name, root.reference)
            key = (root.reference.url, root.extras)
            if follow_trees and key not in seen:
                seen.add(key)
                waiting.extend((needed, name) for needed in _needs(root, name, listed))
        if not waiting:
            of_trees = [(each, tree) for each, tree in named if each.name in trees]
            named = [(each, tree) for each, tree in named if each.name not in trees]
            for each, tree in of_trees:
                assert each.name is not None  # noqa: S101  # a root without a reference has a name
                waiting.append((dataclasses.replace(each, reference=trees[each.name]), tree))
    for root, tree in named:
        _take_named(root, tree, listed)
    for problem in requirements.problems:
        listed.rows.append(_row(problem.name, problem.message, problem.location))
    for kind, found in ((listed.constraints, requirements.constraints), (listed.overrides, requirements.overrides)):
        for item in found:
            if item.reference is not None:
                listed.notes.append(f"{item.location}: ftaudit ignores constraints by URL")
            elif markers.hold(item.marker, item.location):
                kind.append(item)
    return listed


def _take_named(root: InputRequirement, tree: NormalizedName | None, listed: ListedRequirements) -> None:
    assert root.name is not None  # noqa: S101  # a root without a reference has a name
    if tree is None:
        listed.own.add(root.location)
    else:
        listed.tree_edges.add((root.name, tree))
    known = listed.named.get(root.name)
    if known is None:
        listed.named[root.name] = root
        return
    if tree is None and not (known.exact and root.exact and known.exact != root.exact):
        listed.also.setdefault(root.name, []).append(root.location)
    merged = dataclasses.replace(
        known,
        specifier=known.specifier & root.specifier,
        extras=tuple(sorted({*known.extras, *root.extras})),
        hashes=known.hashes | root.hashes,
    )
    if known.exact and root.exact and known.exact != root.exact:
        listed.notes.append(
            f"{root.location} requires {root.name} {root.exact}, but {known.location} requires {known.exact}; ftaudit "
            "checks the first one"
            if tree
            else f"{root.name} is pinned twice, to {known.exact} ({known.location}) and {root.exact} ({root.location})"
        )
        listed.rows.append(
            Pin(
                name=root.name,
                version=root.exact,
                required_by=((root.name,),),
                source=root.location,
                problem=f"it is also pinned to {known.exact}, at {known.location}",
            )
        )
        merged = dataclasses.replace(merged, specifier=known.specifier)
    listed.named[root.name] = merged


def _take_file(root: InputRequirement, tree: NormalizedName | None, listed: ListedRequirements) -> None:
    """Add a wheel or sdist by URL or path, or a repository, as a separate pin."""
    assert root.reference is not None  # noqa: S101
    url = root.reference.url
    shown = public(url)
    if root.reference.kind is ReferenceKind.VCS:
        name = root.name or canonicalize_name(shown.rstrip("/").rpartition("/")[2].removesuffix(".git") or "repository")
        _add(
            listed, _row(name, f"ftaudit does not build VCS requirements: {public_revision(url)}", root.location), tree
        )
        return
    found = parse_file(url)
    if found is None:
        name = root.name or canonicalize_name(shown.rpartition("/")[2])
        _add(listed, _row(name, f"the file name has no version: {shown}", root.location), tree)
        return
    name, version = found
    if root.name and root.name != name:
        _add(listed, _row(root.name, f"the file belongs to {name}: {shown}", root.location), tree)
        return
    missing = url.startswith("file:") and not _local(url).is_file()
    if not missing and url.endswith(".whl"):
        extras = f"[{','.join(root.extras)}]" if root.extras else ""
        listed.wheels.append(f"{name}{extras} @ {url}")
    elif not missing:
        listed.incomplete.append(f"the dependencies of {name} {version}: it is an sdist by URL")
    pin = Pin(
        name=name,
        version=version,
        extras=root.extras,
        required_by=((name,),),
        source=root.location,
        files=(distribution_file(url, root.hashes),),
        allowed_hashes=root.hashes,
        problem=f"the file does not exist: {shown}" if missing else None,
    )
    _add(listed, pin, tree)


def _local(url: str) -> Path:
    from ftaudit.lockfiles.direct import local_path

    return local_path(url, Path())


def _take_tree(root: InputRequirement, tree: NormalizedName | None, listed: ListedRequirements) -> NormalizedName:
    """Add a local project as a pin; return its name."""
    assert root.reference is not None  # noqa: S101
    folder = Path(root.reference.url)
    name, problem = root.name or canonicalize_name(folder.name or "project"), None
    if not folder.is_dir():
        problem = f"the folder does not exist: {folder}"
    else:
        try:
            name = _name_of(folder) or name
        except FtauditError as error:
            problem = error.problem
    pin = Pin(
        name=name,
        version=None,
        extras=root.extras,
        required_by=((name,),),
        source=root.location,
        source_tree=str(folder),
        problem=problem,
    )
    _add(listed, pin, tree)
    return name


def _name_of(folder: Path) -> NormalizedName | None:
    """Return the name in the files of a local project, or `None`."""
    if (folder / "pyproject.toml").is_file() and (name := pyproject.project_name(folder / "pyproject.toml")):
        return name
    stated = setuptools_project.state(folder)
    return canonicalize_name(stated.name) if stated is not None and stated.name else None


def _needs(root: InputRequirement, name: NormalizedName, listed: ListedRequirements) -> tuple[InputRequirement, ...]:
    """Return the static dependencies of a local project; dependencies that need a build make the result incomplete."""
    assert root.reference is not None  # noqa: S101
    file = Path(root.reference.url, "pyproject.toml")
    has_setup = file.parent.is_dir() and setuptools_project.is_project(file.parent)
    if not file.is_file() and not has_setup:
        if file.parent.is_dir():
            listed.incomplete.append(f"the dependencies of {name}: {file.parent} has no pyproject.toml")
        return ()
    try:
        read = pyproject.read if file.is_file() else setuptools_project.read
        found = read(file, extras=root.extras)
    except FtauditError as error:
        listed.incomplete.append(f"the dependencies of {name}: {error.problem}")
        return ()
    listed.incomplete += [f"{name}: {problem.message}" for problem in found.problems]
    return found.roots


def _add(listed: ListedRequirements, pin: Pin, tree: NormalizedName | None) -> None:
    if tree is not None:
        listed.tree_edges.add((pin.name, tree))
    for number, known in enumerate(listed.pins):
        if known.name == pin.name:
            extras = tuple(sorted({*known.extras, *pin.extras}))
            listed.pins[number] = dataclasses.replace(known, extras=extras)
            return
    listed.pins.append(pin)


def _row(name: str, problem: str, place: Location) -> Pin:
    normal = canonicalize_name(name)
    return Pin(name=normal, version=None, required_by=((normal,),), source=place, problem=problem)
