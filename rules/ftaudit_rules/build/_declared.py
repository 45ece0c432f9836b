"""Where a project declares that its modules do not use the GIL, in every language and in its build."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from packaging.version import Version

from ftaudit.source import Project, Room
from ftaudit.source.build import BuildContext, FactKind, find_nanobind_modules
from ftaudit.source.c import CTree
from ftaudit.source.cython import CythonContext
from ftaudit.source.rust import RustContext, resolved_pyo3

_PYO3_DECLARES: Final = Version("0.28")
"""From this version on a PyO3 module declares by default that it does not use the GIL (PyO3's changelog, #5564)."""


def declared_not_used(project: Project) -> Iterator[tuple[str, int]]:
    """Yield where the project declares no use of the GIL: C and C++ first, then Rust, Cython and the build."""
    yield from sorted(project.context.of(Room.C, CTree).not_used.items())
    rust = project.context.of(Room.RUST, RustContext)
    yield from sorted(rust.not_used.items())
    for path, line in sorted(rust.silent.items()):
        version = resolved_pyo3(project.context, path)
        if version is not None and version >= _PYO3_DECLARES and path not in rust.not_used:
            yield path, line
    for module in project.context.of(Room.CYTHON, CythonContext).modules:
        if module.declares:
            yield module.path, module.line
    build = project.context.of(Room.BUILD, BuildContext)
    silent = set(find_nanobind_modules(build))
    for fact in build.of(FactKind.DECLARES, FactKind.NANOBIND, FactKind.F2PY, FactKind.SWIG):
        match fact.kind:
            case FactKind.DECLARES:
                declares = fact.value == "true"
            case FactKind.NANOBIND:
                declares = fact not in silent
            case _:
                declares = fact.settled
        if declares:
            yield fact.path, fact.line
