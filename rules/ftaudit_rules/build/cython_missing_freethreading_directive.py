"""FT401: a Cython module that does not declare itself compatible with free threading."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from ftaudit.model import Confidence, Finding, Fix, GilDeclaration, NoFix, Obstacle, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Room, Unit
from ftaudit.source.build import BuildContext, BuildFact, FactKind
from ftaudit.source.build.build_declaration import add_directive, add_directive_comment
from ftaudit.source.cython import CythonContext, CythonModule


class CythonMissingFreethreadingDirective(BuildRule):
    """By default, Cython modules do not declare anything about the GIL, and CPython turns the GIL on for such a module.
    You can set the directive in each module's leading comments, in the directives that the build passes to Cython, or
    on Cython's command line. You can also set the C macro that Cython 3.2.3 and later reads. A file that includes
    another file does not inherit its comments.
    """

    info = RuleInfo(
        code="FT401",
        name="cython-missing-freethreading-directive",
        summary="A Cython module does not set `freethreading_compatible`, so importing it turns the GIL back on.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        asks_to_declare=True,
        remedy=(
            "Once the module is safe without the GIL, require `Cython>=3.1` in `[build-system]`, because older "
            "versions reject the directive. Then set `freethreading_compatible=True` in the `compiler_directives` of "
            "`cythonize()`. With Meson, add `cython_args: ['-Xfreethreading_compatible=True']` to each extension. For "
            "a single module, use a header comment."
        ),
        links=(
            "https://cython.readthedocs.io/en/latest/src/userguide/freethreading.html",
            "https://py-free-threading.github.io/porting-extensions/",
        ),
        declares=GilDeclaration.UNDECLARED,
    )

    VALID = (
        SourceExample(
            path="m.pyx",
            code="# cython: language_level=3, freethreading_compatible=True\ndef f(): pass\n",
            instead=True,
        ),
        SourceExample(path="m.pyx", code="#cython: embedsignature=True\n#cython: freethreading_compatible = True\n"),
        SourceExample(
            path="m.pyx",
            code="def f(): pass\n",
            others=(
                (
                    "setup.py",
                    "d = {'language_level': 3}\n"
                    "if cython_version >= (3, 1):\n"
                    "    d.update({'freethreading_compatible': True})\n"
                    "setup(ext_modules=cythonize(['m.pyx'], compiler_directives=d))\n",
                ),
            ),
        ),
        SourceExample(
            path="setup.py",
            code="FLAGS = ['-O2', '-DCYTHON_FREETHREADING_COMPATIBLE=1']\n"
            "setup(ext_modules=cythonize([Extension('m', ['m.pyx'], extra_compile_args=FLAGS)]))\n",
            others=(("m.pyx", "def f(): pass\n"),),
        ),
        SourceExample(
            path="pkg/meson.build",
            code="cython_args = ['-3', '--output-file', '@OUTPUT@', '@INPUT@']\n"
            "if cy.version().version_compare('>=3.1.0')\n"
            "  cython_args += ['-Xfreethreading_compatible=True']\n"
            "endif\n"
            "gen = generator(cython, arguments : cython_args, output : '@BASENAME@.c')\n",
            others=(("pkg/m.pyx", "def f(): pass\n"),),
        ),
        SourceExample(
            path="pkg/meson.build",
            code="modules = [['a', files('a.pyx')], ['b', files('b.pyx')]]\n"
            "foreach module : modules\n"
            "  py.extension_module(module[0], module[1], cython_args: ['-Xfreethreading_compatible=True'])\n"
            "endforeach\n",
            others=(("pkg/a.pyx", "def f(): pass\n"),),
        ),
        SourceExample(
            path="_part.pyx",
            code="def f(): pass\n",
            others=(("m.pyx", '# cython: freethreading_compatible=True\ninclude "_part.pyx"\n'),),
        ),
        SourceExample(path="m.pxd", code="cdef int f()\n"),
        SourceExample(
            path="setup.py",
            code="defaults = get_directive_defaults()\n"
            "defaults['freethreading_compatible'] = True\n"
            "setup(ext_modules=cythonize(['m.pyx']))\n",
            others=(("m.pyx", "def f(): pass\n"),),
        ),
        SourceExample(
            path="pkg/m.py",
            code="# cython: freethreading_compatible = True\nfrom typing import Any\n",
            others=(("setup.py", "FILES = ['pkg/m.py']\nsetup(ext_modules=cythonize(FILES))\n"),),
        ),
    )
    INVALID = (
        SourceExample(path="m.pyx", code="# cython: language_level=3\ndef f(): pass\n", lines=(1,)),
        SourceExample(path="m.pyx", code="def f(): pass\n# cython: freethreading_compatible=True\n", lines=(1,)),
        SourceExample(path="m.pyx", code="\n# cython: freethreading_compatible=False\ndef f(): pass\n", lines=(2,)),
        SourceExample(
            path="setup.py",
            code="setup(\n    ext_modules=cythonize(\n        [Extension('m', ['m.py'])],\n"
            "        compiler_directives={\n            'language_level': 3,\n        },\n    ),\n)\n",
            lines=(4,),
        ),
        SourceExample(
            path="setup.py",
            code="extensions = [\n    Extension('m', ['m.pyx'],\n"
            "              cython_directives={'language_level': '3'}),\n]\nsetup(ext_modules=extensions)\n",
            lines=(3,),
        ),
        SourceExample(
            path="meson.build",
            code="cython_args = ['-3', '@INPUT@']\n"
            "gen = generator(cython, arguments : cython_args + ['-Xfreethreading_compatible=True'])\n"
            "gen_cpp = generator(cython,\n  arguments : ['--cplus', '@INPUT@'])\n",
            others=(("m.pyx", "def f(): pass\n"),),
            lines=(4,),
        ),
        SourceExample(
            path="pkg/meson.build",
            code="modules = {\n  'a': {'sources': ['a.pyx']},\n  'b': {'sources': ['b.pyx']},\n}\n"
            "foreach name, module : modules\n"
            "  py.extension_module(name, module.get('sources'), subdir: 'pkg')\n"
            "endforeach\n",
            others=(("pkg/a.pyx", "def f(): pass\n"),),
            lines=(6,),
        ),
        SourceExample(
            path="fast.pyx",
            code='include "m.pyx"\n',
            others=(("m.pyx", "# cython: freethreading_compatible=True\n"),),
            lines=(1,),
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield each module without a declaration, each build step that compiles one, and each explicit no."""
        build = project.context.of(Room.BUILD, BuildContext)
        modules = tuple(_modules(project, build))
        said = [fact for fact in build.of(FactKind.DECLARES) if _in_force(fact, project)]
        yes = [fact for fact in said if fact.value == "true"]
        no = [fact for fact in said if fact.value == "false" and not any(_covers(other, fact.path) for other in yes)]
        for fact in no:
            yield self.finding(
                "the build sets `freethreading_compatible=False`: importing these modules turns the GIL on",
                location=project.location(fact.path, fact.line, fact.column),
                declares=GilDeclaration.USED,
            )
        undeclared = [
            module
            for module in modules
            if module.declares is None and not any(_covers(fact, module.path) for fact in (*yes, *no))
        ]
        for module in modules:
            if module.declares is False:
                yield self.finding(
                    "the header sets `freethreading_compatible=False`: importing this module turns the GIL on",
                    location=project.location(module.path, module.line),
                    declares=GilDeclaration.USED,
                )
        for place in build.of(FactKind.CYTHON_PLACE):
            if any(_speaks_for(fact, place) for fact in (*yes, *no)) or not _compiles_silent(place, modules):
                continue
            made = [module for module in _compiled_by(place, modules) if module in undeclared]
            undeclared = [module for module in undeclared if module not in made]
            yield self.finding(
                f"`{place.value}` runs Cython here without `freethreading_compatible`: importing the modules turns the "
                f"GIL on{_named_shortly(made)}",
                location=project.location(place.path, place.line, place.column),
            )
        for module in undeclared:
            yield self.finding(
                "neither this Cython module nor the build sets `freethreading_compatible`: importing the module turns "
                "the GIL on",
                location=project.location(module.path, module.line),
                confidence=Confidence.MEDIUM,
            )

    def fix(self, unit: Unit, finding: Finding) -> Fix | NoFix:
        """Add the directive to the module's comments, or to the build if every module of the tree has a declaration."""
        if finding.declares is GilDeclaration.USED:
            return NoFix(obstacle=Obstacle.AUTHOR_SAYS_USED)
        build = unit.context.of(Room.BUILD, BuildContext)
        places = {(fact.path, fact.line): fact for fact in build.of(FactKind.CYTHON_PLACE)}
        line = finding.location.line if finding.location is not None else None
        place = places.get((unit.path, line or 1))
        if place is None:
            return add_directive_comment(unit, finding)
        return add_directive(unit, finding)


