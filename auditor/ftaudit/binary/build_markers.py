"""Whether an extension module was compiled for the free-threaded build: by imports, libraries and file name."""

from __future__ import annotations

import re

from ftaudit.cpython.exports import FREE_THREADED_CALLS
from ftaudit.cpython.suffixes import find_suffix

_LIBRARY = re.compile(r"^(?:lib)?python3(?:\.?(\d+)|)(t?)(?:_d)?(?:\.dll|\.dylib|\.so.*)$", re.IGNORECASE)
"""`python314t.dll`, `libpython3.14t.so.1.0`, `python3t.dll` of `abi3t`, and `python3.dll`, which proves nothing."""


def find_build(imports: frozenset[str], libraries: tuple[str, ...]) -> tuple[bool | None, str | None]:
    """Return whether the image was compiled with `Py_GIL_DISABLED`, and the evidence; `None` without evidence."""
    for library in libraries:
        match = _LIBRARY.match(library.rpartition("/")[2])
        if match and (match[1] or match[2]):
            return bool(match[2]), f"is linked with {library.rpartition('/')[2]}"
    for name in FREE_THREADED_CALLS:
        if name in imports:
            return True, f"imports {name}"
    if "_Py_Dealloc" in imports:
        return False, "imports _Py_Dealloc"
    return None, None


def is_python_library(library: str) -> bool:
    """Return whether a library that an image is linked with is CPython's own."""
    return _LIBRARY.match(library.rpartition("/")[2]) is not None


def file_name_build(path: str) -> bool | None:
    """Return whether the file name's suffix is that of a free-threaded build; `None` if it says nothing."""
    suffix = find_suffix(path)
    return None if suffix is None or suffix.abi is None else suffix.abi.endswith("t")
