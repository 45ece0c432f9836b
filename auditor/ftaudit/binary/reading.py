"""The extension modules of one open wheel become answers: images go to the workers as they arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, field, replace
from typing import Final

from ftaudit.binary.build_markers import is_python_library
from ftaudit.binary.module_candidates import find_candidates
from ftaudit.binary.questions import ModuleAnswer, ModuleQuestion, ModuleReaders
from ftaudit.cpython.hooks import hook_label, hook_name, module_of_label
from ftaudit.errors import ArchiveError
from ftaudit.model import GilDeclaration, Hook, ModuleBinary
from ftaudit.target import Target
from ftaudit.wheel import ArchiveMember, ModuleMember, WheelArchive, is_library, other_member
from ftaudit.workers import Died, TaskEnding

MYPYC_GROUP: Final = "__mypyc"
"""The suffix of the modules that mypyc's shims delegate to (mypyc/common.py, `shared_lib_name`)."""
EASILY_PARSED: Final = 32 << 20
"""Bytes of an image that mentions hooks up to which it is parsed to see what it exports."""
MOST_HOOKS: Final = 8
"""How many init hooks are followed in an image without one of its own name."""
READ_ON: Final = 2
"""How often missing code of a module's initialization is read, before the module is read whole."""


@dataclass(slots=True)
class WheelReader:
    """Reads the modules of one wheel."""

    readers: ModuleReaders
    fetchers: Executor
    archive: WheelArchive
    target: Target
    stable_abi: bool = False
    """Whether the wheel's tags claim a stable ABI, for which the symbols that modules take from CPython are kept."""
    problems: list[str] = field(default_factory=list)
    """The faults of members, one sentence each."""
    certain: bool = True
    """Whether the answers are the same at a later time."""
    _hookless: list[ModuleMember] = field(default_factory=list)
    """Modules by their names whose images do not mention a hook."""
    _held_back: dict[str, ModuleMember] = field(default_factory=dict)
    """Large libraries that were not read so far, by their file names."""
    _suspected: set[str] = field(default_factory=set)
    """File names of those that may hold the hook of a module."""

    def read(self) -> list[tuple[ModuleMember, ModuleBinary]]:
        """Return what each extension module declares, sorted by its place in the wheel.

        What was not read is an answer too: `undetermined`, with the reason.
        """
        candidates = find_candidates(self.archive, fetchers=self.fetchers)
        self._held_back = {held.path: held for held in candidates.held_back}
        answers = [(module, _told(answer)) for module, answer in self._ask_all(candidates.modules)]
        while more := self._unexplained():
            answers += [(module, _told(answer)) for module, answer in self._ask_all(more)]
        answers = self._ask_for_wholes(answers)
        answers = self._ask_for_other_hooks(answers)
        answers = self._ask_owners(answers)
        answers = self._ask_with_libraries(answers)
        answers += self._ask_the_rest()
        limits = self.archive.limits
        files = f"more than {limits.probes} large files with unusual names, or {_mib(limits.others)} of small ones"
        answers += _left_out(candidates.left_out, files)
        if any(answer.lost for _, answer in answers):
            self.certain = False
        modules = ((module, answer.binary) for module, answer in answers if answer.is_module)
        return sorted(modules, key=lambda pair: (pair[0].path, pair[0].name))

    def _ask_all(self, modules: Sequence[ModuleMember]) -> list[tuple[ModuleMember, Future[ModuleAnswer]]]:
        """Pass modules to the workers as their images arrive; those without a hook are remembered."""
        asked: list[tuple[ModuleMember, Future[ModuleAnswer]]] = []
        candidates = {module.member.name: module for module in modules}
        has_groups = any(_is_group(module) for module in candidates.values())
        held: list[tuple[ModuleMember, bytes]] = []
        waiting = dict(candidates)
        try:
            members = [module.member for module in candidates.values()]
            hooks = {} if has_groups else {name: _hook(module) for name, module in candidates.items()}
            for image in self.archive.read_images(members, fetchers=self.fetchers, hooks=hooks):
                module = waiting.pop(image.member.name)
                if image.error is not None:
                    if module.by_import or is_library(module.path) or self.archive.starts_like_image(module.member):
                        self.problems.append(image.error.what)
                        asked.append((module, _known(image.error.problem)))
                elif not image.data:
                    if module.abi is not None and module.by_import:
                        self.problems.append(f"{module.path}: not an ELF, Mach-O, or PE file")
                elif not self._mentions_hook(module, image.data):
                    self._hookless.append(module)
                elif has_groups and module.by_import:
                    held.append((module, image.data))
                else:
                    asked += self._ask([(module, image.data)], {}, holes=image.holes)
        except ArchiveError as error:
            self.problems.append(error.what)
            self.certain = False
            asked += [(module, _known(error.problem)) for module in waiting.values() if module.by_import]
            others = [module for module in waiting.values() if not module.by_import]
            asked += [(module, _known(error.problem)) for module in _together(others)]
        groups = {module.name: data for module, data in held if _is_group(module)}
        for batch in self._batches(held):
            asked += self._ask(batch, groups)
        return asked

    def _mentions_hook(self, module: ModuleMember, image: bytes) -> bool:
        """Return whether an image may export a hook, and keep in mind which libraries it is linked with."""
        has_hook = _has_hook_name(image, _loaded_as(module, image))
        if self._held_back and not has_hook and (module.by_import or _base(module.path) in self._suspected):
            lower = image.lower()
            names = {_base(path) for path in self._held_back}
            self._suspected |= {name for name in names if name.encode() in lower}
        return has_hook

    def _unexplained(self) -> list[ModuleMember]:
        """Return the libraries held back that may hold the hook of a module that has none itself; each once."""
        found = [held for held in self._held_back.values() if _base(held.path) in self._suspected]
        for held in found:
            del self._held_back[held.path]
        return found

    def _ask_the_rest(self) -> list[tuple[ModuleMember, ModuleAnswer]]:
        """Ask for the libraries that nothing needed so far: code may load them as modules all the same."""
        rest = sorted(self._held_back.values(), key=lambda held: held.member.compressed)
        limits = self.archive.limits
        read: list[ModuleMember] = []
        size = compressed = 0
        for held in rest:
            size, compressed = size + held.member.size, compressed + held.member.compressed
            if size > limits.libraries_inflated or compressed > limits.libraries:
                break
            read.append(held)
        answers = [(module, _told(answer)) for module, answer in self._ask_all(read)]
        answers = self._ask_for_other_hooks(self._ask_for_wholes(answers))
        bounds = f"{_mib(limits.libraries)} of libraries, or {_mib(limits.libraries_inflated)} unpacked"
        return [*answers, *_left_out(rest[len(read) :], f"more than {bounds}")]

    def _ask_for_other_hooks(
        self, answers: list[tuple[ModuleMember, ModuleAnswer]]
    ) -> list[tuple[ModuleMember, ModuleAnswer]]:
        """Ask for each further hook that an image exports: a loader that receives its name calls it."""
        wanted = [more for module, answer in answers for more in _other_hooks(module, answer)]
        kept = [
            (module, answer)
            for module, answer in answers
            if module.by_import or not answer.hooks or hook_label(_last(module)) in answer.hooks
        ]
        read = [more for more in wanted if more.loaded_as]
        beyond = [
            (more, ModuleAnswer(binary=_undetermined(f"more than {MOST_HOOKS} init hooks")))
            for more in wanted
            if not more.loaded_as
        ]
        return [*kept, *self._ask_again([(more, more.member) for more in read]), *beyond]

    def _ask_owners(self, answers: list[tuple[ModuleMember, ModuleAnswer]]) -> list[tuple[ModuleMember, ModuleAnswer]]:
        """Ask for modules without their own hook whose hook a library of the wheel exports: the loader finds it.

        `dlsym` looks through what an image is linked with, and Windows follows forwarded exports.
        """
        owners = {label: module.member for module, answer in answers for label in answer.hooks}
        without = [module for module, answer in answers if hook_label(_last(module)) not in answer.hooks]
        shims = {
            module.path: (replace(module, loaded_as=_last(module)), owners[label])
            for module in (*without, *self._hookless)
            if module.by_import and not module.loaded_as and (label := hook_label(_last(module))) in owners
        }
        kept = [(module, answer) for module, answer in answers if module.loaded_as or module.path not in shims]
        return [*kept, *self._ask_again(list(shims.values()))]

    def _ask_again(
        self, wanted: Sequence[tuple[ModuleMember, ArchiveMember]]
    ) -> list[tuple[ModuleMember, ModuleAnswer]]:
        """Ask for modules by their names, with the image of the member that holds the hook of each."""
        if not wanted:
            return []
        try:
            members = list({member.name: member for _, member in wanted}.values())
            images = {image.member.name: image.data for image in self.archive.read_images(members)}
        except ArchiveError as error:
            self.problems.append(error.what)
            self.certain = False
            return [(module, _told(_known(error.problem))) for module, _ in wanted]
        asked = [
            pair
            for module, member in wanted
            for pair in self._ask([(replace(module, member=member), images.get(member.name, b""))], {})
        ]
        return [(module, _told(answer)) for module, answer in asked]

    def _ask_for_wholes(
        self, answers: list[tuple[ModuleMember, ModuleAnswer]]
    ) -> list[tuple[ModuleMember, ModuleAnswer]]:
        """Ask again, with the whole image, for modules whose holes prevented an answer."""
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
        """Read the missing data, and ask again."""
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
        """Ask again for modules that call into shared libraries of this wheel, with those libraries loaded."""
        at_hand = {_base(member.name): member for member in self.archive.members if not member.name.endswith("/")}
        needs = {
            _key(module): (module, names)
            for module, answer in answers
            if (names := tuple(name for name in answer.missing if name.lower() in at_hand))
        }
        if not needs:
            return answers
        libraries = {name.lower(): at_hand[name.lower()] for _, names in needs.values() for name in names}
        told = dict.fromkeys(needs, "")
        again: dict[tuple[str, str], ModuleAnswer] = {}
        if refusal := self._too_much(libraries.values()):
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
            for name, data in kept.items():
                member = at_hand[name.lower()]
                held = self._held_back.get(other_member(member).path)
                if held is not None and held.member is member and not self._mentions_hook(held, data):
                    del self._held_back[held.path]
            ready = [(module, images[module.member.name]) for module, _ in needs.values()]
            asked = [pair for batch in self._batches(ready) for pair in self._ask(batch, kept)]
            again = {_key(module): _told(answer) for module, answer in asked}
        return [
            (module, again.get(_key(module)) or _explained(answer, told.get(_key(module), "")))
            for module, answer in answers
        ]

    def _too_much(self, libraries: Iterable[ArchiveMember]) -> str:
        """Return why libraries are not read, or nothing."""
        every = tuple(libraries)
        size, compressed = sum(member.size for member in every), sum(member.compressed for member in every)
        if size <= self.archive.limits.libraries_inflated and compressed <= self.archive.limits.libraries:
            return ""
        return f"; {', '.join(_base(member.name) for member in every)}: {_mib(size)}, too large to be read"

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
        named = (
            module if module.variant_of is None else replace(module, loaded_as=question.module)
            for (module, _), question in zip(images, questions, strict=True)
        )
        return zip(named, self.readers.ask(questions, siblings), strict=True)

    def _batches(self, held: Sequence[tuple[ModuleMember, bytes]]) -> Iterator[Sequence[tuple[ModuleMember, bytes]]]:
        """Distribute modules that share siblings, so that each worker receives the siblings once."""
        count = min(self.readers.workers, len(held))
        for start in range(count):
            yield held[start::count]


