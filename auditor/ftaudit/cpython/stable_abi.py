"""The symbols of the stable ABI, each with the version that it came in: `Misc/stable_abi.toml`, as abi3info has it.

The functions and data of `abi3` and `abi3t` are the same. What differs is which structures are opaque.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.resources import files

from ftaudit.cpython.versions import ABI3T_SINCE, Version


@functools.lru_cache(maxsize=1)
def stable_symbols() -> Mapping[str, Version]:
    """Return each function and datum of the stable ABI with the version that added it."""
    import abi3info

    return {
        item.symbol.name: (item.added.major, item.added.minor)
        for table in (abi3info.FUNCTIONS, abi3info.DATAS)
        for item in table.values()
    }


@functools.lru_cache(maxsize=1)
def outside_abi3t() -> frozenset[str]:
    """Return the names of CPython's headers that a build for `abi3t` 3.15 does not have: data of `outside_abi3t.txt`.

    They are functions, macros and types that `Python.h`, `datetime.h` and `structmember.h` of 3.15t declare, and do not
    declare with `Py_TARGET_ABI3T` (PEP 803). A function that the stable ABI has, and that headers do not declare for it
    (`Py_GetArgcArgv`), is not among them: a module that declares it itself works.
    """
    lines = files("ftaudit.cpython").joinpath("outside_abi3t.txt").read_text(encoding="utf-8").splitlines()
    exported = {name for name, added in stable_symbols().items() if added <= ABI3T_SINCE}
    return frozenset(line for line in lines if not line.startswith("#")) - exported


@functools.lru_cache(maxsize=1)
def opaque_in_abi3t() -> frozenset[str]:
    """Return the structures whose members exist in `abi3` and not in `abi3t` (PEP 803)."""
    import abi3info
    from abi3info.models import FullStruct, PartialStruct

    return frozenset(
        struct.name
        for struct in abi3info.STRUCTS.values()
        if isinstance(struct, PartialStruct) or (isinstance(struct, FullStruct) and struct.abi3t_opaque)
    )
