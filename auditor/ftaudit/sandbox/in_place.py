"""Import the packages of an environment in place, with the environment's own interpreter, in the sandbox."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName

from ftaudit.cpython.versions import Version
from ftaudit.errors import ArchiveError, FtauditError, InterpreterError
from ftaudit.folders import temporary_folder
from ftaudit.model import Gap, GapKind, Interpreter, RuntimeFacts, Status
from ftaudit.sandbox.confined_process import ConfinedRun, run_steps
from ftaudit.sandbox.contents import Contents, contents_of, read_record, search_paths
from ftaudit.sandbox.runner import facts_of_imports
from ftaudit.sandbox.sandbox_settings import SandboxSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class InstalledPackage:
    """One package of an environment."""

    name: NormalizedName
    root: Path
    """The folder that it is imported from, `site-packages` most often."""
    record: Path | None
    """Its RECORD (PEP 376); `None` if nothing lists its files."""
    modules: tuple[str, ...]
    """Its extension modules, below `root`."""
    wanted: bool = True
    """Whether its modules are to be imported; of another one only the files that run when an interpreter starts."""


def import_in_place(
    python: Path,
    packages: Sequence[InstalledPackage],
    *,
    version: Version,
    settings: SandboxSettings,
    on_done: Callable[[str], None] = lambda name: None,
) -> tuple[Interpreter, dict[int, RuntimeFacts]]:
    """Import the modules of the wanted packages of one environment, and return its interpreter's description.

    The facts are by position; those of an unwanted package are included if it has start-up files. The
    interpreter is not to be trusted more than the packages are: it starts only in the sandbox. Nothing in the
    environment is changed. Raise `InterpreterError` if it does not start, or is not a free-threaded one of that
    version.
    """
    stop = threading.Event()
    roots = tuple(dict.fromkeys(package.root.resolve() for package in packages))
    interpreter = _start(python, roots[0], version, settings, stop)
    paths = tuple(dict.fromkeys((*map(str, roots), *(path for root in roots for path in search_paths(root)))))
    found: dict[int, RuntimeFacts] = {}
    with temporary_folder() as scratch, ThreadPoolExecutor(max_workers=max(settings.jobs, 1)) as pool:
        work = {}
        for number, package in enumerate(packages):
            try:
                contents = _contents(package, version)
            except ArchiveError as error:
                found[number] = _failed(error)
                continue
            if not package.wanted and not contents.startup:
                continue
            bytecode = scratch / str(number)
            bytecode.mkdir()
            arguments = (interpreter, package.root.resolve(), contents, bytecode, paths, roots, settings, stop)
            work[pool.submit(_import, *arguments)] = number
        try:
            for future in as_completed(work):
                try:
                    found[work[future]] = future.result()
                except (FtauditError, OSError) as error:
                    found[work[future]] = _failed(error)
                on_done(packages[work[future]].name)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return interpreter, found


def _failed(error: Exception) -> RuntimeFacts:
    return RuntimeFacts(status=Status.FAILED, reason=Gap(kind=GapKind.FAILED, detail=str(error)))


def _contents(package: InstalledPackage, version: Version) -> Contents:
    root = package.root.resolve()
    paths = package.modules if package.record is None else read_record(package.record, package.name)
    return contents_of(root, paths, version)


def _start(python: Path, root: Path, version: Version, settings: SandboxSettings, stop: threading.Event) -> Interpreter:
    """Start the interpreter once, in the sandbox, and return its description of itself."""
    deadline = time.monotonic() + settings.module_seconds
    ran: ConfinedRun = run_steps(python, root, (), settings=settings, stop=stop, deadline=deadline)
    wanted = ".".join(map(str, version))
    if ran.python is None:
        raise InterpreterError(f"{python} does not start in the sandbox", hint="leave out --run-env")
    said = ".".join(map(str, ran.python.version))
    if ran.python.version[:2] != version or not ran.python.free_threaded:
        kind = "a free-threaded" if ran.python.free_threaded else "a GIL-enabled"
        problem = f"{python} is {kind} build of CPython {said}, not a free-threaded one of {wanted}"
        raise InterpreterError(problem, hint="leave out --run-env")
    return Interpreter(path=str(python), version=said, build=ran.python.build, source="the environment's own")


def _import(
    interpreter: Interpreter,
    root: Path,
    contents: Contents,
    bytecode: Path,
    paths: Sequence[str],
    roots: Sequence[Path],
    settings: SandboxSettings,
    stop: threading.Event,
) -> RuntimeFacts:
    return facts_of_imports(
        interpreter,
        root,
        contents,
        settings=settings,
        stop=stop,
        bytecode=bytecode,
        paths=paths,
        # Every extension module below the folders of packages is a separate row.
        is_listed=lambda file: any(Path(file).is_relative_to(folder) for folder in roots),
    )
