"""FT304: a project that declares itself safe without the GIL while an error-level hazard remains in its code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import BuildRule, Project, Role, Room
from ftaudit.source.c import CTree

_HAZARDS: Final = ("FT31", "FT32", "FT33", "FT34")


class GilNotUsedContradicted(BuildRule):
    """The declaration is a promise: CPython leaves the GIL off because of it. Where the code still relies on the GIL,
    users of the free-threaded build get crashes instead of a module that is merely slow.
    """

    info = RuleInfo(
        code="FT304",
        name="gil-not-used-contradicted",
        summary="A module declares Py_MOD_GIL_NOT_USED although an error-level hazard remains in the project's code.",
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Mend the hazards, or take the declaration back until they are.",
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html",
            "https://peps.python.org/pep-0703/",
        ),
    )
    VALID = (
        SourceExample(
            path="m.c",
            code="static PyModuleDef_Slot s[] = {{Py_mod_gil, Py_MOD_GIL_NOT_USED}, {0, NULL}};\n",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield one finding, at the first declaration, when errors of the project's own C or C++ code remain."""
        declared = {
            path: line
            for path, line in sorted(project.context.of(Room.C, CTree).not_used.items())
            if project.roles.get(path, Role.OWN) is Role.OWN
        }
        hazards = [
            finding
            for finding in project.findings
            if finding.severity is Severity.ERROR
            and finding.code.startswith(_HAZARDS)
            and finding.location is not None
            and project.roles.get(finding.location.path, Role.OWN) is Role.OWN
        ]
        if not declared or not hazards:
            return
        path, line = next(iter(declared.items()))
        first = hazards[0]
        more = f" and {len(hazards) - 1} more" if len(hazards) > 1 else ""
        yield self.finding(
            f"declared safe without the GIL, but {first.rule} at {first.location}{more} says otherwise",
            location=project.location(path, line),
        )