def _modules(project: Project, build: BuildContext) -> Iterator[CythonModule]:
    """Yield the files that become modules: no included files, and Python files only if the build compiles them."""
    known = project.context.of(Room.CYTHON, CythonContext).modules
    words = {word for fact in build.of(FactKind.MENTIONS) for word in fact.names}
    compiled = set(_compiled_python(project, build))
    for module in known:
        if module.is_python:
            if module.path in compiled:
                compiled.discard(module.path)
                yield module
        elif not module.included or _named(module, words):
            yield module
    for path in sorted(compiled):
        yield CythonModule(path=path, line=1, declares=None)


def _named(module: CythonModule, words: set[str]) -> bool:
    """Return whether the build names an included file as a module of its own."""
    return module.stem in words or any(
        PurePosixPath(word).name in (f"{module.stem}.pyx", f"{module.stem}.pyx.in") or word.endswith(f".{module.stem}")
        for word in words
    )


def _compiled_python(project: Project, build: BuildContext) -> Iterator[str]:
    for fact in build.of(FactKind.COMPILED_PYTHON):
        for name in fact.names:
            pattern = fact.folder + name.removeprefix("./")
            for path in project.context.paths:
                if path == pattern or ("*" in pattern and path.endswith(".py") and fnmatchcase(path, pattern)):
                    yield path


