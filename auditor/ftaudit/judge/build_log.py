"""Classifies why a build fails, from the output of compilers and build tools."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ftaudit.judge.system_packages import find_packages
from ftaudit.model.local_builds import BuildProblem, SystemPackages

_LONGEST: Final = 300
_NAME: Final = r"['\"`‘]?(?P<name>[\w+./@-]{1,100})['\"`’]?"
_PATTERNS: Final = (
    (
        BuildProblem.LIMITED_API,
        r"Py_LIMITED_API`? is (?:currently )?incompatible with `?Py_GIL_DISABLED|limited API is (?:currently )?not "
        r"(?:currently )?supported in the free-threaded build",
    ),
    (BuildProblem.HEADER, rf"fatal error: {_NAME}: No such file or directory"),
    (BuildProblem.HEADER, rf"fatal error: {_NAME} file not found"),
    (BuildProblem.LIBRARY, rf"cannot find -l{_NAME}"),
    (BuildProblem.LIBRARY, rf"library not found for -l{_NAME}"),
    (BuildProblem.LIBRARY, rf"No package {_NAME} found"),
    (BuildProblem.LIBRARY, rf"Package {_NAME} was not found in the pkg-config search path"),
    (BuildProblem.LIBRARY, rf"Dependency \"{_NAME}\" not found"),
    (BuildProblem.LIBRARY, rf"Could NOT find {_NAME} \(missing"),
    (
        BuildProblem.TOOL,
        r"(?P<name>pg_config|mysql_config|mariadb_config|gdal-config|xml2-config|curl-config|krb5-config)"
        r"(?: executable)?(?::| is| was|,)? ?(?:command )?not found",
    ),
    (BuildProblem.LIBRARY, r"Can(?: ?not|'t) find valid pkg-config name"),
    (
        BuildProblem.CRATES,
        r"(?:failed to (?:get|download|fetch|load source for)|unable to update registry|index\.crates\.io"
        r"|static\.crates\.io|but --offline was specified|download of config\.json failed"
        r"|no matching package named `)[^\n]*",
    ),
    (
        BuildProblem.TOOL,
        r"(?:can't find|cannot find|requires) (?:a )?(?P<name>Rust)(?: compiler| toolchain)|"
        r"(?P<cargo>Cargo, the Rust package manager, is not installed)"
        r"|Rust not found, installing into a temporary directory",
    ),
    (
        BuildProblem.COMPILER,
        r"Unknown compiler\(s\)|No CMAKE_(?:C|CXX|Fortran)_COMPILER could be found|"
        r"(?:command|unable to execute) ['\"`](?:[\w/.-]*/)?(?:gcc|cc|clang|c\+\+|g\+\+|[\w-]+-gcc)['\"`](?: failed)?"
        r": No such file|"
        r"no acceptable C compiler found|Compiler \w+ cannot compile programs",
    ),
    (
        BuildProblem.NETWORK,
        r"Temporary failure in name resolution|Name or service not known|Network is unreachable"
        r"|Could ?n[o']t resolve host|"
        r"Failed to establish a new connection|nodename nor servname provided|urlopen error",
    ),
    (BuildProblem.TOOL, rf"No such file or directory: {_NAME}\s*$"),
    (BuildProblem.TOOL, r"(?:^|: )(?P<name>[\w.+-]{2,40}): (?:command )?not found"),
    (BuildProblem.TOOL, rf"Program {_NAME} not found or not executable"),
)
_COMPILED: Final = tuple((problem, re.compile(pattern, re.IGNORECASE | re.MULTILINE)) for problem, pattern in _PATTERNS)
_REFUSES: Final = re.compile(
    r"^[^\n]*(?:(?:not|n't|no|un)[ -]?(?:yet )?(?:currently )?(?:be )?(?:support|compatib|built|build|available)[^\n]*"
    r"(?:free[- ]?thread|GIL[- ]?disabled|Py_GIL_DISABLED|no-?gil)"
    r"|(?:free[- ]?thread\w*|GIL[- ]?disabled|Py_GIL_DISABLED|no-?gil)[^\n]*(?:not|n't|un)[ -]?(?:yet )?(?:currently )?"
    r"(?:be )?(?:support|compatib|available|allowed))[^\n]*$",
    re.IGNORECASE | re.MULTILINE,
)
_MERE_WARNING: Final = re.compile(r"warning|deprecat", re.IGNORECASE)
_ERROR: Final = re.compile(
    r"^[^\n]*(?:\berror(?:\[\w+\])?:|\bError: |^error |: error |Exception: |\*\*\* [\w\[]|FAILED:|fatal:)[^\n]*$",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildFailure:
    """Why a build fails, as far as its log shows."""

    problem: BuildProblem
    refuses: bool = False
    """It explicitly refuses free-threaded Python."""
    missing: str | None = None
    packages: SystemPackages | None = None
    error: str | None = None


def classify_log(log: str) -> BuildFailure:
    """Return why a build failed. The first cause in the log counts; if no pattern matches, it is an error."""
    found = sorted(_causes(log), key=lambda cause: cause[0])
    refusal = next((each for each in _REFUSES.finditer(log) if not _MERE_WARNING.search(each[0])), None)
    if found and found[0][1].problem is BuildProblem.LIMITED_API:
        return found[0][1]
    if refusal is not None and (not found or refusal.start() <= found[0][0]):
        return BuildFailure(problem=BuildProblem.ERROR, refuses=True, error=_line(log, refusal.start()))
    if found:
        return found[0][1]
    error = _ERROR.search(log)
    last = next((line for line in reversed(log.splitlines()) if line.strip()), None)
    return BuildFailure(
        problem=BuildProblem.ERROR,
        error=_line(log, error.start()) if error else None if last is None else last.strip()[:_LONGEST],
    )


def _causes(log: str) -> Iterator[tuple[int, BuildFailure]]:
    for problem, pattern in _COMPILED:
        found = pattern.search(log)
        if found is None:
            continue
        named = found.groupdict()
        missing = named.get("name") or ("cargo" if named.get("cargo") else None)
        if missing is not None and problem is BuildProblem.TOOL and missing.lower() == "rust":
            missing = "cargo"
        yield (
            found.start(),
            BuildFailure(
                problem=problem,
                missing=missing,
                packages=find_packages(missing) if missing else None,
                error=_line(log, found.start()),
            ),
        )


def _line(log: str, at: int) -> str:
    first = log.rfind("\n", 0, at) + 1
    last = log.find("\n", at)
    return " ".join(log[first : last if last >= 0 else len(log)].split())[:_LONGEST]
