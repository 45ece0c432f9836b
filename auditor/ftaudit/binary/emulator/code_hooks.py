"""Callbacks for each instruction without the binding's two functions in between: tracing makes millions of calls."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
from collections.abc import Callable
from typing import Any

Callback = Callable[[int, int], None]
"""Receives the address and the size of the instruction that is about to be executed."""


def add_code_hook(engine: Any, start: int, end: int, callback: Callback) -> None:
    """Call back before each instruction from `start` on and before `end`; an exception ends the emulation."""
    number: int = importlib.import_module("unicorn").UC_HOOK_CODE
    try:
        binding: Any = importlib.import_module("unicorn.unicorn_py3.unicorn")
        add, kind = binding.uclib.uc_hook_add, binding.HOOK_CODE_CFUNC
        engine_handle, kept, _ = engine._uch, engine._callbacks, engine._hook_exception
    except (ImportError, AttributeError):
        engine.hook_add(number, lambda _engine, address, size, _data: callback(address, size), begin=start, end=end - 1)
        return

    def on_code(_handle: object, address: int, size: int, _key: object) -> None:
        try:
            callback(address, size)
        except BaseException as error:
            if engine._hook_exception is None:
                engine._hook_exception = error
            engine.emu_stop()

    function, handle = kind(on_code), ctypes.c_size_t()
    status = add(
        engine_handle, ctypes.byref(handle), number, function, None, ctypes.c_uint64(start), ctypes.c_uint64(end - 1)
    )
    if status:
        raise importlib.import_module("unicorn").UcError(status)
    kept[handle.value] = function


def free(engine: Any) -> bool:
    """Free an engine that nothing uses any more; return whether that can be done before it is collected."""
    with contextlib.suppress(AttributeError):
        engine._Uc__finalizer()
        engine._callbacks.clear()
        return True
    return False
