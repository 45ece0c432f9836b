"""The extension modules of one open wheel become answers: images go to the workers as they arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, field, replace
from typing import Final

from ftaudit.binary.questions import ModuleAnswer, ModuleQuestion, ModuleReaders
from ftaudit.cpython.hooks import hook_name
from ftaudit.errors import ArchiveError
from ftaudit.model import GilDeclaration, Hook, ModuleBinary
from ftaudit.target import Target
from ftaudit.wheel import ArchiveMember, ModuleMember, WheelArchive, module_members
from ftaudit.workers import Died, TaskEnding

MYPYC_GROUP: Final = "__mypyc"
"""How the modules end that mypyc's shims hand over to (mypyc/common.py, `shared_lib_name`)."""
LIBRARIES: Final = 512 << 20
"""Bytes of plain shared libraries, inflated, that are read for the modules of a wheel that call into them."""
LIBRARIES_COMPRESSED: Final = 128 << 20
"""The same as they are fetched."""


READ_ON: Final = 2
"""How often a module is read on to where its initialisation missed code, before it is read whole."""


@dataclass(slots=True)
class WheelReader:
    """Reads the modules of one wheel."""

    readers: ModuleReaders
    fetchers: Executor
    archive: WheelArchive
    target: Target
    stable_abi: bool = False
    """Whether the wheel's tags claim a stable ABI, for which what modules take from CPython is kept."""
    problems: list[str] = field(default_factory=list)
    """What is wrong with members, one sentence each."""
    certain: bool = True
    """Whether the answers would be the same another day."""

    def read(self) -> list[tuple[ModuleMember, ModuleBinary]]:
        """Return what each extension module declares, sorted by its place in the wheel."""
        answers = [(module, _told(answer)) for module, answer in self._ask_all()]
        answers = self._ask_for_wholes(answers)
        answers = self._ask_with_libraries(answers)
        if any(answer.lost for _, answer in answers):
            self.certain = False
        modules = ((module, answer.binary) for module, answer in answers if answer.is_module)
        return sorted(modules, key=lambda pair: pair[0].path)

    def _ask_all(self) -> list[tuple[ModuleMember, Future[ModuleAnswer]]]:
        """Hand the wheel's modules to the workers as their images arrive."""
        asked: list[tuple[ModuleMember, Future[ModuleAnswer]]] = []
        candidates = {module.member.name: module for module in module_members(self.archive.members)}
        has_groups = any(_is_group(module) for module in candidates.values())
        held: list[tuple[ModuleMember, bytes]] = []
        waiting = dict(candidates)
        try:
            members = [module.member for module in candidates.values()]
            hooks = {} if has_groups else {name: _hook(module) for name, module in candidates.items()}
            for image in self.archive.read_images(members, fetchers=self.fetchers, hooks=hooks):
                module = waiting.pop(image.member.name)
                if image.error is not None:
                    self.problems.append(image.error.what)
                    asked.append((module, _known(image.error.problem)))
                elif not image.data:
                    if module.abi is not None:
                        self.problems.append(f"{module.path}: no ELF, Mach-O or PE file")
                elif _may_export_hook(image.data, _loaded_as(module, image.data)):
                    if has_groups:
                        held.append((module, image.data))
                    else:
                        asked += self._ask([(module, image.data)], {}, holes=image.holes)
        except ArchiveError as error:
            self.problems.append(error.what)
            self.certain = False
            asked += [(module, _known(error.problem)) for module in waiting.values()]
        groups = {module.name: data for module, data in held if _is_group(module)}
        for batch in self._batches(held):
            asked += self._ask(batch, groups)
        return asked

    def _ask_for_wholes(
        self, answers: list[tuple[ModuleMember, ModuleAnswer]]
    ) -> list[tuple[ModuleMember, ModuleAnswer]]:
        """Ask again, with all of it, for modules that what was left out kept from being told."""
        for _ in range(READ_ON):
            answers = self._ask_further(answers)
        partial = {module.member.name: module for module, answer in answers if answer.partial}
        if not partial:
            return answers
        asked: list[tuple[ModuleMember, Future[ModuleAnswer]]] = []
        waiting = dict(partial)
        try:
            for image in self.archive.read_images([m.member for m in partial.values()], fetchers=self.fetchers):
                module = waiting.pop(image.member.name)
                if image.error is not None:
                    self.problems.append(image.error.what)
                    asked.append((module, _known(image.error.problem)))
                else:
                    asked += self._ask([(module, image.data)], {})
        except ArchiveError as error:
            self.problems.append(error.what)
            self.certain = False
            asked += [(module, _known(error.problem)) for module in waiting.values()]
        again = {module.path: _told(answer) for module, answer in asked}
        return [(module, again.get(module.path, answer)) for module, answer in answers]

    def _ask_further(self, answers: list[tuple[ModuleMember, ModuleAnswer]]) -> list[tuple[ModuleMember, ModuleAnswer]]:
        """Read on to what was missed, and ask again."""
        missed = {
            self.fetchers.submit(self.archive.read_on, module.member, answer.missed): module
            for module, answer in answers
            if answer.partial and answer.missed is not None
        }
        asked: list[tuple[ModuleMember, Future[ModuleAnswer]]] = []
        for future, module in missed.items():
            try:
                image = future.result()
            except ArchiveError:
                continue  # The whole is asked for next, and says what is wrong.
            if image is not None:
                asked += self._ask([(module, image.data)], {}, holes=image.holes)
        again = {module.path: _told(answer) for module, answer in asked}
        return [(module, again.get(module.path, answer)) for module, answer in answers]

    def _ask_with_libraries(
        self, answers: list[tuple[ModuleMember, ModuleAnswer]]
    ) -> list[tuple[ModuleMember, ModuleAnswer]]:
        """Ask again for modules that call into shared libraries of this wheel, with those beside them."""
        at_hand = {_base(member.name): member for member in self.archive.members if not member.name.endswith("/")}
        needs = {
            module.path: (module, names)
            for module, answer in answers
            if (names := tuple(name for name in answer.missing if name.lower() in at_hand))
        }
        if not needs:
            return answers
        libraries = {name.lower(): at_hand[name.lower()] for _, names in needs.values() for name in names}
        told = dict.fromkeys(needs, "")
        again: dict[str, ModuleAnswer] = {}
        if refusal := _too_much(libraries.values()):
            told = dict.fromkeys(needs, refusal)
        else:
            wanted = [*libraries.values(), *(module.member for module, _ in needs.values())]
            try:
                images = {image.member.name: image.data for image in self.archive.read_images(wanted)}
            except ArchiveError as error:
                self.problems.append(error.what)
                self.certain = False
                return answers
            found = {name: images[at_hand[name.lower()].name] for _, names in needs.values() for name in names}
            kept = {name: data for name, data in found.items() if data}
            ready = [(module, images[module.member.name]) for module, _ in needs.values()]
            asked = [pair for batch in self._batches(ready) for pair in self._ask(batch, kept)]
            again = {module.path: _told(answer) for module, answer in asked}
        return [
            (module, again.get(module.path) or _explained(answer, told.get(module.path, "")))
            for module, answer in answers
        ]

    def _ask(
        self,
        images: Sequence[tuple[ModuleMember, bytes]],
        siblings: dict[str, bytes],
        *,
        holes: tuple[tuple[int, int], ...] = (),
    ) -> Iterator[tuple[ModuleMember, Future[ModuleAnswer]]]:
        questions = [
            ModuleQuestion(
                module=_loaded_as(module, data),
                path=module.path,
                target=self.target.version,
                image=data,
                holes=holes,
                stable_abi=self.stable_abi or module.abi in ("abi3", "abi3t"),
            )
            for module, data in images
        ]
        return zip((module for module, _ in images), self.readers.ask(questions, siblings), strict=True)

    def _batches(self, held: Sequence[tuple[ModuleMember, bytes]]) -> Iterator[Sequence[tuple[ModuleMember, bytes]]]:
        """Deal modules that share siblings out, so that each worker is handed the siblings once."""
        count = min(self.readers.workers, len(held))
        for start in range(count):
            yield held[start::count]