def _left_out(modules: Sequence[ModuleMember], limits: str) -> list[tuple[ModuleMember, ModuleAnswer]]:
    """Return one answer for files that were not read because of limits, or none if there is no such file."""
    answer = ModuleAnswer(binary=_undetermined(f"not read: the wheel has {limits}"))
    return [(module, answer) for module in _together(modules)]


def _together(modules: Sequence[ModuleMember]) -> list[ModuleMember]:
    """Return one module that stands for all of them; nothing without modules."""
    if not modules:
        return []
    first, more = modules[0], len(modules) - 1
    return [
        replace(
            first, name=f"{first.name} (and {more} more {'file' if more == 1 else 'files'})" if more else first.name
        )
    ]


def _mib(size: int) -> str:
    return f"{size >> 20} MiB"


def _key(module: ModuleMember) -> tuple[str, str]:
    return module.path, module.name


def _base(name: str) -> str:
    """Return a member's file name in a form for every system's loader: Windows ignores its case."""
    return name.rpartition("/")[2].lower()


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
    """Return the name of a module's init hook, or nothing if it may be another one."""
    return hook_name(module.name, Hook.INIT) if module.by_import and module.variant_of is None else ""


def _other_hooks(module: ModuleMember, answer: ModuleAnswer) -> Iterator[ModuleMember]:
    """Yield the modules that a loader can make from an image without a hook of its file's name.

    Other hooks of a module that has its own are not requested: no import calls them, and tools with several modules
    in one image (PyO3, Cython) export hooks that nothing calls.
    """
    if hook_label(_last(module)) in answer.hooks:
        return
    if len(answer.hooks) > MOST_HOOKS and is_python_library(_base(module.path)):
        return
    alone = len(answer.hooks) == 1 and not module.by_import
    for label in answer.hooks[:MOST_HOOKS]:
        if (name := module_of_label(label)) is not None:
            yield replace(module, name=module.name if alone else f"{module.name} (PyInit{label})", loaded_as=name)
    if len(answer.hooks) > MOST_HOOKS:
        yield replace(module, name=f"{module.name} ({len(answer.hooks) - MOST_HOOKS} more hooks)")


