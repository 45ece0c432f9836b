"""Whether the tree holds what a generated C file was made from."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from ftaudit.source import Room
from ftaudit.source.build import BuildContext, FactKind
from ftaudit.source.c import CUnit

_BANNER: Final = 400
"""Characters in which a generator names itself."""

_RUNS: Final = {"SWIG": FactKind.SWIG, "f2py": FactKind.F2PY}
"""What else names itself in the banner, and what shows that the build runs it."""


def has_source_in_tree(unit: CUnit) -> bool:
    """Return whether the tree holds what a generated file was made from, so that the rules for that report it."""
    banner = unit.text[:_BANNER]
    if "Cython" in banner:
        names = {PurePosixPath(unit.path).with_suffix(suffix).name for suffix in (".pyx", ".pyx.in", ".py")}
        return any(PurePosixPath(path).name in names for path in unit.context.paths)
    build = unit.context.of(Room.BUILD, BuildContext)
    return any(word in banner and any(True for _ in build.of(kind)) for word, kind in _RUNS.items())
