"""Runs many commands of ftaudit quickly: one process imports everything, and each command is a fork of it.

A command has its own process, environment, folder and output, as if it were started alone. What it does not have is
the half second in which a fresh interpreter imports ftaudit; the suite starts thousands of commands.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TIMEOUT = 1500
"""Seconds that a command may take."""
_ENGINES = ("ftaudit.binary.declaration", "unicorn.arm64_const", "unicorn.x86_const", "capstone", "lief", "abi3info")
_NOT_IMPORTED = ("ftaudit.pytest_plugin", "ftaudit.guard", "ftaudit.gilwatch", "ftaudit.__main__")


class CommandServer:
    """A process that forks for each command; one command at a time."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._ours, theirs = socket.socketpair()
        self._ours.settimeout(TIMEOUT)
        self._answers = self._ours.makefile("r", encoding="utf-8")
        command = [sys.executable, str(Path(__file__)), str(theirs.fileno())]
        self._process = subprocess.Popen(command, env=dict(env), stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        theirs.close()
        self._busy = threading.Lock()
        atexit.register(self.close)

    def run(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str] | None:
        """Run a command and return its output; `None` while another thread runs one."""
        if not self._busy.acquire(blocking=False):
            return None
        try:
            with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
                asked = json.dumps({"arguments": list(arguments), "cwd": str(cwd), "env": dict(env)})
                socket.send_fds(self._ours, [f"{asked}\n".encode()], [out.fileno(), errors.fileno()])
                code = int(self._answers.readline())
                for file in (out, errors):
                    file.seek(0)
                printed = [file.read().decode("utf-8").replace("\r\n", "\n") for file in (out, errors)]
                return subprocess.CompletedProcess(["ftaudit", *arguments], code, *printed)
        finally:
            self._busy.release()

    def close(self) -> None:
        """End the process."""
        self._ours.close()
        self._answers.close()
        self._process.kill()
        self._process.wait()


def _serve(connection: socket.socket) -> None:
    """Answer until the other side is gone."""
    _import_everything()
    gc.freeze()
    while True:
        data, received, _, _ = socket.recv_fds(connection, 1 << 20, 2)
        if not data:
            return
        while not data.endswith(b"\n"):
            data += connection.recv(1 << 20)
        pid = os.fork()
        if pid == 0:
            connection.close()
            _become(json.loads(data), *received)
        for descriptor in received:
            os.close(descriptor)
        connection.sendall(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())


def _import_everything() -> None:
    import ftaudit
    import ftaudit_rules

    for package in (ftaudit, ftaudit_rules):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(_NOT_IMPORTED) and ".child" not in module.name:
                with contextlib.suppress(ImportError):  # An optional package is missing.
                    importlib.import_module(module.name)
    import_engines()


def import_engines() -> None:
    """Import what ftaudit imports where it reads a module."""
    for engine in _ENGINES:
        with contextlib.suppress(ImportError):
            importlib.import_module(engine)


def _become(asked: dict[str, Any], out: int, errors: int) -> None:
    """Run a command in this process, and end it as an interpreter ends."""
    os.dup2(out, 1)
    os.dup2(errors, 2)
    os.close(out)
    os.close(errors)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    sys.argv = ["ftaudit", *asked["arguments"]]
    code: object = 1
    try:
        from ftaudit.cli import main

        code = main()
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(0 if code is None else code if isinstance(code, int) else 1)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