def _last(module: ModuleMember) -> str:
    """Return the last part of the name that an answer for a module is about."""
    return module.loaded_as.rpartition(".")[2] or module.last


def _loaded_as(module: ModuleMember, image: bytes) -> str:
    """Return the name that a module is loaded under: its base module's name if it is a variant with that hook."""
    if module.loaded_as or not module.by_import:
        return module.loaded_as or module.last
    if module.variant_of is None or _exports_hook(image, module.name):
        return module.name
    return module.variant_of


def _has_hook_name(image: bytes, name: str) -> bool:
    """Return whether the name of a hook is in an image: of this module, or else of any.

    In a large image, the names of other hooks count only if a string begins with one: tables of symbols may share
    the ends of strings, but it takes long to parse an image of hundreds of megabytes for that.
    """
    if len(image) <= EASILY_PARSED or not image.startswith((b"\x7fELF", b"MZ")):
        return b"PyInit" in image or b"PyModExport" in image
    return _exports_hook(image, name) or b"\0PyInit" in image or b"\0PyModExport" in image


def _exports_hook(image: bytes, name: str) -> bool:
    """Return whether the name of one of a module's hooks is in an image, as in a table of its symbols."""
    return any(f"{hook_name(name, hook)}\0".encode() in image for hook in Hook)


def _undetermined(how: str) -> ModuleBinary:
    return ModuleBinary(declaration=GilDeclaration.UNDETERMINED, how=how)
