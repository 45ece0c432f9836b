"""LIEF, imported when the first file comes that is Mach-O, PE, or ELF for a machine that is not emulated."""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
from typing import Any

from ftaudit.errors import EngineMissing
from ftaudit.extras import IMAGES, Extra, why_missing


@functools.lru_cache(maxsize=1)
def load_lief() -> Any:
    """Return the module `lief`, quiet. Raise `EngineMissing`.

    The objects of its import stay in memory. The collector, which runs for every few emulators, would visit
    all of them each time: 40 ms, more than a module takes.
    """
    if reason := why_missing(Extra.BINARY, IMAGES):
        raise EngineMissing(reason)
    lief = importlib.import_module("lief")
    lief.logging.disable()
    gc.collect()
    gc.freeze()
    # At the end the interpreter must find all of them again, or LIEF's bindings report leaks.
    atexit.register(gc.unfreeze)
    return lief
