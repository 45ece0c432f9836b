"""The content of build files as flat facts: one kind, one place, one value. Rules combine them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from ftaudit.model import StrEnum
from ftaudit.source.base import Survey

FREE_THREADED_WORDS = ("py_gil_disabled", "abiflags", "_is_gil_enabled", "freethread", "free_thread", "free-thread")
"""Words in a condition on the free-threaded build, in lower case: sysconfig's variable, `sys`, a name for it."""


class FactKind(StrEnum):
    """The subject of a fact."""

    LIMITED_API = "limited-api"
    """The limited API is asked for: `value` is how, `settled` whether the build tests for free threading."""
    DECLARES = "declares"
    """`freethreading_compatible` is set: `value` is `true` or `false`, `names` the sources it is for (empty: all)."""
    CYTHON_PLACE = "cython-place"
    """Cython runs here without `freethreading_compatible`; `names` are the sources, if known."""
    COMPILED_PYTHON = "compiled-python"
    """`names` are Python files, or patterns for them, that Cython compiles (pure-Python mode)."""
    MENTIONS = "mentions"
    """`names` are words of the file that may name a Cython source: stems of `.pyx` files it builds."""
    REQUIRES = "requires"
    """`value` is a requirement of the build (PEP 508), `names` the table or call that contains it."""
    NANOBIND = "nanobind"
    """A `nanobind_add_module`: `value` is the target, `names` its flags."""
    NANOBIND_MACRO = "nanobind-macro"
    """`NB_FREE_THREADED` is defined by hand."""
    F2PY = "f2py"
    """F2PY is run; `settled` if it gets `--freethreading-compatible`."""
    SWIG = "swig"
    """SWIG makes a Python module; `settled` if it gets `-nogil`."""
    CFFI = "cffi"
    """`set_source(…, py_limited_api=True)`; `settled` if the build tests for free threading."""
    MYPYC = "mypyc"
    """mypyc compiles the project."""
    VERSION_GATE = "version-gate"
    """Cython's version is compared as a string, and `freethreading_compatible` depends on it."""
    WINDOWS_MACROS = "windows-macros"
    """The build keeps its own list of C macros for Windows."""
    GIL_MACRO = "gil-macro"
    """`Py_GIL_DISABLED` is mentioned."""
    CIBW_SKIP = "cibw-skip"
    """`value` is one pattern of what cibuildwheel skips."""
    CIBW_OBSOLETE = "cibw-obsolete"
    """`value` is an option that cibuildwheel now ignores; `settled` if it asks for free-threaded wheels."""
    CIBW_ENABLE = "cibw-enable"
    """`cpython-freethreading` is enabled."""
    CIBW_VERSION = "cibw-version"
    """`value` is the version of cibuildwheel in use."""
    CI_FILE = "ci-file"
    """A file that describes continuous integration for Python; `settled` if it has a free-threaded lane."""
    PYO3 = "pyo3"
    """`value` is a requirement (Cargo's syntax) or, from a lock file, a version; `names` are the features."""
    PYTHON = "python"
    """The Python versions that the project supports, as a specifier."""
    BUILD_BACKEND = "build-backend"
    """`value` is the PEP 517 backend."""
    NO_LIMITED_API_OPTION = "no-limited-api-option"
    """A configuration for free-threaded builds turns the limited API off from outside."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildFact:
    """One fact of a build file. `line` and `column` count from 1."""

    kind: FactKind
    path: str
    line: int
    column: int = 1
    value: str = ""
    names: tuple[str, ...] = ()
    settled: bool = False
    asked: int | None = None
    """The `PY_VERSION_HEX` of the requested limited API, if the file gives it."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON value that `from_json` accepts."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> BuildFact:
        """Return the fact of a survey."""
        return cls(**{**data, "kind": FactKind(data["kind"]), "names": tuple(data["names"])})

    @property
    def folder(self) -> str:
        """The folder of the file, with a trailing slash, or empty for the root of the scan."""
        parent = str(PurePosixPath(self.path).parent)
        return "" if parent == "." else f"{parent}/"

    @property
    def reach(self) -> str:
        """The prefix of the paths that the file applies to.

        A build description applies to its folder and everything below; a helper (`tools/cythonize.py`, a build
        backend in the tree) for the whole project.
        """
        name = PurePosixPath(self.path).name
        described = name.endswith((".build", ".toml", ".txt", ".cmake", ".cfg")) or name == "setup.py"
        return self.folder if described else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildContext:
    """All facts of a tree's build files, by path and line."""

    facts: tuple[BuildFact, ...] = field(default=())

    def of(self, *kinds: FactKind) -> tuple[BuildFact, ...]:
        """Return the facts of the kinds, in order."""
        return tuple(fact for fact in self.facts if fact.kind in kinds)

    def nearest(self, path: str, *kinds: FactKind) -> tuple[BuildFact, ...]:
        """Return the facts of the kinds from the nearest folder at or above the path that has any."""
        found = [fact for fact in self.of(*kinds) if path.startswith(fact.folder)]
        longest = max((len(fact.folder) for fact in found), default=0)
        return tuple(fact for fact in found if len(fact.folder) == longest)


def facts_of(survey: Survey) -> list[BuildFact]:
    """Return the facts that a file's survey holds."""
    return [BuildFact.from_json(data) for data in survey.get("facts", ())]


def find_nanobind_modules(context: BuildContext) -> Iterator[BuildFact]:
    """Yield the nanobind modules that are built without `FREE_THREADED`, by flag or by macro."""
    modules = context.of(FactKind.NANOBIND)
    defined = {fact.folder for fact in context.of(FactKind.NANOBIND_MACRO)}
    for fact in modules:
        if "FREE_THREADED" not in fact.names and fact.folder not in defined:
            yield fact


def limited_version(text: str) -> int | None:
    """Return the value of `Py_LIMITED_API` that a build asks for, `None` if the text does not give it.

    It may be the macro's value or definition (`0x030A0000`, `-DPy_LIMITED_API=3`), a Python tag (`cp310`) or a version
    (`3.10`).
    """
    found = _LIMITED_VERSION.fullmatch(text.strip())
    if found is None:
        return None
    if found["minor"]:
        return 3 << 24 | min(int(found["minor"]), 255) << 16
    if found["value"] is None:
        return _FIRST_LIMITED if "Py_LIMITED_API" in text else None
    value = int(found["value"], 0)
    return value if value > 3 else _FIRST_LIMITED


_LIMITED_VERSION: Final = re.compile(
    r"(?:[-/]D)?(?:Py_LIMITED_API=?)?"
    r"(?:(?P<value>0[xX][0-9a-fA-F]{1,8}|[1-9]\d{6,9}|3)?[uUlL]*|(?:cp)?3\.?(?P<minor>\d{1,4}))",
    re.ASCII,
)
_FIRST_LIMITED: Final = 0x03020000
"""The meaning of a definition without a value, or with the value 3 (`Include/pyabi.h`)."""


def mentions_free_threading(text: str) -> bool:
    """Return whether a piece of source names the free-threaded build."""
    lower = text.lower()
    return any(word in lower for word in FREE_THREADED_WORDS)
