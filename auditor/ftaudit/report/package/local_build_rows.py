"""The rows of builds on this machine, for a terminal and as JSON. They are never verdicts of published wheels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ftaudit.__about__ import __version__
from ftaudit.model.local_builds import BuildAnswer, BuildProblem, LocalBuild
from ftaudit.report.console import clean
from ftaudit.report.package.agreeing_rows import counted

SCHEMA_VERSION = 1


def render_table(builds: Sequence[LocalBuild], target: str) -> str:
    """Return the builds as text, one block each."""
    good = sum(build.exit_code == 0 for build in builds)
    lines = [f"Built here: {good} of {counted(len(builds), 'release')} can be built for {target} with the GIL off.", ""]
    for build in builds:
        lines += [clean(line) for line in build_lines(build)]
    return "\n".join(lines) + "\n"


def render_json(builds: Sequence[LocalBuild], target: str, *, exit_code: int) -> str:
    """Return the builds as JSON text."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "ftaudit", "version": __version__},
        "target": target,
        "exit_code": exit_code,
        "builds": [build_as_dict(build) for build in builds],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def build_as_dict(build: LocalBuild) -> dict[str, Any]:
    """Return a build as plain JSON values."""
    packages = build.packages
    return {
        "name": build.name,
        "version": build.version,
        "answer": build.answer.value,
        "sdist": build.sdist,
        "interpreter": build.interpreter,
        "verdict": None if build.verdict is None else build.verdict.value,
        "reasons": list(build.reasons),
        "culprits": list(build.culprits),
        "problem": None if build.problem is None else build.problem.value,
        "missing": build.missing,
        "packages": None
        if packages is None
        else {"debian": packages.debian, "fedora": packages.fedora, "homebrew": packages.homebrew},
        "error": build.error,
        "wheel": build.wheel,
        "log": build.log,
        "seconds": build.seconds,
        "cached": build.cached,
    }


def build_lines(build: LocalBuild) -> Iterator[str]:
    """Yield the lines of one build."""
    when = "from the cache" if build.cached else f"{build.seconds:.0f} s"
    yield f"  {build.name} {build.version}  {answer_phrase(build)} ({when})"
    for reason in build.reasons if build.answer not in (BuildAnswer.LEAVES_GIL_OFF, BuildAnswer.PURE) else ():
        yield f"      {reason}"
    if build.packages is not None:
        brings = build.packages
        yield f"      install it: Debian {brings.debian} · Fedora {brings.fedora} · Homebrew {brings.homebrew}"
    if build.problem is BuildProblem.REQUIREMENTS:
        yield "      next: build them with `ftaudit build` and `--wheel-dir FOLDER`, and add `--find-links FOLDER`"
    if build.error:
        yield f"      first error: {build.error}"
    if build.wheel:
        yield f"      wheel: {build.wheel}"
    if build.log:
        yield f"      log: {build.log}"


def answer_phrase(build: LocalBuild) -> str:
    """Return the result of a build, as a phrase."""
    match build.answer:
        case BuildAnswer.LEAVES_GIL_OFF:
            return "builds and leaves the GIL off"
        case BuildAnswer.PURE:
            return "builds a pure-Python wheel"
        case BuildAnswer.TURNS_GIL_ON:
            return f"builds and turns the GIL on: {', '.join(build.culprits) or 'an unidentified module'}"
        case BuildAnswer.BROKEN:
            return "builds, but its modules cannot be imported"
        case BuildAnswer.UNDECIDED:
            return "builds, but its effect on the GIL could not be determined"
        case BuildAnswer.REFUSES:
            return "refuses to build for free-threaded Python"
        case BuildAnswer.FAILS if build.problem is BuildProblem.UNREACHABLE:
            return f"not built: {problem_phrase(build)}"
        case BuildAnswer.FAILS:
            return f"does not build: {problem_phrase(build)}"


def problem_phrase(build: LocalBuild) -> str:
    """Return why a build has no wheel, as a phrase."""
    match build.problem:
        case BuildProblem.REQUIREMENTS:
            return f"its build requirements have no wheels to install ({build.missing})"
        case BuildProblem.COMPILER:
            return "there is no compiler"
        case BuildProblem.TOOL:
            return _missing("program", build)
        case BuildProblem.HEADER:
            return _missing("header", build)
        case BuildProblem.LIBRARY:
            return _missing("library", build)
        case BuildProblem.LIMITED_API:
            return "it uses the limited API, which free-threaded builds do not have before 3.15"
        case BuildProblem.CRATES:
            return "it needs Rust crates, and a build has no network"
        case BuildProblem.NETWORK:
            return "it needs the network"
        case BuildProblem.TIME:
            return "it takes too long (see --build-timeout)"
        case BuildProblem.MEMORY:
            return "it needs too much memory"
        case BuildProblem.DISK:
            return "it writes too much data"
        case BuildProblem.OUTPUT:
            return "it prints too much output"
        case BuildProblem.SANDBOX:
            return "this system cannot run it in a sandbox"
        case BuildProblem.UNREACHABLE:
            return "its source distribution could not be fetched"
        case BuildProblem.SDIST:
            return "its source distribution cannot be used"
        case BuildProblem.ERROR | None:
            return "its build fails"


def _missing(kind: str, build: LocalBuild) -> str:
    """Return what is missing, by its name if the log has it."""
    return f"a {kind} is missing" if build.missing is None else f"the {kind} {build.missing} is missing"
