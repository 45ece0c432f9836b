"""Stores the result for each key: work that many threads request is done once, and its failure is kept too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Once(Generic[K, V]):
    """Values by key. Usable from many threads: callers wait for a value that is being made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[K, Future[V]] = {}

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of a key, which the first caller makes; raise the exception of `make`, every time."""
        with self._lock:
            known = self._known.get(key)
            future = known or self._known.setdefault(key, Future())
        if known is None:
            try:
                future.set_result(make())
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    def put(self, key: K, value: V) -> None:
        """Replace the stored value."""
        future: Future[V] = Future()
        future.set_result(value)
        with self._lock:
            self._known[key] = future
