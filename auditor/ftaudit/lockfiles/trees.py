"""Whether a local project would contain compiled code, from its files: nothing is built or run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

COMPILED: Final = frozenset(
    {".c", ".cc", ".cpp", ".cxx", ".m", ".mm", ".pyx", ".rs", ".f", ".f90", ".f95", ".cu", ".so", ".pyd", ".dylib"}
)
"""Suffixes of compiled files, and of files that a build compiles."""
BUILD_FILES: Final = frozenset({"Cargo.toml", "CMakeLists.txt", "meson.build"})
SKIPPED: Final = frozenset({"__pycache__", "node_modules", "venv", "env", "site-packages"})
COMPILERS: Final = ("ext_modules", "cythonize", "mypycify", "cffi_modules", "rust_extensions")
"""Words in a `setup.py`, `setup.cfg`, or `pyproject.toml` that name something to compile."""
MOST_FILES: Final = 50_000


def find_compiled(folder: Path) -> str | None:
    """Return the compiled part of a source tree, as a phrase, or `None`.

    Reads names, and the text of the build configuration. A tree that is too large to read counts as compiled.
    """
    for number, path in enumerate(_files(folder)):
        if number >= MOST_FILES:
            return f"{folder} has more than {MOST_FILES} files: not all of them were read"
        if path.suffix.lower() in COMPILED or path.name in BUILD_FILES:
            return f"a source tree with compiled parts ({path.relative_to(folder)}), and nothing is built"
    for name in ("setup.py", "setup.cfg", "pyproject.toml"):
        word = _compiles(folder / name)
        if word:
            return f"a source tree whose {name} compiles something ({word}), and nothing is built"
    return None


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders[:] = [
            name
            for name in folders
            if name not in SKIPPED and not name.startswith(".") and not Path(parent, name, "pyvenv.cfg").exists()
        ]
        for name in names:
            yield Path(parent, name)


def _compiles(path: Path) -> str | None:
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError:
        return None
    return next((word for word in COMPILERS if word in text), None)
