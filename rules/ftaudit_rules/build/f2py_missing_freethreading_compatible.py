"""FT470: F2PY builds a module without `--freethreading-compatible`."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Fix, GilDeclaration, NoFix, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Room, Unit
from ftaudit.source.build import BuildContext, FactKind
from ftaudit.source.build.build_declaration import add_f2py_option


class F2pyMissingFreethreadingCompatible(BuildRule):
    """By default, F2PY marks the module as one that needs the GIL, because Fortran code often keeps state in `COMMON`
    blocks and `SAVE` variables. If the project has a wrapper script for F2PY, the option may have a different name
    there.
    """

    info = RuleInfo(
        code="FT470",
        name="f2py-missing-freethreading-compatible",
        summary=(
            "The build runs F2PY without `--freethreading-compatible`, so importing the module turns the GIL back on."
        ),
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        asks_to_declare=True,
        remedy="Once the Fortran code is thread-safe, pass `--freethreading-compatible` (NumPy 2.1 or later).",
        links=("https://numpy.org/doc/stable/f2py/usage.html",),
        declares=GilDeclaration.UNDECLARED,
    )

    VALID = (
        SourceExample(
            path="meson.build",
            code="generator(f2py, arguments: ['@INPUT@', '--lower', '--freethreading-compatible'], "
            "output: '@BASENAME@.c')\n",
            instead=True,
        ),
        SourceExample(
            path="meson.build",
            code="gen = find_program('tools/generate_f2pymod.py')\nargs = ['@INPUT@', '--free-threading']\n"
            "g = generator(gen, arguments : args, output : '_@BASENAME@module.c')\n",
        ),
        SourceExample(
            path="meson.build",
            code="inc = run_command(py3, ['-c', 'import numpy.f2py; print(numpy.f2py.get_include())'])\n",
        ),
    )
    INVALID = (
        SourceExample(
            path="meson.build",
            code="generator(f2py, arguments: ['@INPUT@', '--lower'], output: '@BASENAME@.c')\n",
            lines=(1,),
        ),
        SourceExample(
            path="meson.build",
            code="src = custom_target('m',\n  input : ['m.f90'],\n"
            "  command : [py3, '-m', 'numpy.f2py', '@INPUT@', '-m', 'm', '--lower']\n)\n",
            lines=(3,),
        ),
        SourceExample(code="run([sys.executable, '-m', 'numpy.f2py', '-c', 'm.f90'])\n", lines=(1,)),
        SourceExample(
            path="CMakeLists.txt",
            code="add_custom_command(OUTPUT m.c\n  COMMAND ${Python_EXECUTABLE} -m numpy.f2py m.f90 -m m)\n",
            lines=(1,),
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield each run without the option."""
        for fact in project.context.of(Room.BUILD, BuildContext).of(FactKind.F2PY):
            if not fact.settled:
                yield self.finding(
                    "F2PY runs without `--freethreading-compatible`: importing the module turns the GIL on",
                    location=project.location(fact.path, fact.line, fact.column),
                )

    def fix(self, unit: Unit, finding: Finding) -> Fix | NoFix:
        """Add the option."""
        return add_f2py_option(unit, finding)
