"""FT362: calls that change state of the whole process."""

from __future__ import annotations

from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit

_CHANGES = {
    **dict.fromkeys(
        ("chdir", "fchdir", "SetCurrentDirectoryA", "SetCurrentDirectoryW"),
        "changes the working directory of all threads",
    ),
    "umask": "changes the file mode creation mask of all threads",
    **dict.fromkeys(("signal", "sigaction"), "changes a signal handler of the process"),
    "setrlimit": "changes the resource limits of the process",
    "SetConsoleMode": "changes the console of the process",
}


class ProcessGlobalStateC(CRule):
    """The working directory, the file mode mask, signal handlers and limits belong to the process. A temporary change
    affects all threads, with or without the GIL. Without the GIL those threads run at the same time, so they see the
    change more often."""

    info = RuleInfo(
        code="FT362",
        name="process-global-state-c",
        summary="A function changes the state of the whole process.",
        severity=Severity.INFO,
        confidence=Confidence.LOW,
        since="0.1.0",
        remedy=(
            "Pass the value as an argument instead (`openat`, explicit file modes), or make the change once at "
            "start-up."
        ),
        links=("https://man7.org/linux/man-pages/man7/attributes.7.html",),
        default=False,
    )
    VALID = (
        SourceExample(
            code="""\
int f(int dir) { return openat(dir, "x", 0); }
""",
            instead=True,
        ),
        SourceExample(
            code="""\
PyMODINIT_FUNC PyInit_m(void) { signal(SIGPIPE, SIG_IGN); return PyModule_Create(&def); }
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
int f(const char *d) { return chdir(d); }
""",
            lines=(1,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        defined = {function.short_name for function in unit.functions}
        for call in unit.calls(*sorted(_CHANGES.keys() & unit.called_names - defined)):
            before = unit.code[max(0, call.start - 3) : call.start].rstrip()
            if before.endswith((".", "->", "::")) or unit.at_import(call.function):
                continue
            yield self.finding(f"`{call.name}` {_CHANGES[call.name]}", location=unit.place(call.start))