def _base(name: str) -> str:
    """Return a member's file name as every system's loader would find it: Windows ignores its case."""
    return name.rpartition("/")[2].lower()


def _too_much(libraries: Iterable[ArchiveMember]) -> str:
    """Say why libraries are not read, or return nothing."""
    every = tuple(libraries)
    size, compressed = sum(member.size for member in every), sum(member.compressed for member in every)
    if size <= LIBRARIES and compressed <= LIBRARIES_COMPRESSED:
        return ""
    return f"; {', '.join(_base(member.name) for member in every)}: {size >> 20} MiB, too large to be read"


def _explained(answer: ModuleAnswer, more: str) -> ModuleAnswer:
    return replace(answer, binary=replace(answer.binary, how=answer.binary.how + more)) if more else answer


def _known(problem: str) -> Future[ModuleAnswer]:
    """Return the answer for a module that could not be fetched."""
    answer: Future[ModuleAnswer] = Future()
    answer.set_result(ModuleAnswer(binary=_undetermined(problem)))
    return answer


def _told(answer: Future[ModuleAnswer]) -> ModuleAnswer:
    try:
        return answer.result()
    except CancelledError:
        return ModuleAnswer(binary=_undetermined("the inspection was ended"), died=Died(how=TaskEnding.CANCELLED))


def _is_group(module: ModuleMember) -> bool:
    return module.name.endswith(MYPYC_GROUP)


def _hook(module: ModuleMember) -> str:
    """Return the name of a module's init hook, or nothing where it is encoded (PEP 489) or may be another."""
    last = module.name.rpartition(".")[2]
    return hook_name(module.name, Hook.INIT) if last.isascii() and module.variant_of is None else ""


def _loaded_as(module: ModuleMember, image: bytes) -> str:
    """Return the name that a module is loaded under: that of which it is a variant, where it has that one's hook."""
    if module.variant_of is None or _may_export_hook(image, module.name):
        return module.name
    return module.variant_of


def _may_export_hook(image: bytes, name: str) -> bool:
    """Tell whether the image can export the module's init hook: its name stands in the string table, unbroken.

    Mach-O's export trie splits names, so only the prefix is asked for there. PEP 489 encodes other names.
    """
    last = name.rpartition(".")[2]
    if not last.isascii() or not image.startswith((b"\x7fELF", b"MZ")):
        return b"PyInit" in image or b"PyModExport" in image
    return f"PyInit_{last}\0".encode() in image or f"PyModExport_{last}\0".encode() in image


def _undetermined(how: str) -> ModuleBinary:
    return ModuleBinary(declaration=GilDeclaration.UNDETERMINED, how=how)
