"""Which languages a file is written in, by its name and, if the name is ambiguous, by its text."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import PurePath
from typing import Final

from ftaudit.rule import Language
from ftaudit.source.base import Reader, Room

READ: Final = "C, C++, Cython, Rust, Python and build files are"
_C: Final = (".c", ".c.src", ".c.in", ".h.src", ".h.in", ".inc.src")
_CPP: Final = (
    ".cc",
    ".cpp",
    ".cxx",
    ".c++",
    ".hh",
    ".hpp",
    ".hxx",
    ".h++",
    ".ipp",
    ".tpp",
    ".inl",
    ".cu",
    ".cuh",
    ".mm",
    ".cpp.in",
    ".cxx.in",
    ".hpp.in",
    ".cpp.src",
)
_CYTHON: Final = (".pyx", ".pxd", ".pxi", ".pyx.in", ".pxd.in", ".pxi.in", ".pyx.tp", ".pxd.tp", ".pyx.src", ".pxi.src")
_PYTHON: Final = (".py", ".pyw")
_RUST: Final = (".rs",)
_BUILD_NAMES: Final = frozenset(
    [
        "setup.py",
        "setup.cfg",
        "pyproject.toml",
        "meson.build",
        "meson.options",
        "meson_options.txt",
        "CMakeLists.txt",
        "Cargo.toml",
        "Cargo.lock",
        "Makefile",
        "GNUmakefile",
        "makefile",
        "SConstruct",
        "SConscript",
        "wscript",
        "cibuildwheel.toml",
        "tox.ini",
        "Dockerfile",
        "noxfile.py",
        "build.py",
        "_build.py",
        "hatch_build.py",
        "build_ext.py",
    ]
)
_BUILD_SUFFIXES: Final = (".cmake", ".mk")
_WORKFLOWS: Final = ".github/workflows"
_AMBIGUOUS: Final = (".h", ".inc")
OBJECTIVE_C: Final = ".m"
"""Also the suffix of MATLAB and Mathematica: the text decides."""
_IS_OBJECTIVE_C: Final = re.compile(
    rb"^[ \t]*(?:#[ \t]*(?:import|include)[ \t]*[<\"]|@(?:interface|implementation|import)\b)", re.MULTILINE
)

_LOOKS_CPP: Final = re.compile(
    rb"^[ \t]*(?:namespace\s+[\w:]+\s*\{|namespace\s*\{|template\s*<|class\s+\w+[^;{}()]*\{|using\s+\w|public:|private:"
    rb"|#\s*include\s*<(?:string|vector|map|memory|mutex|atomic|utility|functional|iostream|algorithm|type_traits)>)"
    rb"|\bstd::\w|\bconstexpr\b|\bstatic_cast<",
    re.MULTILINE,
)
_SCRIPT: Final = re.compile(rb"#![^\n]*\bpython[\d.t]*\b")
"""The first line of a script without a suffix; such a file is checked only if it is named itself."""
_PURE_CYTHON: Final = re.compile(
    rb"^[ \t]*(?:import|cimport)\s+cython\b|^[ \t]*from\s+cython\b|^#[ \t]*cython[ \t]*:", re.MULTILINE
)
_CFFI_SOURCE: Final = re.compile(rb"\.\s*(?:set_source(?:_pkgconfig)?|verify)\s*\(")
_BUILD_HELPER: Final = re.compile(
    rb"\bcythonize\s*\(|freethreading_compatible|py_limited_api|Py_LIMITED_API|\bset_source\s*\(|\bmypycify\s*\("
    rb"|get_requires_for_build|numpy\.f2py['\"]|\bswig_opts\b"
)
"""Text of a Python file that helps to build the project, whatever its name: a backend in the tree, a helper."""
_BUILD_WORDS: Final = (
    b"cythonize",
    b"freethreading_compatible",
    b"py_limited_api",
    b"Py_LIMITED_API",
    b"set_source",
    b"mypycify",
    b"get_requires_for_build",
    b"numpy.f2py",
    b"swig_opts",
)
"""The words of which `_BUILD_HELPER` needs one: a search for plain words is faster."""


def may_be_source(path: PurePath) -> bool:
    """Return whether the scanner may report on a file, by its path."""
    return path.name.lower().endswith((*_PYTHON, *_C, *_CPP, *_CYTHON, *_RUST, *_AMBIGUOUS, OBJECTIVE_C)) or _is_build(
        path
    )


def _is_build(path: PurePath) -> bool:
    if path.name in _BUILD_NAMES or path.suffix in _BUILD_SUFFIXES:
        return True
    return path.suffix in (".yml", ".yaml") and (
        path.parent.as_posix().endswith(_WORKFLOWS) or path.name == ".gitlab-ci.yml"
    )


def languages_of(path: PurePath, data: bytes) -> tuple[Language, ...]:
    """Return the languages of a file by its path and content; empty for one that the scanner does not read.

    A header is C++ when it says so. `setup.py` is Python and a build file. A Python file that imports `cython`, or has
    a header for it, may be compiled (pure-Python mode), so it counts as Cython too; one that passes C to CFFI counts as
    C; one that calls build tools counts as a build file.
    """
    found: list[Language] = []
    lower = path.name.lower()
    if lower.endswith(_PYTHON):
        found.append(Language.PYTHON)
        if b"cython" in data and _PURE_CYTHON.search(data):
            found.append(Language.CYTHON)
        if b"cffi" in data and _CFFI_SOURCE.search(data):
            found.append(Language.C)
    elif lower.endswith(_CYTHON):
        found.append(Language.CYTHON)
    elif lower.endswith(_RUST):
        found.append(Language.RUST)
    elif lower.endswith(_CPP) or path.name.endswith(".C"):
        found.append(Language.CPP)
    elif lower.endswith(_C):
        found.append(Language.C)
    elif lower.endswith(OBJECTIVE_C):
        if _IS_OBJECTIVE_C.search(data):
            found.append(Language.C)
    elif not path.suffix and _SCRIPT.match(data):
        found.append(Language.PYTHON)
    elif lower.endswith(_AMBIGUOUS):
        found.append(Language.CPP if _LOOKS_CPP.search(data) else Language.C)
    if _is_build(path) or (lower.endswith(_PYTHON) and _helps_to_build(data)):
        found.append(Language.BUILD)
    return tuple(found)


def _helps_to_build(data: bytes) -> bool:
    return any(map(data.__contains__, _BUILD_WORDS)) and _BUILD_HELPER.search(data) is not None


_SETS_UP: Final = re.compile(
    rb"^(?:from|import)[ \t]+(?:setuptools|distutils)\b(?![ \t]*\.[ \t]*version\b)", re.MULTILINE
)


def builds(data: bytes) -> bool:
    """Return whether a Python file is part of a build: it imports setuptools or distutils when it is imported."""
    return (b"setuptools" in data or b"distutils" in data) and _SETS_UP.search(data) is not None


def reader_of(room: Room) -> Reader:
    """Return the room's reader, importing the room (and its parser) only now."""
    module = import_module(f"ftaudit.source.{room.value}")
    reader: Reader = module.READER
    return reader
