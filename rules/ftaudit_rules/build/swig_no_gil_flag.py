"""FT460: SWIG generates a Python module without `-nogil`."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, GilDeclaration, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Room, Unit
from ftaudit.source.build import BuildContext, FactKind
from ftaudit.source.build.build_declaration import add_swig_flag


class SwigNoGilFlag(BuildRule):
    """SWIG adds a GIL declaration only if you pass `-nogil` (SWIG 4.4.0 and later)."""

    info = RuleInfo(
        code="FT460",
        name="swig-no-gil-flag",
        summary="The build runs SWIG without `-nogil`, so importing the module turns the GIL back on.",
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        asks_to_declare=True,
        remedy=(
            "Once the wrapped library is safe without the GIL, require SWIG 4.4 or later, and pass `-nogil`. Older "
            "versions reject this option."
        ),
        links=("https://www.swig.org/Doc4.4/Python.html",),
        declares=GilDeclaration.UNDECLARED,
    )

    VALID = (
        SourceExample(code="Extension('_m', ['m.i'], swig_opts=['-c++', '-nogil'])\n", instead=True),
        SourceExample(code="Extension('_m', ['m.c'])\n"),
        SourceExample(code="if name.endswith('.i'):\n    Extension('_m', ['m.c'])\n"),
        SourceExample(
            path="CMakeLists.txt",
            code="set(CMAKE_SWIG_FLAGS -nogil)\nswig_add_library(m LANGUAGE python SOURCES m.i)\n",
        ),
        SourceExample(path="CMakeLists.txt", code="swig_add_library(m LANGUAGE java SOURCES m.i)\n"),
    )
    INVALID = (
        SourceExample(code="Extension('_m', ['m.i'], swig_opts=['-c++'])\n", lines=(1,)),
        SourceExample(path="CMakeLists.txt", code="swig_add_library(m LANGUAGE python SOURCES m.i)\n", lines=(1,)),
        SourceExample(
            code="source = 'm.i'\nfiles = [join('src', source), *glob('src/*.cpp')]\n"
            "setup(ext_modules=[Extension('_m', files)], options={'build_ext': {'swig_opts': '-c++'}})\n",
            lines=(1,),
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield each run without the flag."""
        for fact in project.context.of(Room.BUILD, BuildContext).of(FactKind.SWIG):
            if not fact.settled:
                yield self.finding(
                    "SWIG runs without `-nogil`: importing the module turns the GIL on",
                    location=project.location(fact.path, fact.line, fact.column),
                )

    def fix(self, unit: Unit, finding: Finding) -> Fix | NoFix:
        """Add the option."""
        return add_swig_flag(unit, finding)
