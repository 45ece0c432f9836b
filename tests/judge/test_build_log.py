"""The output of compilers and build tools, and the reason why a build failed."""

from __future__ import annotations

import pytest

from ftaudit.judge.build_log import classify_log
from ftaudit.model.local_builds import BuildProblem


@pytest.mark.parametrize(
    ("log", "problem", "missing", "debian"),
    [
        ("m.c:1:10: fatal error: libpq-fe.h: No such file or directory\n", "header", "libpq-fe.h", "libpq-dev"),
        ("m.c:1:10: fatal error: 'openssl/ssl.h' file not found\n", "header", "openssl/ssl.h", "libssl-dev"),
        ("m.c:1:10: fatal error: own.h: No such file or directory\n", "header", "own.h", None),
        (
            "/usr/bin/ld: cannot find -lmysqlclient: No such file\n",
            "library",
            "mysqlclient",
            "default-libmysqlclient-dev",
        ),
        ("Package libffi was not found in the pkg-config search path.\n", "library", "libffi", "libffi-dev"),
        ("Error: pg_config executable not found.\n", "tool", "pg_config", "libpq-dev"),
        ("error: command 'gcc' failed: No such file or directory\n", "compiler", None, None),
        ("ERROR: Unknown compiler(s): [['cc'], ['gcc']]\n", "compiler", None, None),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'cmake'\n", "tool", "cmake", "cmake"),
        ("error: can't find Rust compiler\n", "tool", "cargo", "cargo"),
        ("error: failed to get `pyo3` as a dependency of package `x`\n", "crates", None, None),
        ("error: no matching package named `pyo3` found\nlocation searched: …\n", "crates", None, None),
        ("Exception: Can not find valid pkg-config name.\n", "library", None, None),
        (
            "urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>\n",
            "network",
            None,
            None,
        ),
        (
            "ValueError: `py_limited_api='cp39'` not supported. `Py_LIMITED_API` is currently incompatible with "
            "`Py_GIL_DISABLED`. See …\n",
            "limited-api",
            None,
            None,
        ),
        ("m.c:3:5: error: unknown type name 'foo'\n", "error", None, None),
        ("", "error", None, None),
    ],
)
def test_the_first_cause_is_named_with_what_brings_it(
    log: str, problem: str, missing: str | None, debian: str | None
) -> None:
    failure = classify_log(
        f"running build_ext\n{log}error: command '/usr/bin/gcc' failed with exit code 1\n" if log else log
    )
    assert (failure.problem.value, failure.missing) == (problem, missing)
    assert (failure.packages.debian if failure.packages else None) == debian
    assert not failure.refuses
    assert (failure.error is None) is (log == "")


@pytest.mark.parametrize(
    "line",
    [
        "error: the project does not support free-threaded Python",
        "panicked: free-threaded Python builds are not supported",
        '#error "Py_GIL_DISABLED is not supported"',
        "RuntimeError: This package cannot be built for the free-threaded build",
    ],
)
def test_a_build_that_refuses_free_threading_by_itself_is_told_apart(line: str) -> None:
    assert classify_log(f"running build\n{line}\n").refuses
    assert not classify_log(f"warning: {line}\nm.c:1:2: fatal error: own.h: No such file or directory\n").refuses


def test_a_line_of_stars_is_no_error() -> None:
    log = f"{'*' * 80}\nPlease use a newer license field.\n{'*' * 80}\nmake: *** [all] Error 1\n"
    assert classify_log(log).error == "make: *** [all] Error 1"


def test_a_refusal_after_the_first_cause_is_not_the_cause() -> None:
    log = "fatal error: ffi.h: No such file or directory\nnote: free-threaded Python is not supported on Windows\n"
    assert classify_log(log).problem is BuildProblem.HEADER
