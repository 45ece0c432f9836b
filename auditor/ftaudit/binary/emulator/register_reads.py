"""Reads of general registers without the binding's choice of a type for each: tracing makes millions of them."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from typing import Any


def register_reader(engine: Any) -> Callable[[int], int]:
    """Return a function that reads a register of at most 64 bits by Unicorn's number."""
    slow: Callable[[int], int] = engine.reg_read
    try:
        read: Any = importlib.import_module("unicorn.unicorn_py3.unicorn").uclib.uc_reg_read
        handle = engine._uch
    except (ImportError, AttributeError):
        return slow
    value = ctypes.c_uint64()
    place = ctypes.byref(value)

    def fast(number: int) -> int:
        value.value = 0
        return value.value if read(handle, number, place) == 0 else slow(number)

    return fast
