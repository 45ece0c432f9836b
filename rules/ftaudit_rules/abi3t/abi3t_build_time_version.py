"""FT718: code that uses the version of the build as the version of the run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit
from ftaudit_rules.abi3t._migration import GUIDE, LINKS, find_in_abi3t

_VERSION = re.compile(r"\b(?P<name>PY_(?:VERSION_HEX|MAJOR_VERSION|MINOR_VERSION|MICRO_VERSION|VERSION))\b")


class Abi3tBuildTimeVersion(CRule):
    """An abi3t module runs on many versions of CPython, so the version that it was built with is not the version that
    runs it. The rule ignores preprocessor conditions (`#if PY_VERSION_HEX`), because these are about the headers."""

    info = RuleInfo(
        code="FT718",
        name="abi3t-build-time-version",
        summary=(
            "The code uses the CPython version of the build at run time, but an abi3t module also runs on later "
            "versions."
        ),
        severity=Severity.INFO,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Read `Py_Version` for the running version, and `Py_TARGET_ABI3T` for the oldest supported version.",
        links=(f"{GUIDE}#avoid-build-time-conditionals", *LINKS[1:]),
        default=False,
        migration=True,
    )
    words = ("PY_",)
    VALID = (
        SourceExample(
            code="""\
#if PY_VERSION_HEX >= 0x030F0000
static int new_enough(void) { return Py_Version >= 0x03100000; }
#endif
""",
            target="3.15t",
            instead=True,
        ),
        SourceExample(code="static int f(void) { return PY_VERSION_HEX >= 0x030C0000; }\n"),
    )
    INVALID = (
        SourceExample(code="static int f(void) { return PY_VERSION_HEX >= 0x03100000; }\n", lines=(1,), target="3.15t"),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        for found in find_in_abi3t(unit, _VERSION):
            yield self.finding(
                f"`{found['name']}` is the CPython version of the build, not the version that runs this code",
                location=unit.place(found.start()),
            )
