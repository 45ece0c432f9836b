"""FT112: the build pins a binding generator that cannot build modules for free-threaded CPython."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from packaging.version import Version

from ftaudit.model import Confidence, Finding, Fix, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Room, Unit
from ftaudit.source.build import BuildContext, FactKind
from ftaudit.source.build.build_edits import raise_floor, raise_version
from ftaudit.source.build.required_versions import admits_from, applies, build_requirements
from ftaudit.source.rust import least_version

_FIRST: Final = {"pybind11": "2.13.0", "nanobind": "2.2.0", "cffi": "2.0.0b1"}
"""pybind11 #5148; nanobind 2.2.0's changelog; cffi 2.0's `setup.py`."""
_NUMPY_WITH_F2PY: Final = "2.1.0"
_MYPY_WITH_SAFE_MYPYC: Final = "2.3"
_FLOORS: Final = {"pybind11": "2.13", "nanobind": "2.2", "cffi": "2.0", "numpy": "2.1", "mypy": "2.3"}
"""Names as in a requirement."""
_PYO3: Final = Version("0.23")
_CFFI_SINCE: Final = (3, 14)
"""cffi supports no free-threaded 3.13."""


class BindingGeneratorTooOld(BuildRule):
    """Generators add reference counting, caches and module definitions to the extension.

    Releases from before free threading generate code that is unsafe without the GIL or does not compile. Some of them
    have no option to declare that a module does not use the GIL.
    """

    info = RuleInfo(
        code="FT112",
        name="binding-generator-too-old",
        summary=(
            "The build requires a version of pybind11, nanobind, PyO3, cffi, F2PY or mypyc without free-threading "
            "support."
        ),
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Raise the requirement: pybind11 2.13, nanobind 2.2, PyO3 0.23, cffi 2.0, NumPy 2.1 "
        "(F2PY), mypy 2.3 (mypyc).",
        links=("https://py-free-threading.github.io/tracking/",),
    )

    VALID = (
        SourceExample(path="pyproject.toml", code='[build-system]\nrequires = ["pybind11>=2.13"]\n', instead=True),
        SourceExample(path="pyproject.toml", code='[build-system]\nrequires = ["pybind11>=2.10"]\n'),
        SourceExample(
            path="pyproject.toml", code="[build-system]\nrequires = [\"cffi>=2.0; python_version >= '3.14'\"]\n"
        ),
        SourceExample(
            path="pyproject.toml",
            code="[build-system]\n"
            "requires = [\"cffi~=1.17; python_version < '3.14'\", \"cffi>=2.0; python_version >= '3.14'\"]\n",
        ),
        SourceExample(path="Cargo.toml", code='[dependencies]\npyo3 = "0.23"\n'),
    )
    INVALID = (
        SourceExample(path="pyproject.toml", code='[build-system]\nrequires = ["pybind11~=2.11.1"]\n', lines=(2,)),
        SourceExample(path="pyproject.toml", code='[build-system]\nrequires = ["nanobind==2.1.0"]\n', lines=(2,)),
        SourceExample(
            path="pyproject.toml", code='[build-system]\nrequires = ["cffi>=2.0"]\n', lines=(2,), target="3.13t"
        ),
        SourceExample(path="Cargo.toml", code='[dependencies]\npyo3 = { version = "0.22.5" }\n', lines=(2,)),
        SourceExample(
            path="CMakeLists.txt",
            code="FetchContent_Declare(pybind11\n  GIT_REPOSITORY x\n  GIT_TAG v2.11.1)\n",
            lines=(3,),
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield each requirement that excludes every release with free-threading support."""
        build = project.context.of(Room.BUILD, BuildContext)
        first = dict(_FIRST)
        if build.of(FactKind.F2PY):
            first["numpy"] = _NUMPY_WITH_F2PY
        if build.of(FactKind.MYPYC):
            first["mypy"] = _MYPY_WITH_SAFE_MYPYC
        for fact, requirement in build_requirements(build, *first):
            name = requirement.name.lower()
            if fact.settled or not applies(requirement, project.target):
                continue
            where = project.location(fact.path, fact.line, fact.column)
            if name == "cffi" and project.target.version < _CFFI_SINCE:
                yield self.finding(
                    f"`{requirement}` is required, but no version of cffi supports {project.target.name}",
                    location=where,
                )
            elif not admits_from(requirement.specifier, first[name]):
                yield self.finding(
                    (
                        f"`{requirement}` excludes all versions of {name} that support free threading ({first[name]} "
                        "and later)"
                    ),
                    location=where,
                )
        pyo3 = build.of(FactKind.PYO3)
        old = [fact for fact in pyo3 if (version := least_version(fact.value)) is not None and version < _PYO3]
        locked = any("lock" in fact.names for fact in pyo3)
        used = [fact for fact in old if "lock" in fact.names or not locked]
        # Raise the requirement if it excludes the release; otherwise the lock file has to be updated.
        in_the_way = [f for f in old if "lock" not in f.names and not f.value.lstrip().startswith((">", "*"))]
        for fact in (in_the_way or used) if used else ():
            yield self.finding(
                f"PyO3 {least_version(used[0].value)} does not support free threading (0.23 and later do)",
                location=project.location(fact.path, fact.line, fact.column),
            )

    def fix(self, unit: Unit, finding: Finding) -> Fix | NoFix:
        """Require the first release that supports free threading; no cffi supports the free-threaded 3.13."""
        if unit.path.endswith("Cargo.toml"):
            return raise_version(unit, finding, str(_PYO3))
        floors = {
            name: first for name, first in _FLOORS.items() if name != "cffi" or unit.target.version >= _CFFI_SINCE
        }
        return raise_floor(unit, finding, floors)
