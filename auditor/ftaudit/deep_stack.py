"""Runs work that recurses deeply, such as parsing real files, in a thread with a large stack."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

Result = TypeVar("Result")

_STACK: Final = 512 << 20
"""Bytes of address space; the kernel provides only the used part."""


def with_deep_stack(work: Callable[[], Result], *, recursion: int) -> Result:
    """Return the result of `work`, during which calls may nest `recursion` deep; raise what it raises."""
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # The caller's thread raises it again.
            outcome.set_exception(error)

    limit, stack = sys.getrecursionlimit(), threading.stack_size(_STACK)
    sys.setrecursionlimit(max(limit, recursion))
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(stack)
        sys.setrecursionlimit(limit)
    return outcome.result()
