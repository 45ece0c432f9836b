"""FT421: a nanobind module asks for the stable ABI but sets no flag for free-threaded builds."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, GilDeclaration, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Room
from ftaudit.source.build import BuildContext, find_nanobind_modules


class NanobindStableAbiOnly(BuildRule):
    """Free-threaded builds before 3.15 have no stable ABI, and nanobind ignores `STABLE_ABI` there.

    The result is a module for one Python version that has no locks and turns the GIL on. You can pass both flags:
    nanobind uses the one that fits.
    """

    info = RuleInfo(
        code="FT421",
        name="nanobind-stable-abi-only",
        summary="`nanobind_add_module` has `STABLE_ABI` without `FREE_THREADED`.",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        since="0.1.0",
        remedy="Add `FREE_THREADED` next to `STABLE_ABI` once the bindings are safe without the GIL.",
        links=("https://nanobind.readthedocs.io/en/latest/free_threaded.html",),
        declares=GilDeclaration.UNDECLARED,
    )

    VALID = (
        SourceExample(
            path="CMakeLists.txt", code="nanobind_add_module(ext STABLE_ABI FREE_THREADED ext.cpp)\n", instead=True
        ),
        SourceExample(path="CMakeLists.txt", code="nanobind_add_module(ext ext.cpp)\n"),
    )
    INVALID = (SourceExample(path="CMakeLists.txt", code="nanobind_add_module(ext STABLE_ABI ext.cpp)\n", lines=(1,)),)

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield each module that has only the first of the two flags."""
        for fact in find_nanobind_modules(project.context.of(Room.BUILD, BuildContext)):
            if "STABLE_ABI" in fact.names:
                yield self.finding(
                    (
                        f"{f'`{fact.value}`' if fact.value else 'the module'} is built only for the stable ABI, which "
                        "free-threaded builds before 3.15 do not have"
                    ),
                    location=project.location(fact.path, fact.line, fact.column),
                )
