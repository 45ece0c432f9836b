"""Runs the command as a user does, in a separate process with a clean environment."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.command_server import TIMEOUT, CommandServer
from support.freethreaded import interpreter

from ftaudit.errors import InterpreterError


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of the command: the test's own home and cache.

    The interpreter is the one of this test run: it may be in the user's cache, which the command does not see.
    """
    scrubbed = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "FTAUDIT_CACHE_DIR": str(home / ".ftaudit-cache"),
        "UV_CACHE_DIR": str(home / ".uv-cache"),
        "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": "1796000000",  # Reports of two runs differ in nothing but what they found.
    }
    with contextlib.suppress(InterpreterError):
        scrubbed["FTAUDIT_PYTHON"] = interpreter().path
    return scrubbed | dict(extra or {})


def network() -> dict[str, str]:
    """Return this machine's own settings of indexes, certificates and proxies, for tests of the real index."""
    named = ("SSL_", "REQUESTS_", "CURL_", "PIP_", "UV_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    return {name: value for name, value in os.environ.items() if name.upper().startswith(named) and "CACHE" not in name}


@functools.cache
def _server() -> CommandServer:
    return CommandServer({"PATH": os.environ["PATH"], "HOME": os.devnull, "LC_ALL": "C.UTF-8"})


def ftaudit(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `ftaudit ARGUMENTS` in a folder and return its output."""
    words = [*map(str, arguments)]
    scrubbed = environment(cwd, env)
    read_at_start = any(name.startswith(("PYTHON", "COVERAGE", "LD_")) or name == "LC_ALL" for name in env or {})
    ran = None if read_at_start else _server().run(words, cwd=cwd, env=scrubbed)
    return ran or subprocess.run(
        [sys.executable, "-m", "ftaudit", *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        env=scrubbed,
        timeout=TIMEOUT,
        check=False,
    )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The output of `ftaudit check --format json`."""

    code: int
    document: dict[str, Any]
    errors: str
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name; the last one if there are several platforms."""

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict of each package, by name."""
        return {name: row["verdict"] for name, row in self.rows.items()}

    def reasons(self, name: str) -> str:
        """All reasons of a package as one text."""
        return "\n".join(self.rows[name]["reasons"])


def check(*arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> Answer:
    """Run `ftaudit check --format json` and return its answer; there must be one, and no traceback."""
    ran = ftaudit("check", "--format", "json", *arguments, cwd=cwd, env=env)
    assert "Traceback" not in ran.stderr, ran.stderr
    assert ran.stdout, ran.stderr
    document = json.loads(ran.stdout)
    rows = {row["name"]: row for row in document["packages"]}
    return Answer(code=ran.returncode, document=document, errors=ran.stderr, rows=rows)
