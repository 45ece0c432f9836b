"""The reach tier: which extension modules of the stack the user's own code loads, when, and through what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from ftaudit.engine.reach_runs import imports_of_starts, recorded_runs
from ftaudit.engine.requested_extras import packages_of_extras
from ftaudit.errors import ArchiveError, UsageError
from ftaudit.lockfiles.input_files import Table, read_toml
from ftaudit.model import PackageFacts, Pin, Status
from ftaudit.model.reachability import ReachAnswer, StartPoint
from ftaudit.reach.finder import Finder
from ftaudit.reach.folder_tree import FolderTree
from ftaudit.reach.kept_answers import AnswerKey, KeptAnswers
from ftaudit.reach.observed import compare_with_runs
from ftaudit.reach.run import ReachQuestion, find_reach
from ftaudit.reach.starts import default_starts, parse_start
from ftaudit.reach.wheel_files import WheelStore, WheelTree, analysis_version
from ftaudit.source.python.parse import parse_module
from ftaudit.target import marker_environment

if TYPE_CHECKING:
    from ftaudit.engine.evidence import Evidence
    from ftaudit.engine.session import AuditSession
    from ftaudit.target import Platform

CONNECTIONS: Final = 8


def find_reach_of_packages(
    session: AuditSession, every: Sequence[PackageFacts], evidence: Evidence
) -> tuple[ReachAnswer, ...]:
    """Return what the start points load on each platform, compared with runs if there are any.

    Raise `UsageError` for an invalid start point, and `InputError` for a file that is not a record of runs.
    """
    roots = source_roots(session)
    settings = session.settings
    named = [parse_start(text, roots) for text in settings.reach if text]
    session.progress.stage("reach", len(session.platforms))
    answers = []
    with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="reach") as fetchers:
        store = WheelStore(
            folder=session.folder,
            session=None if settings.offline else session.index.session,
            fetchers=fetchers,
            use_cache=not settings.no_cache,
            stored=partial(session.reader.find_reach, analysis_version()),
            read_again=settings.read_again / 100,
        )
        for platform in session.platforms:
            facts = [each for each in every if each.platform == platform.name]
            answer = _on_platform(session, platform, facts, roots, named, store)
            answers.append(_with_runs(session, platform, answer, roots, evidence))
            session.progress.done(platform.name)
    return tuple(answers)


def _on_platform(
    session: AuditSession,
    platform: Platform,
    facts: Sequence[PackageFacts],
    roots: Sequence[Path],
    named: Sequence[StartPoint],
    store: WheelStore,
) -> ReachAnswer:
    stack = _find_stack(facts, roots, store)
    scripts = _scripts(session)
    digests = [(tree.name, tree.digest) for tree in stack.wheels]
    key = AnswerKey(
        question=(
            *(session.target.name, platform.name, platform.sys_platform, platform.machine),
            *(str(each) for each in (*named, *scripts)),
        ),
        wheels=tuple((name, digest) for name, digest in digests if digest is not None),
        unread=tuple(stack.unread),
        folders=(*stack.own, *stack.folders),
    )
    cached = store.use_cache and len(key.wheels) == len(digests)
    answers = KeptAnswers(folder=session.folder) if cached else None
    if answers is not None and (kept := answers.find(key)) is not None:
        return kept
    wheels, failed = _load(stack.wheels)
    finder = Finder(
        trees=[*stack.own, *wheels, *stack.folders],
        version=session.target.version,
        sys_platform=platform.sys_platform,
        unread=(*stack.unread, *failed),
    )
    starts = list(named) or default_starts(stack.own, scripts, finder)
    if not starts:
        raise UsageError(
            f"no Python package found in {', '.join(map(str, roots)) or 'this folder'}",
            hint="specify a start point with --reach MODULE, and its folder with --source-root",
        )
    answer = find_reach(
        ReachQuestion(
            finder=finder, starts=starts, platform=platform.name, machine=platform.machine, parse=parse_module
        )
    )
    if any(module.optional for module in answer.modules):
        answer = _with_extras(
            answer, finder, [each.pin for each in facts], marker_environment(session.target, platform)
        )
    # Each run asks the facts stores again, so that the report names them.
    if answers is not None and not failed and not any(tree.origin for tree in wheels):
        answers.keep(key, answer)
    return answer


def _with_extras(
    answer: ReachAnswer, finder: Finder, pins: Sequence[Pin], environment: Mapping[str, str]
) -> ReachAnswer:
    """Add to the modules that the user's code can do without the extras that install their packages."""
    trees = [tree for tree in finder.trees if not tree.own]
    extras = packages_of_extras(pins, (data for tree in trees for data in tree.metadata()), environment)
    package = {
        found.name: canonicalize_name(found.tree.package(found.path))
        for found in finder.extensions()
        if extras and found.tree is not None
    }
    modules = (
        replace(each, extras=extras.get(package[each.module], ())) if each.optional and each.module in package else each
        for each in answer.modules
    )
    return replace(answer, modules=tuple(modules))


