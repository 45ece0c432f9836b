"""A process that has imported what workers need. Each worker is a fork of it: it starts in milliseconds.

The template is forked while this process has one thread, so it never has a second one. It reads no hostile data.
It alone waits for the workers, so a number that it kills is never that of another process.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ftaudit.workers.allowance import Allowance
from ftaudit.workers.worker_child import Limits, Work, be_a_copy, discard_output
from ftaudit.workers.worker_process import STARTUP, WorkerProcess

_NUMBER: Final = struct.Struct("<i")
_MESSAGE: Final = 4096
"""More bytes than a request has."""


def can_fork() -> bool:
    """Return whether a copy of this process can be made: not while other threads run."""
    return sys.platform == "linux" and threading.active_count() == 1


class WorkerTemplate:
    """A copy of this process that makes workers on request. `can_fork` must hold. A context manager that ends it."""

    def __init__(
        self, work: Work, *, prepare: Callable[[], object] | None = None, preload: Callable[[], object] | None = None
    ) -> None:
        """Fork the template. It calls `preload` before the first worker is made, and each worker calls `prepare`."""
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sending = threading.Lock()
        with warnings.catch_warnings():
            # Threads that a native library started are not ours to count.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            try:
                _Template(theirs, work, prepare, preload).serve()
            finally:
                os._exit(1)
        theirs.close()

    def __enter__(self) -> WorkerTemplate:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def preload(self) -> None:
        """Let the template import now, in the background, what workers need."""
        with contextlib.suppress(OSError):
            self._send({"preload": True})

    def start(self, limits: Limits) -> WorkerProcess:
        """Make a worker; raise `OSError` if it cannot be made. Usable from many threads."""
        down, into = os.pipe()
        out, up = os.pipe()
        status, ended = os.pipe()
        try:
            self._send({"start": limits}, down, up, ended)
        except OSError:
            for descriptor in (into, out, status):
                os.close(descriptor)
            raise
        finally:
            for descriptor in (down, up, ended):
                os.close(descriptor)
        stdin, stdout = os.fdopen(into, "wb"), os.fdopen(out, "rb")
        pid = _read_number(status, STARTUP)
        if pid is None:
            stdin.close()
            stdout.close()
            os.close(status)
            raise OSError("the process that starts workers does not respond")
        code: int | None = None

        def wait_for(seconds: float | None) -> int | None:
            nonlocal code, status
            if code is None and (seconds is None or _is_readable(status, seconds)):
                told = _read_number(status, None)
                code = -signal.SIGKILL if told is None else told
                os.close(status)
            return code

        return WorkerProcess(
            kill_it=lambda: self._send({"kill": pid}),
            wait_for=wait_for,
            stdin=stdin,
            stdout=stdout,
            allowance=Allowance(pid),
        )

    def close(self) -> None:
        """End the template. Its workers have to be ended before."""
        with contextlib.suppress(OSError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        self._ours.close()

    def _send(self, asked: object, *descriptors: int) -> None:
        message = json.dumps(asked).encode()
        with self._sending:
            socket.send_fds(self._ours, [message], descriptors)


class _Template:
    """The template itself, in its own process."""

    def __init__(
        self,
        connection: socket.socket,
        work: Work,
        prepare: Callable[[], object] | None,
        preload: Callable[[], object] | None,
    ) -> None:
        self._connection = connection
        self._work = work
        self._prepare = prepare
        self._preload = preload
        self._workers: dict[int, int] = {}
        """The descriptor that learns how a worker ended, by the worker's number."""
        self._wakes = self._woken = -1

    def serve(self) -> None:
        """Answer until the parent is gone."""
        discard_output()
        # A debugger or a coverage tool would slow each worker down, and learn nothing: no worker writes its data.
        sys.settrace(None)
        threading.settrace(None)
        _close_all_but(self._connection.fileno())
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._woken, self._wakes = os.pipe()
        for descriptor in (self._woken, self._wakes):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self._wakes)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        waits = select.poll()
        for descriptor in (self._connection.fileno(), self._woken):
            waits.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in waits.poll()}
            if self._woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, _MESSAGE)
                self._collect()
            if self._connection.fileno() in ready and not self._answer():
                self._end()

    def _answer(self) -> bool:
        """Do what the parent asks; return whether it is still there."""
        message, received, _, _ = socket.recv_fds(self._connection, _MESSAGE, 3)
        if not message:
            return False
        match json.loads(message):
            case {"start": [memory, seconds, may_write]}:
                self._load()
                self._start(received, (memory, seconds, may_write))
            case {"kill": pid} if pid in self._workers:
                os.kill(pid, signal.SIGKILL)
            case {"preload": _}:
                self._load()
        return True

    def _load(self) -> None:
        if self._preload is not None:
            self._preload()
            self._preload = None

    def _start(self, received: list[int], limits: Limits) -> None:
        down, up, ended = received
        try:
            pid = os.fork()
        except OSError:
            for descriptor in received:
                os.close(descriptor)  # The parent sees the end of the pipe.
            return
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            ours = (ended, self._connection.fileno(), self._woken, self._wakes, *self._workers.values())
            be_a_copy(down, up, ours, self._work, self._prepare, limits)
        os.close(down)
        os.close(up)
        self._workers[pid] = ended
        with contextlib.suppress(OSError):
            os.write(ended, _NUMBER.pack(pid))

    def _collect(self) -> None:
        """Report how each worker that has ended did so."""
        for pid in list(self._workers):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                ended = self._workers.pop(pid)
                with contextlib.suppress(OSError):
                    os.write(ended, _NUMBER.pack(os.waitstatus_to_exitcode(status)))
                os.close(ended)

    def _end(self) -> None:
        """End with all workers: the parent is gone."""
        for pid in self._workers:
            os.kill(pid, signal.SIGKILL)
        for pid in self._workers:
            os.waitpid(pid, 0)
        os._exit(0)


def _close_all_but(kept: int) -> None:
    """Close what the parent had open: a lock or a pipe that this process holds too would stay in use."""
    gc.freeze()  # No file object of the parent may be collected later: its number may have a new meaning by then.
    for file in list(Path("/proc/self/fd").iterdir()):
        if (descriptor := int(file.name)) > 2 and descriptor != kept:
            with contextlib.suppress(OSError):  # The folder itself was open, too.
                os.close(descriptor)


def _is_readable(descriptor: int, seconds: float) -> bool:
    waits = select.poll()
    waits.register(descriptor, select.POLLIN)
    return bool(waits.poll(seconds * 1000))


def _read_number(descriptor: int, seconds: float | None) -> int | None:
    """Return a number that the template wrote; `None` if it is gone or writes nothing in so many seconds."""
    if seconds is not None and not _is_readable(descriptor, seconds):
        return None
    data = os.read(descriptor, _NUMBER.size)
    return int(_NUMBER.unpack(data)[0]) if len(data) == _NUMBER.size else None
