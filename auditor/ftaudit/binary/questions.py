"""Modules' images go to worker processes, which parse and emulate them; the results come back as answers."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from ftaudit.binary.facts_cache import parse_binary
from ftaudit.cores import count_cores
from ftaudit.errors import EngineMissing, ImageError
from ftaudit.model import GilDeclaration, ModuleBinary
from ftaudit.workers import Died, TaskEnding, WorkerPool, can_fork

HELD: Final = 384 << 20
"""Bytes of images that may wait for a worker; a caller with more waits too."""


SECONDS: Final = 40.0
"""Seconds of processor time that one module may take."""


MEMORY: Final = 12 << 30
"""Bytes of address space of one worker process; Unicorn reserves one GiB for each CPU that it emulates."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleQuestion:
    """One module's image, to be read by a worker."""

    module: str
    path: str
    target: tuple[int, int]
    image: bytes
    holes: tuple[tuple[int, int], ...] = ()
    """Ranges of the image that were not read."""
    stable_abi: bool = False
    """Whether its wheel claims a stable ABI: the symbols that it takes from CPython are then kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleAnswer:
    """A worker's answer, or the reason why it is missing."""

    binary: ModuleBinary
    died: Died | None = None
    """The reason why the answer is missing."""
    engine_missing: bool = False
    """An extra has to be installed for an answer."""
    is_module: bool = True
    """Whether an import could make a module of it."""
    partial: bool = False
    """The holes prevented an answer."""
    missed: int | None = None
    """The first unread offset in the file that was needed."""
    hooks: tuple[str, ...] = ()
    """Labels of the init hooks that the image exports."""
    missing: tuple[str, ...] = ()
    """File names of shared libraries that might add to the answer if they were among the kept images."""

    @property
    def lost(self) -> bool:
        """Whether a later answer may differ: an engine is missing, or the worker crashed, hung or did not start."""
        return self.engine_missing or (self.died is not None and not self.died.is_lasting)


class ModuleReaders:
    """Worker processes that read modules, started with the first question. A context manager that ends them.

    If this process has one thread when they are made, they start in milliseconds.
    """

    def __init__(self, *, workers: int | None = None, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        """`workers` is the number of processes, and `None` one for each core; `WorkerPool` explains the rest."""
        self._pool = WorkerPool(
            answer_question,
            workers=workers or count_cores(),
            seconds=seconds,
            memory=memory,
            capacity=HELD,
            prepare=prepare,
            preload=preload,
            fork=can_fork(),
        )

    def __enter__(self) -> ModuleReaders:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def workers(self) -> int:
        """How many processes there are."""
        return self._pool.workers

    def start(self) -> None:
        """Start the workers now, so that they are ready when the first question comes."""
        self._pool.start()

    def close(self) -> None:
        """End every worker, even in the middle of a task."""
        self._pool.close()

    def ask(
        self, questions: Sequence[ModuleQuestion], kept: Mapping[str, bytes] | None = None
    ) -> list[Future[ModuleAnswer]]:
        """Pass questions to one worker, which may read `kept` images; block while too many images wait."""
        weight = sum(len(question.image) for question in questions)
        return [_answered(told) for told in self._pool.submit(questions, dict(kept or {}), weight=weight)]


def preload() -> None:
    """Import the modules that a worker needs. A missing engine is an answer later."""
    import ftaudit.binary.declaration  # noqa: F401

    with contextlib.suppress(ImportError):
        from unicorn import arm64_const, x86_const  # noqa: F401


def prepare() -> None:
    """Make a worker ready."""
    preload()
    # Imported objects stay: the collector, which frees the emulators, does not need to visit them each time.
    gc.collect()
    gc.freeze()


def answer_question(question: ModuleQuestion, kept: dict[str, bytes]) -> dict[str, Any]:
    """Return a module's declaration, in JSON's types. Runs in a worker."""
    from ftaudit.binary.declaration import read_module

    try:
        read = read_module(
            question.image,
            module_name=question.module,
            path=question.path,
            target_version=question.target,
            siblings=kept,
            holes=question.holes,
            stable_abi=question.stable_abi,
        )
    except EngineMissing as error:
        return {"error": error.problem, "engine_missing": True}
    except ImageError as error:
        return {"error": error.problem}
    return {
        "binary": asdict(read.binary),
        "missing": read.missing,
        "is_module": read.is_module,
        "hooks": read.hooks,
        "partial": read.partial,
        "missed": read.missed,
    }


def _answered(told: Future[Any]) -> Future[ModuleAnswer]:
    answer: Future[ModuleAnswer] = Future()

    def pass_on(done: Future[Any]) -> None:
        if done.cancelled():
            answer.cancel()
        else:
            answer.set_result(_read(done.result()))

    told.add_done_callback(pass_on)
    return answer


def _read(told: Any) -> ModuleAnswer:
    """Return a worker's answer; an invalid one counts as missing."""
    if isinstance(told, Died):
        return _without(told)
    try:
        if "error" in told:
            missing = told.get("engine_missing") is True
            undetermined = replace(_undetermined(str(told["error"])), engine_missing=missing)
            return ModuleAnswer(binary=undetermined, engine_missing=missing)
        binary = parse_binary(told["binary"])
        if binary is None:
            return _without(Died(how=TaskEnding.NONSENSE))
        return ModuleAnswer(
            binary=binary,
            missing=tuple(map(str, told["missing"])),
            is_module=told["is_module"] is not False,
            hooks=tuple(map(str, told["hooks"])),
            partial=told["partial"] is True,
            missed=told["missed"] if isinstance(told["missed"], int) else None,
        )
    except (ValueError, TypeError, KeyError):
        return _without(Died(how=TaskEnding.NONSENSE))


def _without(died: Died) -> ModuleAnswer:
    subject = (
        "it" if died.how is TaskEnding.MEMORY else "the inspection" if died.is_lasting else "the inspection process"
    )
    return ModuleAnswer(binary=_undetermined(f"{subject} {died}"), died=died)


def _undetermined(how: str) -> ModuleBinary:
    return ModuleBinary(declaration=GilDeclaration.UNDETERMINED, how=how)
