"""Whether a local project would contain compiled code, from its files: nothing is built or run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ftaudit.lockfiles.source_builds import Build, SourceFiles, is_build_file, is_compiled, judge_build

SKIPPED: Final = frozenset({"__pycache__", "node_modules", "venv", "env", "site-packages"})
MOST_FILES: Final = 50_000
MOST_TEXT: Final = 1_000_000
"""Size limit of a build file, in characters."""


def find_compiled(folder: Path) -> str | None:
    """Return the compiled part of a source tree, as a phrase, or `None`.

    Reads names, and the text of the build configuration. A tree that is too large to read counts as compiled, and so
    does one whose build could compile something.
    """
    source = SourceFiles()
    for number, path in enumerate(_files(folder)):
        relative = path.relative_to(folder)
        if number >= MOST_FILES:
            return f"{folder} has more than {MOST_FILES} files: not all of them were read"
        if is_compiled(relative):
            return f"a source tree with compiled code ({relative}), which ftaudit does not build"
        if len(relative.parts) == 1 and is_build_file(path.name) and (text := _text(path)) is not None:
            source.texts[path.name] = text
    try:
        build = judge_build(source)
    except ValueError as error:
        return f"a source tree whose pyproject.toml cannot be read ({error}), and ftaudit builds nothing"
    if build is Build.PURE:
        return None
    return "a source tree whose build files do not rule out compiled code, and ftaudit builds nothing"


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders[:] = [
            name
            for name in folders
            if name not in SKIPPED and not name.startswith(".") and not Path(parent, name, "pyvenv.cfg").exists()
        ]
        for name in names:
            yield Path(parent, name)


def _text(path: Path) -> str | None:
    """Return the text of a file; `None` if it cannot be read or is not a regular file."""
    try:
        return path.read_text("utf-8", errors="replace")[:MOST_TEXT] if path.is_file() else None
    except OSError:
        return None
