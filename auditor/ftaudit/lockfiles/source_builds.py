"""What a build of a project makes, pure Python or compiled code, from its files: nothing is built or run.

The same answer holds for a source distribution and for a folder.
"""

from __future__ import annotations

import ast
import configparser
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final

import tomli

from ftaudit.model import StrEnum

COMPILED: Final = frozenset(
    {".c", ".cc", ".cpp", ".cxx", ".m", ".mm", ".pyx", ".rs", ".f", ".f90", ".f95", ".cu", ".so", ".pyd", ".dylib"}
)
"""Suffixes of compiled files, and of files that a build compiles."""
BUILD_FILES: Final = frozenset({"Cargo.toml", "CMakeLists.txt", "meson.build"})
_ASIDE: Final = re.compile(r"(tests?|docs?|examples?|benchmarks?|\..*)", re.IGNORECASE)
"""Folders whose files are never compiled by a build."""
_WORDS: Final = frozenset(
    {"ext_modules", "ext_package", "Extension", "CMakeExtension", "CUDAExtension", "Pybind11Extension", "CppExtension"}
    | {"cythonize", "mypycify", "cffi_modules", "rust_extensions", "RustExtension", "has_ext_modules", "build_ext"}
    | {"build_clib", "skbuild", "pbr_ext_modules", "use_2to3", "build_py_2to3", "lib2to3", "imp"}
)
"""Names in a build script that compile code, or that need a tool that no longer exists."""
_COMPILERS: Final = re.compile(
    r"(cython|pybind11|nanobind|cffi|mypy|mypyc|numpy|scikit-build|scikit-build-core|cmake|ninja|meson|meson-python|maturin"
    r"|setuptools-rust|setuptools-golang|milksnake|pythran|swig)\b",
    re.IGNORECASE,
)
"""Build requirements that compile code."""
_PURE_BACKENDS: Final = frozenset(
    {"flit_core.buildapi", "flit.buildapi", "flit_scm:buildapi", "uv_build", "poetry.core.masonry.api"}
    | {"poetry.masonry.api", "poetry_dynamic_versioning.backend", "hatchling.build", "hatchling.ouroboros"}
    | {"pdm.backend", "pdm.pep517.api", "setuptools.build_meta", "setuptools.build_meta:__legacy__"}
)
"""Backends that make pure-Python wheels unless something in the sdist shows otherwise."""
_KNOWN_HOOKS: Final = frozenset({"version", "vcs", "jupyter-builder", "requirements_txt", "fancy-pypi-readme"})
"""Hatchling's build hooks that compile nothing."""


class Build(StrEnum):
    """The kind of wheel that a build makes."""

    PURE = "pure"
    COMPILED = "compiled"
    UNDETERMINED = "undetermined"


@dataclass(slots=True)
class SourceFiles:
    """The parts of a project that show how it is built."""

    texts: dict[str, str] = field(default_factory=dict)
    """The build files at its top, by name."""
    compiled: bool = False
    """Something in it is compiled, or a build would compile it."""


def is_build_file(name: str) -> bool:
    """Return whether a file at the top of a project shows how it is built."""
    return name in ("pyproject.toml", "setup.cfg") or name.endswith(".py")


def is_compiled(path: PurePath) -> bool:
    """Return whether a file of a project, relative to its top, is compiled, or a build would compile it."""
    is_aside = any(_ASIDE.fullmatch(part) for part in path.parts[:-1])
    return not is_aside and (path.suffix.lower() in COMPILED or path.name in BUILD_FILES)


def judge_build(source: SourceFiles) -> Build:
    """Return what a build of the source makes; raise `ValueError` for a `pyproject.toml` that is not TOML."""
    project = tomli.loads(source.texts.get("pyproject.toml", ""))
    system, tools = project.get("build-system", {}), project.get("tool", {})
    requires = [str(line) for line in system.get("requires", ())]
    backend = system.get("build-backend", "setuptools.build_meta")
    has_setup = any(name in source.texts for name in ("setup.py", "setup.cfg"))
    if not has_setup and "project" not in project and "poetry" not in tools and "flit" not in tools:
        return Build.UNDETERMINED
    if backend not in _PURE_BACKENDS or "backend-path" in system:
        return Build.COMPILED if source.compiled else Build.UNDETERMINED
    if any(_COMPILERS.match(line.strip()) for line in requires):
        return Build.COMPILED if source.compiled else Build.UNDETERMINED
    match backend.partition(".")[0].partition(":")[0]:
        case "setuptools":
            return _of_setuptools(source, tools)
        case "hatchling":
            return Build.PURE if _hooks(tools) <= _KNOWN_HOOKS else Build.UNDETERMINED
        case "poetry" | "poetry_dynamic_versioning":
            return Build.UNDETERMINED if "build" in tools.get("poetry", {}) else Build.PURE
        case "pdm":
            build = tools.get("pdm", {}).get("build", {})
            plugins = any(line.startswith("pdm-build-") for line in requires)
            is_pure = isinstance(build, dict) and not {"custom-hook", "run-setuptools", "setup-script"} & set(build)
            return Build.PURE if is_pure and not plugins else Build.UNDETERMINED
        case _:
            return Build.PURE


def _hooks(tools: Mapping[str, Any]) -> set[str]:
    build = tools.get("hatch", {}).get("build", {})
    targets = build.get("targets", {}).get("wheel", {})
    return {*build.get("hooks", {}), *targets.get("hooks", {})}


def _of_setuptools(source: SourceFiles, tools: Mapping[str, Any]) -> Build:
    if source.compiled:
        return Build.COMPILED
    if tools.get("setuptools", {}).get("ext-modules") or "scikit-build" in tools:
        return Build.COMPILED
    config = configparser.RawConfigParser(strict=False)
    config.read_string(source.texts.get("setup.cfg", ""))
    if _WORDS & {key for section in config.sections() for key in config.options(section)}:
        return Build.UNDETERMINED
    if not _parses(source.texts.get("setup.py", "")):
        return Build.UNDETERMINED
    return Build.UNDETERMINED if _WORDS & _names_of_script(source, "setup.py") else Build.PURE


def _names_of_script(source: SourceFiles, script: str) -> set[str]:
    """Return the names that a build script uses, with those of the modules next to it that it names."""
    found: set[str] = set()
    waiting, seen = [script], {script}
    while waiting:
        names = set(_names(source.texts.get(waiting.pop(), "")))
        found |= names
        beside = {f"{name}.py" for name in names} & source.texts.keys() - seen
        seen |= beside
        waiting.extend(beside)
    return found


def _parses(text: str) -> bool:
    """Return whether a build script is Python 3: one of Python 2 cannot be built."""
    try:
        _tree_of(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _tree_of(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _names(text: str) -> Iterable[str]:
    """Return the names that a build script uses; for one that does not parse (Python 2), all of its words."""
    try:
        tree = _tree_of(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return re.findall(r"\w+", text)
    return set(_used(tree))


def _used(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                yield name
            case ast.alias(name=name) | ast.ImportFrom(module=str(name)):
                yield from name.split(".")
            case ast.Constant(value=str(name)):
                yield name
            case ast.FunctionDef(name=name):
                yield name
