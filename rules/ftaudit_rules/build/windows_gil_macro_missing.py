"""FT113: a Windows build with its own macros does not define `Py_GIL_DISABLED`."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Room
from ftaudit.source.build import BuildContext, FactKind
from ftaudit.source.build.required_versions import build_requirements, is_bounded_below, requires_from

_SETUPTOOLS = "75.7.0"
"""The first setuptools that defines the macro on Windows by itself (pypa/setuptools 89627a772)."""


class WindowsGilMacroMissing(BuildRule):
    """On Windows one `pyconfig.h` serves both builds of CPython, so your build must define `Py_GIL_DISABLED` for the
    compiler.

    Without it the extension is compiled for the wrong object layout and crashes on import. setuptools defines it
    since 75.7.0, as do scikit-build-core and Meson; a project that supports older setuptools and lists its own
    Windows macros has to define it itself.
    """

    info = RuleInfo(
        code="FT113",
        name="windows-gil-macro-missing",
        summary=(
            "A build with its own Windows macros allows setuptools before 75.7 and does not define Py_GIL_DISABLED."
        ),
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy='Append ("Py_GIL_DISABLED", "1") to the Windows macros when sysconfig.get_config_var("Py_GIL_DISABLED") '
        "is set, or require setuptools>=75.7.",
        links=("https://docs.python.org/3.14/howto/free-threading-extensions.html#windows",),
    )

    VALID = (
        SourceExample(
            code="if os.name == 'nt':\n"
            "    macros.append(('WINVER', '0x0601'))\n"
            "    ext = Extension('m', ['m.c'], define_macros=macros)\n",
            others=(("pyproject.toml", '[build-system]\nrequires = ["setuptools>=77"]\n'),),
        ),
        SourceExample(
            code="if os.name == 'nt':\n"
            "    macros.append(('WINVER', '0x0601'))\n"
            "    ext = Extension('m', ['m.c'], define_macros=macros)\n",
            others=(("pyproject.toml", '[build-system]\nrequires = ["setuptools"]\n'),),
        ),
        SourceExample(
            code="if WINDOWS:\n"
            "    macros.append(('WINVER', '0x0601'))\n"
            "    if FT:\n"
            "        macros.append(('Py_GIL_DISABLED', 1))\n"
            "    ext = Extension('m', ['m.c'], define_macros=macros)\n",
            others=(("pyproject.toml", '[build-system]\nrequires = ["setuptools>=43"]\n'),),
        ),
    )
    INVALID = (
        SourceExample(
            code="if WINDOWS:\n"
            "    macros.append(('WINVER', '0x0601'))\n"
            "    ext = Extension('m', ['m.c'], define_macros=macros)\n",
            others=(("pyproject.toml", '[build-system]\nrequires = ["setuptools>=43"]\n'),),
            lines=(2,),
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield the first list of Windows macros, if the build explicitly allows an old setuptools."""
        build = project.context.of(Room.BUILD, BuildContext)
        if any(fact.value == "macro" for fact in build.of(FactKind.GIL_MACRO)):
            return
        allowed = [requirement.specifier for _, requirement in build_requirements(build, "setuptools")]
        if not any(is_bounded_below(each) and not requires_from(each, _SETUPTOOLS) for each in allowed):
            return
        for fact in build.of(FactKind.WINDOWS_MACROS)[:1]:
            yield self.finding(
                "These macros are for Windows, older setuptools is allowed, and nothing defines Py_GIL_DISABLED.",
                location=project.location(fact.path, fact.line, fact.column),
            )
