"""Registers and memory without the binding's checks and copies for each access: tracing makes millions of them.

What Unicorn refuses goes to the binding again, which raises its own error.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from typing import Any, Final

_LARGEST: Final = 4096
"""The most bytes of a read for which a buffer is kept."""
_MASK: Final = (1 << 64) - 1


def _function(name: str, engine: Any) -> tuple[Any, Any] | None:
    """Return a function of Unicorn's library, and the handle that it takes for an engine; `None` in other bindings."""
    try:
        return getattr(importlib.import_module("unicorn.unicorn_py3.unicorn").uclib, name), engine._uch
    except (ImportError, AttributeError):
        return None


def register_reader(engine: Any) -> Callable[[int], int]:
    """Return a function that reads a register of at most 64 bits by Unicorn's number."""
    slow: Callable[[int], int] = engine.reg_read
    found = _function("uc_reg_read", engine)
    if found is None:
        return slow
    read, handle = found
    value = ctypes.c_uint64()
    place = ctypes.byref(value)

    def fast(number: int) -> int:
        value.value = 0
        return value.value if read(handle, number, place) == 0 else slow(number)

    return fast


def register_writer(engine: Any) -> Callable[[int, int], None]:
    """Return a function that writes a general register of 64 bits by Unicorn's number."""
    slow: Callable[[int, int], None] = engine.reg_write
    found = _function("uc_reg_write", engine)
    if found is None:
        return slow
    write, handle = found
    value = ctypes.c_uint64()
    place = ctypes.byref(value)

    def fast(number: int, content: int) -> None:
        value.value = content
        if write(handle, number, place) != 0:
            slow(number, content)

    return fast


def memory_reader(engine: Any) -> Callable[[int, int], bytes]:
    """Return a function that reads bytes at an address."""

    def slow(address: int, size: int) -> bytes:
        return bytes(engine.mem_read(address, size))

    found = _function("uc_mem_read", engine)
    if found is None:
        return slow
    read, handle = found
    buffers: dict[int, Any] = {}

    def fast(address: int, size: int) -> bytes:
        if not 0 < size <= _LARGEST or not 0 <= address <= _MASK:
            return slow(address, size)
        buffer = buffers.get(size)
        if buffer is None:
            buffer = buffers[size] = ctypes.create_string_buffer(size)
        if read(handle, address, buffer, size) != 0:
            return slow(address, size)
        content: bytes = buffer.raw
        return content

    return fast
