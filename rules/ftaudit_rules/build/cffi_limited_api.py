"""FT440: a cffi module requires the limited API."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.cpython.versions import ABI3T_SINCE
from ftaudit.model import Confidence, Finding, Fix, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Room, Unit
from ftaudit.source.build import BuildContext, FactKind
from ftaudit.source.build.build_edits import gate_limited_api
from ftaudit.source.build.required_versions import build_requirements, requires_from

_IGNORES = "2.0.0b1"
"""From this version on cffi never uses the limited API on free-threaded builds (cffi e317b620)."""


class CffiLimitedApi(BuildRule):
    """Before 2.0, cffi compiles with the limited API on request, even if the interpreter does not have one."""

    info = RuleInfo(
        code="FT440",
        name="cffi-limited-api",
        summary="`set_source(py_limited_api=True)` is used with a cffi version that may be older than 2.0.",
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Require `cffi>=2.0`, or make `py_limited_api` depend on `sysconfig.get_config_var('Py_GIL_DISABLED')`.",
        links=("https://cffi.readthedocs.io/en/stable/whatsnew.html",),
    )

    VALID = (
        SourceExample(
            path="build_m.py",
            code="from cffi import FFI\nffi.set_source('m', '', py_limited_api=True)\n",
            others=(("pyproject.toml", '[build-system]\nrequires = ["cffi>=2.0.0"]\n'),),
        ),
        SourceExample(path="build_m.py", code="ffi.set_source('m', '', py_limited_api=False)\n"),
        SourceExample(
            path="build_m.py",
            code="ok = not sysconfig.get_config_var('Py_GIL_DISABLED')\nffi.set_source('m', '', py_limited_api=ok)\n",
            instead=True,
        ),
    )
    INVALID = (
        SourceExample(path="build_m.py", code="ffi.set_source('m', '',\n    py_limited_api=True)\n", lines=(2,)),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield each such call, unless the build requires a cffi version that ignores the option."""
        if project.target.version >= ABI3T_SINCE:
            return
        build = project.context.of(Room.BUILD, BuildContext)
        if any(requires_from(requirement.specifier, _IGNORES) for _, requirement in build_requirements(build, "cffi")):
            return
        for fact in build.of(FactKind.CFFI):
            if not fact.settled:
                yield self.finding(
                    (
                        "`py_limited_api=True` applies to every interpreter: only cffi 2.0 and later ignore it on "
                        "free-threaded builds"
                    ),
                    location=project.location(fact.path, fact.line, fact.column),
                )

    def fix(self, unit: Unit, finding: Finding) -> Fix | NoFix:
        """Ask for the limited API only if the interpreter has one."""
        return gate_limited_api(unit, finding)
