"""FT420: a nanobind module is built without `FREE_THREADED`."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, GilDeclaration, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Room, Unit
from ftaudit.source.build import BuildContext, find_nanobind_modules
from ftaudit.source.build.build_declaration import add_nanobind_flag


class NanobindMissingFreeThreaded(BuildRule):
    """nanobind compiles its locks, and declares that the module does not use the GIL, only with the flag
    `FREE_THREADED`. Without the flag, importing the module turns the GIL on. The flag has no effect on GIL-enabled
    builds.
    """

    info = RuleInfo(
        code="FT420",
        name="nanobind-missing-free-threaded",
        summary="`nanobind_add_module` lacks `FREE_THREADED`, so importing the module turns the GIL back on.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        asks_to_declare=True,
        remedy="Once the bindings are safe without the GIL, add `FREE_THREADED` (nanobind 2.2 or later).",
        links=("https://nanobind.readthedocs.io/en/latest/free_threaded.html",),
        declares=GilDeclaration.UNDECLARED,
    )

    VALID = (
        SourceExample(
            path="CMakeLists.txt", code="nanobind_add_module(ext FREE_THREADED NB_STATIC ext.cpp)\n", instead=True
        ),
        SourceExample(
            path="CMakeLists.txt",
            code="set(FLAGS NB_STATIC)\nlist(APPEND FLAGS FREE_THREADED)\nnanobind_add_module(ext ${FLAGS} ext.cpp)\n",
        ),
        SourceExample(path="CMakeLists.txt", code="# nanobind_add_module(ext ext.cpp)\nadd_library(x x.cpp)\n"),
        SourceExample(
            path="CMakeLists.txt",
            code="nanobind_add_module(ext ext.cpp)\ntarget_compile_definitions(ext PRIVATE NB_FREE_THREADED)\n",
        ),
    )
    INVALID = (
        SourceExample(
            path="CMakeLists.txt", code="find_package(nanobind)\nnanobind_add_module(ext ext.cpp)\n", lines=(2,)
        ),
        SourceExample(
            path="src/CMakeLists.txt",
            code="nanobind_add_module(\n  ext\n  NB_STATIC STABLE_ABI\n  ext.cpp\n)\n",
            lines=(1,),
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield each module without the flag."""
        for fact in find_nanobind_modules(project.context.of(Room.BUILD, BuildContext)):
            yield self.finding(
                (
                    f"{f'`{fact.value}`' if fact.value else 'the module'} is built without `FREE_THREADED`: importing "
                    "it turns the GIL on"
                ),
                location=project.location(fact.path, fact.line, fact.column),
            )

    def fix(self, unit: Unit, finding: Finding) -> Fix | NoFix:
        """Add the flag."""
        return add_nanobind_flag(unit, finding)