def _in_force(fact: BuildFact, project: Project) -> bool:
    """Return whether a declaration that depends on the Python version applies to the target."""
    since = next((name.removeprefix("since:") for name in fact.names if name.startswith("since:")), None)
    if since is None:
        return True
    major, _, minor = since.partition(".")
    return project.target.version >= (int(major), int(minor))


def _covers(fact: BuildFact, path: str) -> bool:
    return path.startswith(fact.reach)


def _speaks_for(fact: BuildFact, place: BuildFact) -> bool:
    """Return whether a declaration elsewhere in the build also applies here: project-wide, or in another script."""
    if "project" in fact.names:
        return place.path.startswith(fact.reach)
    return fact.path != place.path and place.path.endswith(".py") and place.path.startswith(fact.reach)


_MOST_NAMED = 3


def _named_shortly(modules: list[CythonModule]) -> str:
    """Return the names of the first modules and the number of the others, in brackets; empty without modules."""
    if not modules:
        return ""
    names = ", ".join(module.path for module in modules[:_MOST_NAMED])
    more = len(modules) - _MOST_NAMED
    return f" ({names} and {more} more)" if more > 0 else f" ({names})"


def _compiled_by(place: BuildFact, modules: tuple[CythonModule, ...]) -> list[CythonModule]:
    """Return the modules that a place compiles: those that it names, or all within its reach."""
    wanted = {place.folder + name.removeprefix("./") for name in place.names}
    named = [module for module in modules if module.path in wanted]
    return named or [module for module in modules if module.path.startswith(place.reach)]


def _compiles_silent(place: BuildFact, modules: tuple[CythonModule, ...]) -> bool:
    """Return whether any module that the place may compile has no declaration in its header."""
    wanted = {place.folder + name.removeprefix("./") for name in place.names}
    made = _compiled_by(place, modules)
    if not any("*" in path for path in wanted) and len([one for one in made if one.path in wanted]) < len(wanted):
        return not made or any(module.declares is None for module in made)
    return any(module.declares is None for module in made)
