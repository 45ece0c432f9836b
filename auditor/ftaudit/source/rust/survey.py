"""What other files need to know about a Rust file: its GIL declaration and the types that it puts behind locks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ftaudit.source.base import Survey

_COMMENT: Final = re.compile(r"//[^\n]*")
_NOT_USED: Final = re.compile(
    r"#\[\s*(?:\w+::)*pymodule\s*\([^\]]*\bgil_used\s*=\s*false\b|\.\s*gil_used\s*\(\s*false\s*\)"
    r"|\bvalue\s*:[^,;{}]*\bPy_MOD_GIL_NOT_USED\b|\bPyUnstable_Module_SetGIL\s*\([^;]*\bPy_MOD_GIL_NOT_USED\b"
)
_SILENT: Final = re.compile(r"#\[\s*(?:\w+::)*pymodule\b(?![^\]]*\b(?:gil_used|submodule)\b)[^\]]*\]")
_GUARDED: Final = re.compile(r"\b(?:Mutex|RwLock|ReentrantMutex)\s*<\s*(?:\w+::)*([A-Z]\w*)\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class RustContext:
    """The Rust files of a tree."""

    not_used: Mapping[str, int] = field(default_factory=dict)
    """The lines where modules declare that they do not use the GIL, by path."""
    silent: Mapping[str, int] = field(default_factory=dict)
    """The lines of PyO3 modules without a declaration: the meaning depends on PyO3's version."""
    guarded: frozenset[str] = frozenset()
    """The types that some file keeps in a `Mutex` or `RwLock`."""


def survey_rust(text: str) -> Survey | None:
    """Return what a file declares, by a quick scan without a grammar; `None` for nothing."""
    if "pymodule" not in text and "Py_MOD_GIL_NOT_USED" not in text and "Mutex" not in text and "RwLock" not in text:
        return None
    code = _COMMENT.sub("", text)
    said, silent = _NOT_USED.search(code), _SILENT.search(code)
    return {
        "not_used": code.count("\n", 0, said.start()) + 1 if said else 0,
        "silent": code.count("\n", 0, silent.start()) + 1 if silent else 0,
        "guarded": sorted(set(_GUARDED.findall(code))),
    }


def gather_rust(surveys: Mapping[str, Survey]) -> RustContext:
    """Return the tree's context from the surveys by path."""
    return RustContext(
        not_used={path: survey["not_used"] for path, survey in surveys.items() if survey["not_used"]},
        silent={path: survey["silent"] for path, survey in surveys.items() if survey["silent"]},
        guarded=frozenset(name for survey in surveys.values() for name in survey["guarded"]),
    )
