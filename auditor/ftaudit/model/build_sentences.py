"""The sentences about what a build would declare."""

from __future__ import annotations

from typing import Final

from ftaudit.model.reasons import InSource
from ftaudit.model.words import GilDeclaration

DECLARES: Final = {
    GilDeclaration.NOT_USED: "declares that the GIL is not used",
    GilDeclaration.USED: "declares that the GIL is used",
    GilDeclaration.UNDECLARED: "declares nothing about the GIL",
    GilDeclaration.UNDETERMINED: "could not be determined",
}
"""What a module or a source declares."""
WOULD: Final = {
    GilDeclaration.NOT_USED: "would leave the GIL off",
    GilDeclaration.USED: "would turn the GIL on",
    GilDeclaration.UNDECLARED: "would turn the GIL on",
    GilDeclaration.UNDETERMINED: "may or may not leave the GIL off",
}
"""What a build with that declaration does."""


def in_source(found: InSource) -> str:
    """Return what an sdist declares, with the first place that shows it."""
    if found.declares is GilDeclaration.UNDETERMINED and not (found.places or found.unread):
        return f"{found.sdist}: ftaudit found no declaration that it recognizes"
    text = DECLARES[found.declares]
    if found.places:
        more = f" and {len(found.places) - 1} more" if len(found.places) > 1 else ""
        text = f"{text} ({found.places[0]}{more})"
    unread = f", and {found.unread} of its files could not be read" if found.unread else ""
    return f"{found.sdist}: {text}{unread}"
