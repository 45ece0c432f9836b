"""What an extension module declares about the GIL: the answer for one file, and how it was reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ftaudit.binary import elf, macho, pe
from ftaudit.binary.budget import Budget
from ftaudit.binary.hook import Ending, Run, Subject, search
from ftaudit.binary.image import AARCH64, X86_64, Image
from ftaudit.binary.markers import file_name_build, find_build
from ftaudit.binary.objects import Layout
from ftaudit.errors import ImageError
from ftaudit.model import GilDeclaration, ModuleBinary

Siblings = Mapping[str, bytes] | Callable[[str], "bytes | None"]


def read_declaration(
    image: bytes,
    *,
    module_name: str,
    path: str,
    target_version: tuple[int, int],
    siblings: Siblings | None = None,
    budget: Budget | None = None,
) -> ModuleBinary:
    """Return what the extension module declares, without running it.

    `module_name` is its dotted import name, `path` its place in the wheel, and `target_version` the CPython that
    would import it. `siblings` gives other extension modules of the same wheel by dotted import name: mypyc's
    modules hand over to one of them.

    A pure function of its arguments. Raise `ImageError` for a malformed image; whatever else could not be found
    out is `undetermined`, with the reason in `how`.
    """
    limits = budget or Budget()
    images = load_images(image, limits)
    answers = [_read_one(i, module_name, path, target_version, siblings, limits) for i in images]
    return answers[0]


def load_images(data: bytes, budget: Budget) -> tuple[Image, ...]:
    """Return the images of a file: one, or one for each slice of a universal one. Raise `ImageError`."""
    if data.startswith(b"\x7fELF"):
        return (elf.load(data, limit=budget.memory),)
    if data[:4] in macho.MAGICS:
        return macho.load(data, limit=budget.memory)
    if data.startswith(b"MZ"):
        return (pe.load(data, limit=budget.memory),)
    raise ImageError("this file is none of ELF, Mach-O and PE")


def hook_names(module_name: str) -> tuple[str, str]:
    """Return the names of the hooks that CPython looks for: `PyModExport_…` (3.15) and `PyInit_…` (PEP 489, 793)."""
    last = module_name.rpartition(".")[2]
    if last.isascii():
        return f"PyModExport_{last}", f"PyInit_{last}"
    encoded = last.encode("punycode").decode().replace("-", "_")
    return f"PyModExportU_{encoded}", f"PyInitU_{encoded}"


def _read_one(
    image: Image,
    module_name: str,
    path: str,
    version: tuple[int, int],
    siblings: Siblings | None,
    budget: Budget,
) -> ModuleBinary:
    build, evidence = find_build(image.imports, image.libraries)

    def answer(declaration: GilDeclaration, how: str, multi_phase: bool | None = None) -> ModuleBinary:
        return ModuleBinary(
            declaration=declaration,
            how=how,
            format=image.format,
            machine=image.machine,
            free_threaded_build=build,
            free_threaded_evidence=evidence,
            multi_phase=multi_phase,
        )

    if image.machine not in (X86_64, AARCH64):
        return answer(GilDeclaration.UNDETERMINED, f"no emulation of {image.machine}")
    export, init = hook_names(module_name)
    hook = export if version >= (3, 15) and export in image.exports else init
    if hook not in image.exports:
        return answer(GilDeclaration.UNDETERMINED, f"exports no {init}")
    named = file_name_build(path)
    free_threaded = build if build is not None else named if named is not None else True
    subject = Subject(
        image=image,
        hook=hook,
        module_name=module_name,
        layout=Layout(free_threaded, version),
        budget=budget,
        sibling=lambda name: None,
    )
    best, runs = search(subject)
    declaration, how, multi_phase = judge(best, len(runs))
    return answer(declaration, how, multi_phase)


def judge(best: Run, tries: int) -> tuple[GilDeclaration, str, bool | None]:
    """Turn the best run into the answer, how it was reached, and whether the initialisation is multi-phase."""
    again = f", on try {tries}" if tries > 1 else ""
    if best.ending is Ending.FAILED:
        error = f" ({best.errors[-1]})" if best.errors else ""
        return GilDeclaration.UNDETERMINED, f"{best.problem}{error} in {tries} tries", None
    if best.slots is not None:
        slots = best.slots
        if slots.problem:
            return GilDeclaration.UNDETERMINED, f"CPython refuses its definition: {slots.problem}", True
        if slots.gil is None:
            return GilDeclaration.UNDECLARED, f"emulated: a definition without Py_mod_gil{again}", True
        if slots.gil == 0:
            return GilDeclaration.USED, f"emulated: Py_mod_gil = USED{again}", True
        if slots.create and best.creates_module is False:
            how = "emulated: Py_mod_gil = NOT_USED, but its create slot makes no module object"
            return GilDeclaration.USED, how, True
        if slots.create and best.creates_module is None:
            how = "Py_mod_gil = NOT_USED, but what its create slot makes was not reached"
            return GilDeclaration.UNDETERMINED, how, True
        return GilDeclaration.NOT_USED, f"emulated: Py_mod_gil = NOT_USED{again}", True
    if best.origin == "cffi":
        return (
            GilDeclaration.NOT_USED,
            "emulated: hand-over to _cffi_backend, which calls SetGIL for it",
            False,
        )
    if best.gil is None:
        return (
            GilDeclaration.UNDECLARED,
            f"emulated: single-phase without PyUnstable_Module_SetGIL{again}",
            False,
        )
    if best.gil == 0:
        return GilDeclaration.USED, f"emulated: PyUnstable_Module_SetGIL(USED){again}", False
    return GilDeclaration.NOT_USED, f"emulated: PyUnstable_Module_SetGIL(NOT_USED){again}", False
