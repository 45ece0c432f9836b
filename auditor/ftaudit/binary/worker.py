"""The process that parses and emulates strangers' images: told what to read on stdin, answering on stdout.

Frames in both directions: four bytes of length and a JSON object; an object with `size` is followed by that
many raw bytes. `{"keep": NAME, "size": N}` hands over an image that later modules may refer to, `{"forget": true}`
drops those. `{"module", "path", "target", "size"}` asks; the answer is `{"binary": {…}, "missing": […], …}` or
`{"error": …}`. The process may be killed at any time.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import struct
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Final

LENGTH: Final = struct.Struct("<I")


def send(stream: BinaryIO, head: dict[str, Any], body: bytes | memoryview = b"") -> None:
    """Write one frame."""
    encoded = json.dumps({**head, "size": len(body)} if body else head).encode()
    stream.write(LENGTH.pack(len(encoded)) + encoded)
    if body:
        stream.write(body)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Read one frame, or return `None` where the stream ends."""
    prefix = stream.read(LENGTH.size)
    if len(prefix) < LENGTH.size:
        return None
    head = stream.read(LENGTH.unpack(prefix)[0])
    try:
        parsed = json.loads(head)
    except ValueError:
        return None
    size = parsed.get("size", 0)
    body = stream.read(size) if size else b""
    return (parsed, body) if len(body) == size else None


def main(memory: int, seconds: int) -> None:
    """Answer until stdin ends, within `memory` bytes and `seconds` of CPU time a module."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # Whatever native code prints must not be taken for an answer.
    os.dup2(2, 1)
    _limit(memory)
    from ftaudit.binary.declaration import read_module
    from ftaudit.errors import ImageError

    # What was imported stays: the collector, which frees the emulators, need not look at it each time.
    gc.collect()
    gc.freeze()
    kept: dict[str, bytes] = {}
    send(answers, {"ready": True})
    while (frame := receive(questions)) is not None:
        head, body = frame
        if "keep" in head:
            kept[head["keep"]] = body
            continue
        if "forget" in head:
            kept.clear()
            continue
        _allow(seconds)
        try:
            read = read_module(
                body,
                module_name=head["module"],
                path=head["path"],
                target_version=tuple(head["target"]),
                siblings=kept,
                holes=head.get("holes", ()),
                stable_abi=head.get("stable_abi", False),
            )
        except ImageError as error:
            send(answers, {"error": error.problem})
        except MemoryError:
            send(answers, {"error": f"it needs more than {memory >> 20} MiB of memory"})
        except Exception as error:
            # A flaw of ours that strange input found: it costs this module's answer, and says where it is.
            send(answers, {"error": f"the inspection failed: {_place(error)}"})
        else:
            send(
                answers,
                {
                    "binary": asdict(read.binary),
                    "missing": read.missing,
                    "is_module": read.is_module,
                    "partial": read.partial,
                    "missed": read.missed,
                },
            )


def _place(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"


def _limit(memory: int) -> None:
    """Cap memory, core files and written files, where the system can (POSIX)."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _allow(seconds: int) -> None:
    """Let the kernel end this process after so much more CPU time, should nobody be left to kill it."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds + 1, hard))
