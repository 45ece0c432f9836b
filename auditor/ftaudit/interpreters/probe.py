"""Start an executable once and check whether it is the free-threaded CPython that the target asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from ftaudit.errors import InterpreterError
from ftaudit.model import Interpreter
from ftaudit.processes import run_tool
from ftaudit.target import Target

PROBE_SECONDS: Final = 20.0
"""A pyenv shim or a broken executable must not hold us up; a cold start on a slow disk may take a few seconds."""

OPTIONAL_MODULES: Final = ("ssl", "ctypes", "zlib", "bz2", "lzma", "sqlite3", "compression.zstd")
"""Standard-library modules that need headers at build time and that audited packages import."""

_PROBE: Final = f"""
import json, platform, sys, sysconfig
missing = []
for name in {OPTIONAL_MODULES!r}:
    if name.partition(".")[0] not in sys.stdlib_module_names:
        continue  # Later than this version.
    try:
        __import__(name)
    except ImportError:
        missing.append(name)
print(json.dumps({{
    "version": ".".join(map(str, sys.version_info[:3])),
    "build": " ".join(sys.version.split()),
    "implementation": sys.implementation.name,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "executable": sys.executable,
    "missing": missing,
}}))
"""


def probe_interpreter(executable: Path, target: Target, *, source: str = "") -> Interpreter:
    """Start the executable and return its description; `source` says why it is probed.

    Raise `InterpreterError` if it does not start, is not CPython, is a GIL-enabled build or is another
    version than the target. The build identifies itself: `Py_GIL_DISABLED` in `sysconfig` (PEP 703).
    """
    # `-I` leaves the caller's PYTHON* variables and user site-packages out of the answer.
    ran = run_tool([executable, "-I", "-c", _PROBE], timeout=PROBE_SECONDS, cwd=Path(Path.cwd().anchor))
    if not ran.ok:
        why = ran.errors.splitlines()[-1:] or [f"it ended with {ran.code}"]
        raise InterpreterError(f"{executable} does not run: {why[0]}")
    try:
        answer = json.loads(ran.output)
        version, build = str(answer["version"]), str(answer["build"])
        implementation, free_threaded = answer["implementation"], answer["free_threaded"]
        path, missing = str(answer["executable"]), tuple(map(str, answer["missing"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InterpreterError(f"{executable} does not behave like a Python interpreter") from error
    wanted = ".".join(map(str, target.version))
    if implementation != "cpython" or version.rsplit(".", 1)[0] != wanted:
        raise InterpreterError(f"{executable} is {implementation} {version}, not CPython {wanted}")
    if not free_threaded:
        raise InterpreterError(f"{executable} is a GIL-enabled build of CPython {version}")
    return Interpreter(path=path or str(executable), version=version, build=build, source=source, missing=missing)
