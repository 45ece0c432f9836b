"""A process that has imported the package, and forks a worker for each trial.

Started as `boot.py forking_host READ WRITE`; requests and answers are lines of JSON. It never calls the package itself.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import faulthandler
import gc
import importlib
import json
import math
import mmap
import os
import resource
import select
import shutil
import signal
import struct
import sys
import tempfile
import time

from ftaudit.stress.child import order_checks, package_contents, probes
from ftaudit.stress.child.script_text import ARRIVED, CONTROL_SHARE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

PLACES = 64
"""Numbers that a worker shares with this process: the progress of each thread."""
FAILED = 94
"""The exit code of a worker that found a failure."""
STALLED = 2.5
"""Seconds without progress and without processor time that count as a deadlock."""
BUSY = 8.0
"""Seconds of processor time without progress that count as an endless loop."""
MOST_TEXT = 1 << 23
NO_NEW_PRIVILEGES, SET_FILTER, FILTER = 38, 22, 2
"""Of `prctl(2)`."""
_TASKS = {
    "describe": package_contents.describe,
    "probe": probes.probe,
    "members": probes.members,
    "commutes": order_checks.commutes,
    "settles": order_checks.settles,
}


def main(descriptors: list[int]) -> None:
    """Import the modules that the first line names, then answer requests until the input ends."""
    reading, writing = descriptors
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    with os.fdopen(reading, "r", encoding="utf-8") as lines:
        host = ForkingHost(json.loads(lines.readline()), writing, lines)
        host.start()
        for line in lines:
            host.answer(json.loads(line))


class ForkingHost:
    """The process that forks."""

    def __init__(self, job: dict[str, Any], writing: int, lines: Any) -> None:
        self.job, self.writing, self.lines = job, writing, lines
        sys.argv[:] = ["-c"]
        sys.path += [job["site"], *job["paths"]]
        self.shared = mmap.mmap(-1, mmap.PAGESIZE)
        self.places = memoryview(self.shared).cast("q")
        self.known = _types()

    def say(self, message: dict[str, Any]) -> None:
        """Write one answer."""
        data = json.dumps(message).encode("ascii", "backslashreplace") + b"\n"
        while data:
            data = data[os.write(self.writing, data) :]

    def start(self) -> None:
        """Import the package and report the result."""
        problem = None
        for name in self.job["imports"]:
            try:
                importlib.import_module(name)
            except BaseException as error:
                problem = f"{name}: {type(error).__name__}: {error}"[:500]
        gc.collect()
        gc.freeze()
        enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
        images = _has_images(self.job["site"])
        self.say({"ready": True, "gil": enabled, "problem": problem, "images": images, "cpu": time.process_time()})

    def answer(self, request: dict[str, Any]) -> None:
        """Fork a worker for a request, wait for its end, and report it."""
        result_read, result_write = os.pipe()
        error_read, error_write = os.pipe()
        for place in range(PLACES):
            self.places[place] = 0
        # Files of an earlier process are not there where a script runs by itself.
        folder = tempfile.mkdtemp()
        pid = os.fork()
        if pid == 0:
            os.chdir(folder)
            os.close(result_read)
            os.close(error_read)
            os.close(self.writing)
            _work(request, self, result_write, error_write)
        os.close(result_write)
        os.close(error_write)
        watched = _Worker(pid, result_read, error_read, self.places, request)
        answer = watched.wait()
        shutil.rmtree(folder, ignore_errors=True)
        self.say({**answer, "host": time.process_time()})


class _Worker:
    """One forked process, from the view of its parent."""

    def __init__(self, pid: int, result: int, error: int, places: Any, request: dict[str, Any]) -> None:
        self.pid, self.result, self.error, self.places, self.request = pid, result, error, places, request
        self.texts = {result: b"", error: b""}
        self.hung: str | None = None

    def wait(self) -> dict[str, Any]:
        """Read the output until the process ends or must be killed; return everything that is known about it."""
        limit = time.monotonic() + self.request["wall"]
        seen, moved, cpu_then = self._progress(), time.monotonic(), 0.0
        open_now = [self.result, self.error]
        status = usage = None
        while True:
            ready, _, _ = select.select(open_now, [], [], 0.02)
            for descriptor in ready:
                data = os.read(descriptor, 1 << 16)
                if not data:
                    open_now.remove(descriptor)
                elif len(self.texts[descriptor]) < MOST_TEXT:
                    self.texts[descriptor] += data
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                break
            if not open_now:
                time.sleep(0.002)
            now = time.monotonic()
            if (current := self._progress()) != seen:
                seen, moved, cpu_then = current, now, _cpu(self.pid)
            elif self.hung is None and now - moved > self.request.get("stall", STALLED):
                used = _cpu(self.pid) - cpu_then
                if used < 0.1 * (now - moved) and not _runs(self.pid):
                    self._end("deadlock")
                elif used > self.request.get("busy", BUSY):
                    self._end("endless")
            if now > limit and self.hung is None:
                self._end("time")
        self._rest(open_now)
        for descriptor in (self.result, self.error):
            os.close(descriptor)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return self._report(status, usage)

    def _progress(self) -> tuple[int, ...]:
        return tuple(self.places[:PLACES])

    def _end(self, why: str) -> None:
        self.hung = why
        with contextlib.suppress(ProcessLookupError):
            # The first call lets faulthandler write the position of a thread.
            os.kill(self.pid, signal.SIGABRT)
        time.sleep(0.05)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, signal.SIGKILL)

    def _rest(self, open_now: list[int]) -> None:
        """Read the rest of the pipes; a process that the worker left behind may keep them open."""
        for descriptor in open_now:
            os.set_blocking(descriptor, False)
            with contextlib.suppress(BlockingIOError):
                while (data := os.read(descriptor, 1 << 16)) and len(self.texts[descriptor]) < MOST_TEXT:
                    self.texts[descriptor] += data

    def _report(self, status: int, usage: Any) -> dict[str, Any]:
        try:
            result = json.loads(self.texts[self.result] or b"null")
        except (ValueError, RecursionError):
            result = None
        signal_number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        return {
            "result": result if isinstance(result, dict) else None,
            "signal": 0 if self.hung else signal_number,
            "exit": os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1,
            "hung": self.hung,
            "stack": self.texts[self.error][-12000:].decode("utf-8", "replace"),
            "progress": list(self.places[:PLACES]),
            "cpu": usage.ru_utime + usage.ru_stime,
            "memory": usage.ru_maxrss * 1024,
        }


def _cpu(pid: int) -> float:
    """Return the processor time of a process, in seconds (`proc(5)`)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def _runs(pid: int) -> bool:
    """Return whether a thread of the process runs or waits for a processor, instead of sleeping."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123
                if file.read().rpartition(")")[2].split()[0] in ("R", "D"):
                    return True
    return False


def _has_images(site: str) -> bool:
    """Return whether the process has loaded compiled code from the environment (`proc(5)`, maps)."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return any(f" {site}/" in line for line in file)
    except OSError:
        return True


