"""FT360: functions of the C library that keep their result or state in one place for all threads."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import CRule
from ftaudit.source.c import CUnit

_UNSAFE = {
    **dict.fromkeys(("localtime", "gmtime", "asctime", "ctime"), "returns a buffer that all threads share"),
    **dict.fromkeys(
        ("strtok", "wcstok_s_global", "lgamma_global"), "keeps its position in a variable that all threads share"
    ),
    **dict.fromkeys(
        ("getpwnam", "getpwuid", "getgrnam", "getgrgid", "getpwent", "getgrent"),
        "returns a buffer that all threads share",
    ),
    **dict.fromkeys(
        ("gethostbyname", "gethostbyaddr", "getservbyname", "getservbyport"), "returns a buffer that all threads share"
    ),
    **dict.fromkeys(("getprotobyname", "inet_ntoa"), "returns a buffer that all threads share"),
    **dict.fromkeys(
        ("rand", "srand", "random", "srandom", "drand48", "srand48", "lrand48", "mrand48"),
        "uses one state for all threads",
    ),
    **dict.fromkeys(
        ("tmpnam", "ttyname", "ptsname", "getlogin", "ecvt", "fcvt", "l64a"), "returns a buffer that all threads share"
    ),
    **dict.fromkeys(
        ("dirname", "crypt", "hcreate", "hsearch", "getmntent"), "may return a buffer that all threads share"
    ),
    **dict.fromkeys(("setlocale",), "changes the locale of all threads"),
    **dict.fromkeys(("setenv", "putenv", "unsetenv", "clearenv"), "changes the environment that other threads read"),
    **dict.fromkeys(("strerror", "getenv"), "may return a buffer that another thread overwrites"),
}
_MILD = frozenset({"strerror", "getenv"})
_WINDOWS = re.compile(r"(?<!!defined\()\b(?:_WIN32|_WIN64|_MSC_VER|MS_WINDOWS|MS_WIN32|WIN32|_WINDOWS)\b")
_NOT_LIBC = re.compile(r"(?:\.|->|(?<!std)(?<!\w)::|\w::)\s*$")
_DECLARES = re.compile(r"\b(?:int|char|long|double|void|struct\s+\w+|auto|extern|\w+_t)\s*\**\s*$")
_NO_CHANGE = re.compile(r"^(?:NULL|nullptr|0)$")


class ThreadUnsafeLibc(CRule):
    """`localtime`, `strtok`, `rand` and similar functions use a static buffer or other state of the process. Under the
    GIL only one thread ran at a time; without it two threads overwrite each other's result. The rule reports `getenv`
    and `strerror`, which rarely cause problems, only with `--pedantic`."""

    info = RuleInfo(
        code="FT360",
        name="thread-unsafe-libc",
        summary="The code calls a function of the C library that shares static state between threads.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=("Use the `_r` variant (`_s` on Windows), or hold a lock around the call and the use of its result."),
        links=("https://man7.org/linux/man-pages/man7/attributes.7.html",),
    )
    VALID = (
        SourceExample(
            code="""\
int f(time_t now) { struct tm tmv; struct tm *t = localtime_r(&now, &tmv); return t->tm_year; }
""",
            instead=True,
        ),
        SourceExample(
            code="""\
#ifdef _WIN32
int f(time_t now) { struct tm *t = localtime(&now); return t->tm_year; }
#endif
""",
        ),
        SourceExample(
            code="""\
int f(Clock &c) { return c.localtime(3) + my::rand(); }
""",
            path="a.cpp",
        ),
        SourceExample(
            code="""\
static char *strtok(char *s, char *d) { return s; }
int f(char *s) { return strtok(s, s) != 0; }
""",
        ),
        SourceExample(
            code="""\
char *now(void) { return setlocale(LC_ALL, NULL); }
""",
        ),
    )
    INVALID = (
        SourceExample(
            code="""\
int f(time_t now) { struct tm *t = localtime(&now); return t->tm_year; }
""",
            lines=(1,),
        ),
        SourceExample(
            code="""\
void f(char *s) { char *t = strtok(s, ","); setlocale(LC_NUMERIC, "C"); srand(1); }
""",
            lines=(1,),
        ),
    )

    def check(self, unit: CUnit) -> Iterator[Finding]:
        """Yield what the rule finds in one file."""
        names = _UNSAFE.keys() & unit.called_names
        if not names:
            return
        defined = {function.short_name for function in unit.functions}
        for call in unit.calls(
            *(name for name in sorted(names) if name not in defined and name not in unit.preprocessed.macros)
        ):
            before = unit.code[max(0, call.start - 40) : call.start]
            if _DECLARES.search(before) or (_NOT_LIBC.search(before) and not before.rstrip().endswith("std::")):
                continue
            if unit.at_import(call.function) or unit.guarded(call.start):
                continue
            if call.name == "setlocale" and call.arguments and _NO_CHANGE.match(call.arguments[-1].strip()):
                continue
            if any(_WINDOWS.search(c) and not c.startswith("!") for c in unit.preprocessed.conditions_at(call.start)):
                continue
            yield self.finding(
                f"`{call.name}` {_UNSAFE[call.name]}",
                location=unit.place(call.start),
                severity=Severity.PEDANTIC if call.name in _MILD else None,
            )
