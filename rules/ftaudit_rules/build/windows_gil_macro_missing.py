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
    """On Windows both builds of CPython use the same `pyconfig.h`, so the build must define `Py_GIL_DISABLED`. Without
    this macro the extension is compiled for the wrong object layout and crashes on import. setuptools 75.7.0 and later,
    scikit-build-core and Meson define it. A project that supports older versions of setuptools has to define it in its
    list of Windows macros.
    """

    info = RuleInfo(
        code="FT113",
        name="windows-gil-macro-missing",
        summary=(
            "The build does not define `Py_GIL_DISABLED` on Windows, and allows setuptools before 75.7, which does "
            "not define it either."
        ),
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            'Append `("Py_GIL_DISABLED", "1")` to the Windows macros if `sysconfig.get_config_var("Py_GIL_DISABLED")` '
            "is true, or require `setuptools>=75.7`."
        ),
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
            instead=True,
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
                (
                    "these macros for Windows do not include `Py_GIL_DISABLED`, and setuptools before 75.7 does not "
                    "define it"
                ),
                location=project.location(fact.path, fact.line, fact.column),
            )