def _types() -> set[int]:
    """Return the `id()`s of the existing types."""
    found: set[int] = set()
    waiting: list[type] = [object]
    while waiting:
        kind = waiting.pop()
        if id(kind) not in found:
            found.add(id(kind))
            waiting += type.__subclasses__(kind)
    return found


# ----------------------------------------------------------------------------------------- in the worker


def _work(request: dict[str, Any], host: ForkingHost, result: int, error: int) -> NoReturn:
    code = 1
    try:
        os.setpgid(0, 0)
        os.dup2(error, 2)
        faulthandler.enable(file=error, all_threads=True)
        seconds = max(math.ceil(request["limit"]), 1)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (host.job["memory"], host.job["memory"]))
        _filter_calls(host.job["filters"][request["do"] == "script"])
        if request["do"] == "run":
            answer = _run(request, host, result)
        elif request["do"] == "script":
            script = order_checks.in_sandbox(request["script"]).replace(ARRIVED, "WATCHED[:THREADS]")
            exec(compile(script, "<script>", "exec"), {"__name__": "__main__", "WATCHED": host.places})  # noqa: S102
            answer = {}
        else:
            answer = _TASKS[request["do"]](request, host.known, host.places)
        _write(result, answer)
        code = 0
    except SystemExit as ended:
        code = 0 if not ended.code else 1
    except BaseException as problem:
        with contextlib.suppress(BaseException):
            _write(result, {"problem": f"{type(problem).__name__}: {problem}"[:500]})
    finally:
        os._exit(code)


def _filter_calls(encoded: str | None) -> None:
    """Install the filter of system calls: a package ends and signals no other process."""
    if encoded is None:
        return
    program = base64.b64decode(encoded).replace(b"self", struct.pack("=I", os.getpid()))
    buffer = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    libc.prctl(SET_FILTER, FILTER, head, 0, 0)


def _write(descriptor: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode("ascii", "backslashreplace")
    while data:
        data = data[os.write(descriptor, data) :]


def _run(request: dict[str, Any], host: ForkingHost, result: int) -> dict[str, Any]:
    """Run a unit's script: with all its threads, or in one thread with the same calls."""
    names: dict[str, Any] = {"__name__": "unit"}

    def fail(kind: str, what: str) -> None:
        _write(result, {"kind": kind, "failed": str(what)[:1000], "rounds": host.places[0] // 3})
        os._exit(FAILED)

    # Code that runs while the script is loaded runs in one thread.
    exec(compile(order_checks.in_sandbox(request["script"]), "<unit>", "exec"), names)  # noqa: S102 - what this process is for
    names["fail"] = fail
    if request.get("alone"):
        return _alone(names, fail, host.places)
    threads = names["THREADS"]
    names["arrived"] = host.places[:threads]
    names["end"] = time.monotonic() + names["SECONDS"]
    names["main"]()
    overlaps, calls = names.get("overlaps", [0])[0], sum(names.get("made", ()))
    return {"rounds": host.places[0] // 3, "overlaps": overlaps, "calls": calls}


def _alone(names: dict[str, Any], fail: Any, places: Any) -> dict[str, Any]:
    """Make the calls of all threads in this thread, in turn, for as long in each round as all of them have."""
    operations, pick = names["OPERATIONS"], names.get("pick")
    end = names["end"] = time.monotonic() + names["SECONDS"]
    if watch := names.get("watch"):
        names["GROWTH"] /= CONTROL_SHARE
    rounds = 0
    while time.monotonic() < end and rounds < names["ROUNDS"]:
        shared = names["make"]()
        until = time.monotonic() + names["THREADS"] * names["PERIOD"]
        for call in range(names["CALLS"]):
            if time.monotonic() > until:
                break
            for number in range(names["THREADS"]):
                operation = pick(number, rounds + 1) if pick else operations[number % len(operations)]
                names["outcome"](operation, shared, number * names["CALLS"] + call)
        rounds += 1
        places[0] = rounds
        if watch:
            shared = None
            watch()
    return {"rounds": rounds, "overlaps": 0}
