"""FT111: the build pins a Cython that cannot build modules for free-threaded CPython."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Room, Unit
from ftaudit.source.build import BuildContext
from ftaudit.source.build.build_edits import raise_floor
from ftaudit.source.build.required_versions import admits_from, applies, build_requirements

_FIRST = "3.1.0a1"


class CythonTooOld(BuildRule):
    """Cython before 3.1 generates C code that relies on the GIL, and has no directive that leaves the GIL off."""

    info = RuleInfo(
        code="FT111",
        name="cython-too-old",
        summary="The build requires a Cython older than 3.1.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Require `Cython>=3.1`, at least for free-threaded interpreters.",
        links=("https://cython.readthedocs.io/en/latest/src/userguide/freethreading.html",),
    )

    VALID = (
        SourceExample(path="pyproject.toml", code='[build-system]\nrequires = ["Cython>3.1.1,<3.1.4"]\n', instead=True),
        SourceExample(path="pyproject.toml", code='[build-system]\nrequires = ["Cython>=3.0"]\n'),
        SourceExample(
            path="pyproject.toml", code="[build-system]\nrequires = [\"Cython<3.1; python_version < '3.13'\"]\n"
        ),
        SourceExample(
            code="def get_requires_for_build_wheel(s):\n"
            "    if sysconfig.get_config_var('Py_GIL_DISABLED'):\n        return ['Cython ~= 3.1.0a1']\n"
            "    return ['Cython ~= 3.0.12']\n"
        ),
    )
    INVALID = (
        SourceExample(
            path="pyproject.toml",
            code='[build-system]\nrequires = [\n  "setuptools",\n  "Cython<3.1",\n]\n',
            lines=(4,),
        ),
        SourceExample(code="setup(setup_requires=['cython ~= 3.0.0'])\n", lines=(1,)),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield each requirement that excludes every Cython from 3.1 on."""
        build = project.context.of(Room.BUILD, BuildContext)
        for fact, requirement in build_requirements(build, "cython"):
            if fact.settled or not applies(requirement, project.target) or admits_from(requirement.specifier, _FIRST):
                continue
            yield self.finding(
                f"`{requirement}` excludes all versions of Cython that support free threading (3.1 and later)",
                location=project.location(fact.path, fact.line, fact.column),
            )

    def fix(self, unit: Unit, finding: Finding) -> Fix | NoFix:
        """Require Cython 3.1."""
        return raise_floor(unit, finding, {"cython": "3.1"})
