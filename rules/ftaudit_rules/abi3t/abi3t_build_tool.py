"""FT701: what the project's build tool can do for `abi3t` today."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from ftaudit.cpython.versions import ABI3T_SINCE
from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Room
from ftaudit.source.build import BuildContext, FactKind
from ftaudit.source.build.required_versions import admits_from, applies, build_requirements
from ftaudit.source.rust import least_version
from ftaudit_rules.abi3t._migration import LINKS


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tool:
    """A build tool or binding generator, as of 30 November 2026: from the contents of its releases."""

    name: str
    since: str | None
    """The first release that builds `abi3t` modules or wheels; `None` if no release does."""
    how: str
    """How to ask for it, or what to do instead, in a sentence."""


_TOOLS: Final = (
    _Tool(
        name="setuptools",
        since="84.2.0",
        how=(
            "Set `py_limited_api` on the `Extension` and for `bdist_wheel` (`cp315`), define "
            "`Py_TARGET_ABI3T=0x030f0000`, and build with a free-threaded CPython 3.15. The wheel is tagged "
            "`cp315-abi3.abi3t`."
        ),
    ),
    _Tool(
        name="meson-python",
        since="0.21.0",
        how="Set `limited-api = true` and `limited_api: '3.15'`, and build with a free-threaded CPython 3.15.",
    ),
    _Tool(
        name="scikit-build-core",
        since="1.0.0",
        how='Set `wheel.py-api = "cp315t"` (or `"cp315.cp315t"` for both builds). This needs CMake 4.4 or later.',
    ),
    _Tool(
        name="maturin",
        since="1.14.0",
        how="Enable PyO3's feature `abi3t-py315` (PyO3 0.29 or later).",
    ),
    _Tool(
        name="cffi", since="2.1.1", how="Build with a free-threaded CPython 3.15, which selects abi3t automatically."
    ),
    _Tool(
        name="nanobind",
        since="3.0.0",
        how=(
            "Pass `STABLE_ABI` and `FREE_THREADED` to `nanobind_add_module`, and build with a free-threaded CPython "
            "3.15."
        ),
    ),
    _Tool(
        name="cython",
        since=None,
        how="Build a wheel for each version of CPython: Cython 3.3.1 does not support abi3t yet.",
    ),
    _Tool(
        name="pybind11",
        since=None,
        how=(
            "Build a wheel for each version of CPython, or move to nanobind: pybind11 3.1.0 uses more than the limited "
            "API."
        ),
    ),
    _Tool(
        name="swig",
        since=None,
        how=(
            "Build a wheel for each version of CPython: SWIG 4.5.1 generates code with `PyModuleDef` and "
            "`PyObject_HEAD`."
        ),
    ),
)
_PYO3_SINCE: Final = Version("0.29")


class Abi3tBuildTool(BuildRule):
    """The migration to `abi3t` begins with the build tools: some support it from a certain version on, others do not
    support it yet. If your binding generator does not support it, the migration has to wait."""

    info = RuleInfo(
        code="FT701",
        name="abi3t-build-tool",
        summary=(
            "The build tool, or the version that the project requires, does not support abi3t, or needs options for it."
        ),
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Require a version of the tool that supports abi3t. If no version does, wait for one.",
        links=LINKS,
        default=False,
        migration=True,
    )
    VALID = (
        SourceExample(
            path="pyproject.toml",
            code='[build-system]\nrequires = ["setuptools>=84.2"]\n',
            target="3.14t",
            instead=True,
        ),
        SourceExample(path="pyproject.toml", code='[build-system]\nrequires = ["hatchling"]\n', target="3.15t"),
    )
    INVALID = (
        SourceExample(
            path="pyproject.toml",
            code='[build-system]\nrequires = [\n  "setuptools>=61",\n  "Cython>=3.1",\n]\n',
            lines=(3, 4),
            target="3.15t",
        ),
        SourceExample(
            path="pyproject.toml",
            code='[build-system]\nrequires = ["scikit-build-core<1"]\n',
            lines=(2,),
            target="3.15t",
        ),
        SourceExample(
            path="Cargo.toml",
            code='[dependencies]\npyo3 = { version = "0.28", features = ["abi3-py310"] }\n',
            lines=(2,),
            target="3.15t",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield a note for each tool that the build requires."""
        if project.target.version < ABI3T_SINCE:
            return
        build = project.context.of(Room.BUILD, BuildContext)
        for tool in _TOOLS:
            for fact, requirement in build_requirements(build, canonicalize_name(tool.name)):
                if applies(requirement, project.target):
                    yield self.finding(
                        _said(tool, requirement.specifier),
                        location=project.location(fact.path, fact.line, fact.column),
                        remedy=tool.how,
                    )
        for fact in build.of(FactKind.PYO3):
            version = least_version(fact.value)
            if version is not None and version < _PYO3_SINCE:
                yield self.finding(
                    f"PyO3 supports abi3t from 0.29 on, but the project uses {version}",
                    location=project.location(fact.path, fact.line, fact.column),
                    remedy=(
                        "Require PyO3 0.29, and enable its feature `abi3t-py315` in addition to your `abi3` feature."
                    ),
                )


def _said(tool: _Tool, wanted: SpecifierSet) -> str:
    if tool.since is None:
        return f"no release of {tool.name} supports abi3t yet"
    if not admits_from(wanted, tool.since):
        return f"{tool.name} supports abi3t from {tool.since} on, but `{wanted}` excludes these releases"
    return f"{tool.name} supports abi3t from {tool.since} on"
