"""LIEF, imported when the first Mach-O or PE file comes."""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
from typing import Any


@functools.lru_cache(maxsize=1)
def load_lief() -> Any:
    """Return the module `lief`, quiet.

    What its import leaves in memory stays there. The collector, which is called for every few emulators, would look
    at all of it each time: 40 ms, more than a module takes.
    """
    lief = importlib.import_module("lief")
    lief.logging.disable()
    gc.collect()
    gc.freeze()
    # At the end the interpreter has to find it all again, or LIEF's bindings complain of leaks.
    atexit.register(gc.unfreeze)
    return lief
