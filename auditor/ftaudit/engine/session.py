"""The resources that a command opens once: inputs, index, reader, surveyor, source distributions, and rules."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from ftaudit import lockfiles
from ftaudit.engine.inputs import read_inputs, resolve_options, what_they_say
from ftaudit.engine.setup import cache_folder, choose_rules, open_index
from ftaudit.engine.tiers.reader import SharedWheelReader
from ftaudit.engine.tiers.release_metadata import MetadataReader
from ftaudit.engine.tiers.sdists import Sdists
from ftaudit.engine.upgrades.surveyor import Surveyor
from ftaudit.errors import UsageError
from ftaudit.index.client import Index
from ftaudit.index.index_settings import IndexOptions
from ftaudit.lockfiles import InputFormat, Requirements, ResolveOptions, Selection
from ftaudit.once import Once
from ftaudit.progress import ProgressListener, Silent
from ftaudit.registry import rule_files
from ftaudit.rule import Rule
from ftaudit.settings import Settings
from ftaudit.target import Platform, Target, host_platform, parse_platform, parse_targets

R = TypeVar("R", bound=Rule)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AuditSession:
    """One run of a command over its inputs. `open_session` makes it; do not use it after the session has ended."""

    settings: Settings
    target: Target
    platforms: tuple[Platform, ...]
    inputs: tuple[str, ...]
    """Paths, as the user gave them."""
    read: tuple[Requirements, ...]
    """The content of each input."""
    index: Index
    reader: SharedWheelReader
    surveyor: Surveyor
    folder: Path
    """Where downloads are kept: the cache, or with `--no-cache` a temporary folder."""
    sdists: Sdists
    options: ResolveOptions
    """The options for uv."""
    progress: ProgressListener
    _selected: Once[tuple[int, Platform], Selection] = dataclasses.field(default_factory=Once)
    _rules: Once[type[Rule], tuple[tuple[Rule, ...], tuple[str, ...]]] = dataclasses.field(default_factory=Once)
    _identity: Once[None, bytes] = dataclasses.field(default_factory=Once)

    def select(self, number: int, platform: Platform) -> Selection:
        """Return the packages of an input, by its number, on a platform; uv is called once."""
        requirements = self.read[number]
        select = functools.partial(lockfiles.pins, requirements, self.target, platform, self.options)
        return self._selected.get((number, platform), select)

    def rules(self, kind: type[R]) -> tuple[tuple[R, ...], tuple[str, ...]]:
        """Return the chosen rules of a kind, and what could not be loaded; raise `UsageError` for an unknown name."""
        rules, problems = self._rules.get(kind, functools.partial(choose_rules, self.settings, kind))
        return tuple(rule for rule in rules if isinstance(rule, kind)), problems

    def declaration_rules(self) -> bytes:
        """Return the identity of the code that reads declarations in source: it changes with the scanner and any rule.

        The files of the rules identify them, so no rule is imported.
        """

        def identify() -> bytes:
            from ftaudit.source.rules_identity import identify_rules

            files = list(rule_files(self.settings.rules))
            packs = [name for name, path in files if path is None]
            return identify_rules((), f"declarations {packs}", more=[path for _, path in files if path is not None])

        return self._identity.get(None, identify)


@contextmanager
def open_session(
    inputs: Sequence[str], settings: Settings, progress: ProgressListener | None = None
) -> Iterator[AuditSession]:
    """Open the session of one target; see `open_sessions`."""
    with open_sessions(inputs, settings, (settings.target,), progress) as (session,):
        yield session


@contextmanager
def open_sessions(
    inputs: Sequence[str], settings: Settings, targets: Sequence[str], progress: ProgressListener | None = None
) -> Iterator[tuple[AuditSession, ...]]:
    """Read the inputs and open the resources for an audit of them, once for all targets; yield a session for each
    target.

    Without inputs, use the most precise input in the current folder. `settings.target` is ignored. Nothing is fetched
    or started before it is needed. With `--no-cache`, files that uv and the tiers fetch are kept only for this run.
    Raise `FtauditError` for an input that cannot be read, for a setting that does not exist, and for `settings.python`,
    which is one interpreter, with several targets.
    """
    each = parse_targets(targets)
    if len(each) > 1 and settings.python is not None:
        raise UsageError(
            f"--python names one interpreter, but there are {len(each)} targets",
            hint="leave it out (ftaudit finds the interpreter of each target), or specify one --target",
        )
    paths = tuple(inputs) or (str(lockfiles.find_input(Path())),)
    read = tuple(read_inputs(paths, settings))
    _check_run_env(read, settings)
    platforms = tuple(map(parse_platform, settings.platforms)) or (host_platform(),)
    with _open(paths, read, settings, each, platforms, tuple(map(what_they_say, read)), progress) as sessions:
        yield sessions


@contextmanager
def open_sessions_for_pins(
    settings: Settings, targets: Sequence[str], platforms: Sequence[Platform], said: Sequence[IndexOptions] = ()
) -> Iterator[tuple[AuditSession, ...]]:
    """Open the resources to judge pins that were read elsewhere; `said` are the index options of their inputs.

    `settings.platforms` is ignored: the pins may have been read on another machine than this one.
    Surveys of later releases are not stored: a fleet has more of them than a file holds. Errors as in `open_sessions`.
    """
    with _open((), (), settings, parse_targets(targets), tuple(platforms), tuple(said), None, keep=False) as sessions:
        yield sessions


@contextmanager
def _open(
    paths: tuple[str, ...],
    read: tuple[Requirements, ...],
    settings: Settings,
    targets: Sequence[Target],
    platforms: tuple[Platform, ...],
    said: Sequence[IndexOptions],
    progress: ProgressListener | None,
    *,
    keep: bool = True,
) -> Iterator[tuple[AuditSession, ...]]:
    with ExitStack() as stack:
        folder = stack.enter_context(cache_folder(settings))
        index = stack.enter_context(open_index(settings, said))
        reader = stack.enter_context(SharedWheelReader(settings, index))
        sdists = Sdists(index, folder)
        metadata = MetadataReader(index, sdists, folder, offline=settings.offline)
        sessions = []
        for target in targets:
            own = dataclasses.replace(settings, target=target.name)
            surveyor = stack.enter_context(Surveyor(target=target, index=index, reader=reader, settings=own, keep=keep))
            options = resolve_options(own, index, target, metadata)
            if settings.no_cache:
                options = dataclasses.replace(options, no_cache=False, cache_dir=folder / "uv")
            sessions.append(
                AuditSession(
                    settings=own,
                    target=target,
                    platforms=platforms,
                    inputs=paths,
                    read=read,
                    index=index,
                    reader=reader,
                    surveyor=surveyor,
                    folder=folder,
                    sdists=sdists,
                    options=options,
                    progress=progress or Silent(),
                )
            )
        yield tuple(sessions)


def _check_run_env(read: Sequence[Requirements], settings: Settings) -> None:
    if settings.run_env and settings.static:
        raise UsageError("--run-env imports the installed packages, but --static imports nothing", hint="leave one out")
    if settings.run_env and not any(each.format is InputFormat.ENVIRONMENT for each in read):
        raise UsageError(
            "--run-env needs an environment, but no input is an environment", hint="specify one with --env PATH"
        )
