"""A local project (`-e .`, `./lib`) is never built: its files show whether it would contain compiled code."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ftaudit.lockfiles.trees import find_compiled
from ftaudit.model import Gap, GapKind, IndexFacts, Status, WheelKind

PROJECT: Final = ("pyproject.toml", "setup.py")


def look_at_tree(folder: Path) -> IndexFacts:
    """Return index facts of a source tree: pure if nothing in it is compiled, otherwise a failure with the reason.

    Reads names, and the text of the build configuration; runs nothing.
    """
    if not folder.is_dir():
        return _unknown(f"{folder} is not a folder")
    if not any((folder / name).is_file() for name in PROJECT):
        return _unknown(f"{folder} holds neither {' nor '.join(PROJECT)}; installers reject it")
    if (told := find_compiled(folder)) is not None:
        return _unknown(told)
    return IndexFacts(status=Status.DONE, origin="source tree", kind=WheelKind.PURE)


def _unknown(reason: str) -> IndexFacts:
    return IndexFacts(status=Status.FAILED, reason=Gap(kind=GapKind.SOURCE_TREE, detail=reason), origin="source tree")
