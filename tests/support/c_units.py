"""C and C++ units of texts, as the scan would make them."""

from __future__ import annotations

from ftaudit.rule import Language
from ftaudit.source.base import Room, SourceFile, TreeContext
from ftaudit.source.c import READER, CUnit
from ftaudit.target import parse_target


def unit(text: str, *, language: Language = Language.C, target: str = "3.14t", **others: str) -> CUnit:
    """Return the unit of a text, in a tree with further C files."""
    files = {"a.c": text, **{f"{name}.h": other for name, other in others.items()}}
    sources = [
        SourceFile(path=path, language=language, text=body, target=parse_target(target)) for path, body in files.items()
    ]
    surveys = {source.path: found for source in sources if (found := READER.survey(source)) is not None}
    return READER.parse(sources[0], TreeContext(rooms={Room.C: READER.gather(surveys)}))
