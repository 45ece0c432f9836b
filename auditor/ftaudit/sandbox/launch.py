"""Start a confined process with its job and its pipes; end it with all its children; measure its memory."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ftaudit.sandbox.sandbox_settings import SandboxSettings
from ftaudit.sandbox.seccomp import make_filter

PROCESSES: Final = 512
_HERE: Final = Path(__file__).parent
_GRACE: Final = 5.0

_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT")
_FIXED: Final = {
    # Thread pools that are created at import cost time and memory, and do not change the answer.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
    # The process has no known user in its own namespace, and not every system has a name for that.
    "USER": "nobody",
    "LOGNAME": "nobody",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportStep:
    """One import: a module with its file, or a plain `import NAME` without; or one start-up file."""

    name: str
    path: str | None = None
    startup: bool = False
    """Whether `name` is a file that an interpreter runs when it starts in the environment."""
    lazy: bool = False
    """The imports that `import NAME` left for later are made (PEP 810), in a process that has imported it."""
    loads: bool = False
    """Whether the report lists the extension modules that were loaded."""


def launch(
    python: Path,
    environment: Path,
    steps: Sequence[ImportStep],
    *,
    settings: SandboxSettings,
    scratch: Path,
    pycache: Path | None,
    nonce: str,
    mark: str,
    paths: Sequence[str] = (),
    roots: Sequence[str] = (),
    startup: bool = False,
) -> tuple[subprocess.Popen[bytes], dict[str, int]]:
    """Start the keeper, which confines and starts the interpreter, and return it with the pipes to read from.

    `results` carries the child's reports, `output` the printed text, `status` the keeper's message. The job, with the
    secrets `nonce` and `mark`, goes to the child's standard input, where no other process can see it. `paths` are
    further folders to import from, and `roots` those that come before the environment; with `startup` the environment's
    start-up files run before the first import.
    """
    job = {
        "nonce": nonce,
        "mark": mark,
        "pycache": None if pycache is None else str(pycache),
        "site": str(environment),
        "paths": list(paths),
        "roots": list(roots),
        "startup": startup,
        "steps": [
            (
                step.name,
                None if step.path is None else str(environment / step.path),
                step.startup,
                step.lazy,
                step.loads,
            )
            for step in steps
        ],
    }
    return start_confined(
        [str(python), "-v", "-I", "-S", str(_HERE / "child.py")],
        json.dumps(job).encode() + b"\n",
        settings=settings,
        scratch=scratch,
        writable=() if pycache is None else (pycache,),
    )


def start_confined(
    program: Sequence[str],
    job: bytes,
    *,
    settings: SandboxSettings,
    scratch: Path,
    writable: Sequence[Path] = (),
) -> tuple[subprocess.Popen[bytes], dict[str, int]]:
    """Start the keeper, which confines and starts a program, and return it with the pipes to read from.

    The program is given one more argument, the number of the descriptor that its reports go to; they arrive in the pipe
    `results`. `output` carries the printed text, `status` the keeper's message. `job` is the program's standard input,
    where no other process can see it. Apart from `scratch`, which must be empty, the program can write only to the
    `writable` folders.
    """
    for name in ("home", "tmp", "work"):
        (scratch / name).mkdir()
    reading: dict[str, int] = {}
    writing: dict[str, int] = {}
    job_read, job_write = os.pipe()
    for name in ("results", "output", "status"):
        reading[name], writing[name] = os.pipe()
    try:
        process = start_keeper(
            [*program, str(writing["results"])],
            environment=_variables(scratch),
            cwd=scratch / "work",
            writable=(scratch, *writable),
            stdin=job_read,
            output=writing["output"],
            status=writing["status"],
            keep=[writing["results"]],
            limits={
                "RLIMIT_CPU": settings.cpu_seconds,
                "RLIMIT_FSIZE": settings.file_bytes,
                # Twice the measured limit: growth that is faster than our measurements still has a limit.
                "RLIMIT_DATA": 2 * settings.memory_bytes,
            },
        )
        # The job of a distribution with thousands of modules is longer than a pipe holds.
        threading.Thread(target=_feed, args=(job_write, job), daemon=True).start()
    except BaseException:
        for descriptor in (*reading.values(), job_write):
            os.close(descriptor)
        raise
    finally:
        for descriptor in (*writing.values(), job_read):
            os.close(descriptor)
    return process, reading


def start_keeper(
    program: Sequence[str],
    *,
    environment: Mapping[str, str],
    cwd: Path,
    writable: Iterable[Path],
    output: int,
    status: int,
    limits: Mapping[str, int],
    stdin: int | None = None,
    keep: Sequence[int] = (),
    needs: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    """Start `confine.py`, which confines itself and starts the program.

    Descriptors: the program prints to `output` and inherits `stdin` and `keep`; the keeper reports to `status`. The
    program can write only to the `writable` folders. `limits` are resource limits by name; there are no core dumps
    and at most `PROCESSES` processes. If one of the walls that `needs` names is missing, the program is not started.
    """
    passed = [*keep, output, *(() if stdin is None else (stdin,))]
    config = {
        "argv": list(program),
        "env": dict(environment),
        "cwd": str(cwd),
        "writable": [str(path) for path in writable],
        "stdin": stdin,
        "output": output,
        "status": status,
        "keep": list(keep),
        "needs": list(needs),
        "pass": passed,
        "parent": os.getpid(),
        "network": False,
        "filters": [_encoded(make_filter(walled=walled)) for walled in (False, True)],
        "limits": {"RLIMIT_CORE": 0, "RLIMIT_NPROC": PROCESSES, **limits},
    }
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_HERE / "confine.py"), json.dumps(config)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=[*passed, status],
        env={},
        start_new_session=True,
    )


def _encoded(program: bytes | None) -> str | None:
    return None if program is None else base64.b64encode(program).decode("ascii")


def _variables(scratch: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    places = {"HOME": scratch / "home"} | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), scratch / "tmp")
    return kept | _FIXED | {name: str(path) for name, path in places.items()}


def _feed(descriptor: int, data: bytes) -> None:
    try:
        with os.fdopen(descriptor, "wb") as pipe:
            pipe.write(data)
    except OSError:
        pass  # The child ended before it read its job; its exit status reports that.


def end(process: subprocess.Popen[bytes]) -> None:
    """End the keeper, which ends everything below it; then end its group, in case the keeper failed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def interpreter_of(keeper: int) -> int | None:
    """Return the process that the keeper started in its walls, or `None` if it is not there (any more)."""
    current = keeper
    for _ in range(2):
        try:
            current = int(Path(f"/proc/{current}/task/{current}/children").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
    return current


def memory_bytes(pid: int) -> int:
    """Return the memory of the process and all below it, in bytes (`proc(5)`); 0 if there is no `/proc`.

    That is resident memory, and memory in files without a name (`memfd_create(2)`), which may be unmapped.
    """
    total, waiting = 0, [pid]
    nameless: dict[int, int] = {}
    page = os.sysconf("SC_PAGE_SIZE")
    while waiting:
        current = waiting.pop()
        try:
            total += int(Path(f"/proc/{current}/statm").read_text().split()[1]) * page
            nameless |= _nameless_files(current)
            for task in Path(f"/proc/{current}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, ValueError, IndexError):
            continue
    return total + sum(nameless.values())


def _nameless_files(pid: int) -> dict[int, int]:
    """Return the bytes of each `memfd` that a process has open, by its inode."""
    found = {}
    with os.scandir(f"/proc/{pid}/fd") as descriptors:
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                if str(Path(descriptor.path).readlink()).startswith("/memfd:"):
                    status = descriptor.stat()
                    found[status.st_ino] = 512 * status.st_blocks
    return found
