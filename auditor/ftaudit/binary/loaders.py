"""The loader that a file's first bytes call for."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ftaudit.binary.emulator.budget import Budget
from ftaudit.binary.emulator.emulated_process import IMAGE_SPACE, SECOND_IMAGE
from ftaudit.binary.framework import find_framework
from ftaudit.binary.image import elf, macho, pe
from ftaudit.binary.image.mapped import Image
from ftaudit.errors import ImageError


def load_images(
    data: bytes, budget: Budget, *, beside: int = 0, every_export: bool = False, holes: elf.Holes = ()
) -> tuple[Image, ...]:
    """Return the images of a file: one, or one for each slice of a universal one.

    `beside` lists the other images in the process; `every_export` lists more than init hooks; `holes` are ranges
    of an ELF file that are not available. Raise `ImageError`.
    """
    limit, base = budget.memory, SECOND_IMAGE + IMAGE_SPACE * beside if beside else 0
    if data.startswith(b"\x7fELF"):
        return (elf.load(data, limit=limit, base=base or elf.BASE, every_export=every_export, holes=holes),)
    if data[:4] in macho.MAGICS:
        return macho.load(data, limit=limit, base=base or macho.BASE, every_export=every_export)
    if data.startswith(b"MZ"):
        return (pe.load(data, limit=limit, base=base or pe.BASE, every_export=every_export),)
    raise ImageError("not an ELF, Mach-O, or PE file")


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedLibrary:
    """A plain shared library that modules of its wheel call into, with all that it exports."""

    image: Image
    framework: tuple[str, str | None]
    """The framework of the modules that it holds, as `find_framework` returns it."""


@functools.lru_cache(maxsize=2)
def load_library(data: bytes, budget: Budget, machine: str, beside: int) -> SharedLibrary | None:
    """Return the image for a machine of a plain shared library, or `None` without one.

    Remembered, for many modules of a wheel may lead to one large library. Raise `ImageError`.
    """
    slices = load_images(data, budget, beside=beside, every_export=True)
    image = next((image for image in slices if image.machine == machine), None)
    return None if image is None else SharedLibrary(image=image, framework=find_framework(image, ""))
