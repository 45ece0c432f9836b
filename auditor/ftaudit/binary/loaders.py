"""Which loader a file's first bytes call for."""

from __future__ import annotations

from ftaudit.binary import elf, macho, pe
from ftaudit.binary.budget import Budget
from ftaudit.binary.image import Image
from ftaudit.binary.process import SECOND_IMAGE
from ftaudit.errors import ImageError


def load_images(data: bytes, budget: Budget, *, beside: int = 0) -> tuple[Image, ...]:
    """Return the images of a file: one, or one for each slice of a universal one.

    `beside` other images are in the process already. Raise `ImageError`.
    """
    limit, base = budget.memory, SECOND_IMAGE * beside
    if data.startswith(b"\x7fELF"):
        return (elf.load(data, limit=limit, base=base or elf.BASE),)
    if data[:4] in macho.MAGICS:
        return macho.load(data, limit=limit, base=base or macho.BASE)
    if data.startswith(b"MZ"):
        return (pe.load(data, limit=limit, base=base or pe.BASE),)
    raise ImageError("this file is none of ELF, Mach-O and PE")
