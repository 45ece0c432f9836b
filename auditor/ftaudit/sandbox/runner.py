"""Import every extension module of the wanted distributions, several distributions at a time, and return the facts."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Final

from packaging.utils import NormalizedName

from ftaudit.errors import FtauditError
from ftaudit.folders import remove_tree, size_of
from ftaudit.model import ExtensionModule, Gap, GapKind, Interpreter, RuntimeFacts, Status
from ftaudit.sandbox.confined_process import can_protect_files
from ftaudit.sandbox.contents import Contents, read_contents, runs_code, search_paths
from ftaudit.sandbox.distribution import import_distribution
from ftaudit.sandbox.environment import Environment, open_environment
from ftaudit.sandbox.failures import escape
from ftaudit.sandbox.ownership import Ownership, read_ownership
from ftaudit.sandbox.sandbox_settings import SandboxSettings, WheelToImport
from ftaudit.wheel.startup import is_startup

MOST_BYTECODE: Final = 128 << 20
"""Bytes of compiled Python code that stay in the cache for one distribution."""


def import_distributions(
    interpreter: Interpreter,
    wheels: Sequence[WheelToImport],
    *,
    settings: SandboxSettings,
    on_done: Callable[[str], None] = lambda name: None,
) -> dict[str, RuntimeFacts]:
    """Install the wheels into a separate environment and import the modules of the wanted ones.

    Returns one entry for each wheel that is wanted, by name, and for each other one whose files run when an
    interpreter starts; a failed installation or import is an entry too. `on_done` receives each wanted name when
    it is finished, in the calling thread. An interrupt (`KeyboardInterrupt`) ends every process before it goes on.
    Raise `ResolutionError` if uv cannot be run.
    """
    wanted = [wheel.name for wheel in wheels if wheel.wanted]
    if not wanted:
        return {}
    if sys.platform == "win32":
        reason = Gap(kind=GapKind.NO_SANDBOX)
        return {name: RuntimeFacts(status=Status.SKIPPED, reason=reason) for name in wanted}
    stop = threading.Event()
    protected = can_protect_files(Path(interpreter.path), settings=settings, stop=stop)
    facts: dict[str, RuntimeFacts] = {}
    with (
        open_environment(interpreter, wheels, settings=settings, safe_to_link=protected) as environment,
        ThreadPoolExecutor(max_workers=max(settings.jobs, 1)) as pool,
    ):
        ownership = read_ownership(environment.path.resolve())
        names = dict.fromkeys((*wanted, *_starters(ownership, wheels)))
        work = {
            pool.submit(_facts_of, interpreter, environment, ownership, name, settings, stop): name for name in names
        }
        try:
            for future in as_completed(work):
                facts[work[future]] = _result(future)
                if work[future] in wanted:
                    on_done(work[future])
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return facts


def _starters(ownership: Ownership, wheels: Sequence[WheelToImport]) -> Iterator[NormalizedName]:
    """Yield the distributions with files that run when an interpreter starts in the environment."""
    known = {wheel.name for wheel in wheels}
    for path, owners in ownership.owners.items():
        if is_startup(path) and runs_code(ownership.environment, path):
            yield from (owner for owner in owners if owner in known)


def _holds_bytecode_alone(folder: Path) -> bool:
    """Return whether a distribution left only compiled Python code, and little of it, in the cache."""
    names = (name for _, _, names in os.walk(folder) for name in names)
    try:
        return all(name.endswith(".pyc") for name in names) and size_of(folder) <= MOST_BYTECODE
    except RecursionError:
        return False


def _shown(file: str, environment: Path) -> str:
    """Return a file's path for readers: relative to the environment if it is inside."""
    try:
        return escape(Path(file).relative_to(environment).as_posix())
    except ValueError:
        return escape(file)


def _result(future: Future[RuntimeFacts]) -> RuntimeFacts:
    try:
        return future.result()
    except (FtauditError, OSError) as error:
        return RuntimeFacts(status=Status.FAILED, reason=Gap(kind=GapKind.FAILED, detail=str(error)))


def _facts_of(
    interpreter: Interpreter,
    environment: Environment,
    ownership: Ownership,
    name: NormalizedName,
    settings: SandboxSettings,
    stop: threading.Event,
) -> RuntimeFacts:
    described = f"{interpreter.version} free-threading build"
    if (problem := environment.failures.get(name)) is not None:
        return RuntimeFacts(
            status=Status.FAILED, reason=Gap(kind=GapKind.FAILED, detail=problem), interpreter=described
        )
    major, minor = interpreter.version.split(".")[:2]
    version = int(major), int(minor)
    contested = ownership.contested.get(name, ())
    facts = facts_of_imports(
        interpreter,
        environment.path,
        read_contents(environment.path, name, version),
        settings=settings,
        stop=stop,
        bytecode=environment.bytecode / name,
        paths=search_paths(environment.path),
        is_listed=lambda file: ownership.is_listed(file, version),
    )
    return replace(facts, contested=tuple((path, str(other)) for path, other in contested))


def facts_of_imports(
    interpreter: Interpreter,
    environment: Path,
    contents: Contents,
    *,
    settings: SandboxSettings,
    stop: threading.Event,
    bytecode: Path,
    paths: Sequence[str],
    is_listed: Callable[[str], bool],
) -> RuntimeFacts:
    """Import what one distribution holds, and return the facts.

    `is_listed` says whether a module that turned the GIL on is one of the audited ones, by its file.
    """
    bytecode.mkdir(parents=True, exist_ok=True)
    ran = import_distribution(
        Path(interpreter.path),
        environment,
        contents,
        settings=settings,
        stop=stop,
        bytecode=bytecode,
        paths=paths,
    )
    if not _holds_bytecode_alone(bytecode):
        remove_tree(bytecode)
    unlisted = (f"{escape(module)} ({_shown(file, environment)})" for module, file in ran.guilty if not is_listed(file))
    return RuntimeFacts(
        status=Status.DONE,
        modules=tuple(
            ExtensionModule(name=module, path=path, runtime=ran.modules[module]) for module, path in contents.modules
        ),
        toplevels=tuple((toplevel, ran.toplevels[toplevel]) for toplevel in contents.toplevels),
        startup=tuple(ran.startup.items()),
        unlisted=tuple(unlisted),
        interpreter=f"{interpreter.version} free-threading build",
        network_cut=ran.network_cut,
        notes=ran.notes,
    )