def _with_runs(
    session: AuditSession, platform: Platform, answer: ReachAnswer, roots: Sequence[Path], evidence: Evidence
) -> ReachAnswer:
    """Compare an answer with the user's records and, if the runtime tier ran, with imports of the start points."""
    settings = session.settings
    runs = list(recorded_runs(answer, settings.recorded, session.target, platform))
    if evidence.interpreter is not None and platform.is_host and not settings.static:
        ran = imports_of_starts(answer, evidence.indexed, roots, evidence.interpreter, settings, platform)
        runs += [] if ran is None else [ran]
    return compare_with_runs(answer, runs)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stack:
    """Where the files of the user's code and of the packages are."""

    own: list[FolderTree]
    wheels: list[WheelTree]
    folders: list[FolderTree]
    unread: list[str]
    """Packages whose files are unknown."""


def _find_stack(facts: Sequence[PackageFacts], roots: Sequence[Path], store: WheelStore) -> _Stack:
    own = [FolderTree(name=str(root), root=root, own=True, prefix=_prefix(root)) for root in roots]
    wheels: list[WheelTree] = []
    unread: list[str] = []
    folders: dict[str, FolderTree] = {}
    for each in facts:
        pin = each.pin
        if pin.source_tree is not None:
            root = _import_root(Path(pin.source_tree))
            if all(tree.root.absolute() != root.absolute() for tree in own):
                own.append(FolderTree(name=str(pin.name), root=root, own=True, prefix=_prefix(root)))
        elif pin.on_disk is not None and each.index.origin == "environment":
            root = Path(pin.on_disk.root)
            folders.setdefault(pin.on_disk.root, FolderTree(name=root.name, root=root))
        elif each.index.status is Status.DONE and each.index.wheel is not None and each.index.wheel.url is not None:
            wheels.append(WheelTree(name=str(pin.name), file=each.index.wheel, store=store))
        else:
            unread.append(str(pin.name))
    return _Stack(own=own, wheels=wheels, folders=list(folders.values()), unread=unread)


def _load(wheels: Sequence[WheelTree]) -> tuple[list[WheelTree], list[str]]:
    """Read the wheels; return those that could be read, and the names of the others."""
    loaded: list[WheelTree] = []
    failed: list[str] = []
    for tree in wheels:
        try:
            tree.load()
        except (ArchiveError, OSError):
            tree.close()
            failed.append(tree.name)
        else:
            loaded.append(tree)
    return loaded, failed


def source_roots(session: AuditSession) -> tuple[Path, ...]:
    """Return the folders from which the user's modules are imported. Raise `UsageError` for a missing folder."""
    named = session.settings.source_roots
    for root in named:
        if not root.is_dir():
            raise UsageError(
                f"--source-root {root}: not a folder", hint="specify the folder that contains your packages"
            )
    if named:
        return named
    return tuple(dict.fromkeys(_default_roots(session)))


def _default_roots(session: AuditSession) -> Iterator[Path]:
    for folder in _projects(session):
        root = _import_root(folder)
        yield root
        if root != folder:
            yield folder


def _projects(session: AuditSession) -> Iterator[Path]:
    """Yield the folders of the inputs that are files, or the current folder if there is no such input."""
    folders = [found.path.parent for found in session.read if found.path.is_file()]
    yield from dict.fromkeys(folders or [Path()])


def _import_root(folder: Path) -> Path:
    """Return the folder that contains a project's modules: its `src` folder, if that exists and is not itself a
    package.
    """
    source = folder / "src"
    return source if source.is_dir() and not (source / "__init__.py").exists() else folder


def _prefix(root: Path) -> str:
    """Return the prefix of paths below a source root, relative to the user's current folder."""
    try:
        relative = root.absolute().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return f"{root.as_posix().rstrip('/')}/"
    return "" if relative == "." else f"{relative}/"


def _scripts(session: AuditSession) -> list[tuple[str, str]]:
    """Return the console scripts that the projects declare (PEP 621); a malformed file has none."""
    found: list[tuple[str, str]] = []
    for folder in _projects(session):
        path = folder / "pyproject.toml"
        if not path.is_file():
            continue
        project = Table(path, "", read_toml(path)[0]).table("project")
        for name in ("scripts", "gui-scripts"):
            table = project.table(name)
            found += [(key, target) for key in tuple(table.keys()) if (target := table.text(key))]
    return found
