"""The framework of an extension module, by the strings and imports that each framework leaves in an image."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ftaudit.binary.image.mapped import Image


@dataclass(frozen=True, slots=True)
class _Mark:
    """One framework's mark."""

    name: str
    text: bytes
    """A string that every module of the framework holds."""
    version: re.Pattern[bytes] | None = None
    also: bytes = b""
    """A second string that must be there too."""
    unless: str = ""
    """The module that only looks like one of the framework's."""


_NANOBIND = re.compile(rb"\0nanobind_(\d+_\d+_\d+(?:_dev\d+)?)_|[\0_](v\d+)(?:_dev\d+)?_(?:system|msvc|conda|mingw)")
"""nanobind 3's ABI tag names the release; before, it named the version of the internals (nanobind's src/nb_abi.h)."""
_PARTS = (b"nanobind_", b"_system", b"_msvc", b"_conda", b"_mingw")
"""Texts of which that pattern contains one: to search for them is quick in an image of any size."""
_AROUND = 64
"""Bytes before and after such a text in which the pattern may begin and end."""
_PYBIND11 = re.compile(rb"__pybind11_internals_(v\d+)")
"""The version of the internals, not of the release: the image does not hold that (pybind11/detail/internals.h)."""

_MARKS = (
    _Mark("PyO3", b"pyo3_runtime.PanicException", re.compile(rb"pyo3-(\d+\.\d+\.\d+)[-/\\]")),
    _Mark("mypyc", b"__mypyc"),
    _Mark("Cython", b"cython_runtime", re.compile(rb"_cython_(\d+_\d+(?:_\w+?)?)\0")),
    _Mark("nanobind", b"nb_internals_v", _NANOBIND),
    _Mark("nanobind", b"__nb_internals_", _NANOBIND),
    _Mark("nanobind", b"__nanobind_internals__", _NANOBIND),
    _Mark("nanobind", b"nanobind::", _NANOBIND),
    _Mark("pybind11", b"__pybind11_internals_v", _PYBIND11),
    _Mark("pybind11", b"pybind11_object", _PYBIND11),
    _Mark("Pythran", b"__pythran__", re.compile(rb"\0(\d+\.\d+\.\d+)\0\(s+\)\0")),
    _Mark("f2py", b"generated with f2py", re.compile(rb"generated with f2py \(version:([\w.+]+)\)")),
    _Mark("SWIG", b"swig_runtime_data", re.compile(rb"swig_(runtime_data\d+)")),
    _Mark("Boost.Python", b"Boost.Python.", re.compile(rb"[Bb]oost[_-](\d+_\d+(?:_\d+)?)[/\\]")),
    _Mark("cffi", b"_init_cffi_1_0_external_module", also=b"_cffi_backend", unless="_cffi_backend"),
    _Mark("Shiboken", b"libshiboken"),
)
"""In the order in which they are tried: a Rust module may hold C code that cffi wrote, never the other way round."""

NO_FRAMEWORK = ("C", "C++", "Rust")
"""What `find_framework` returns for a module without a framework: its language."""

_RUST = (b"/rustc/", b"rust_panic", b"RUST_BACKTRACE")
_CPP_LIBRARIES = ("libstdc++", "libc++", "msvcp", "vcruntime140_1")


def find_framework(image: Image, module_name: str) -> tuple[str, str | None]:
    """Return the name of the module's framework and its version, if the image shows it; `C` if nothing does."""
    memory = image.memory
    for mark in _MARKS:
        if mark.text in memory and mark.also in memory and not (mark.unless and module_name == mark.unless):
            return mark.name, _version(mark, image)
    if any(text in memory for text in _RUST):
        return "Rust", None
    if _is_cpp(image):
        return "C++", None
    return "C", None


def _version(mark: _Mark, image: Image) -> str | None:
    match = _search(mark.version, image.memory) if mark.version else None
    if match is None:
        return None
    text = next(group for group in match.groups() if group is not None).decode("ascii", "replace")
    if text.startswith("v"):
        return f"internals {text}"
    return text.replace("_", ".") if mark.name in ("Cython", "nanobind", "Boost.Python") else text.replace("_", " ")


def _search(pattern: re.Pattern[bytes], memory: bytes | bytearray) -> re.Match[bytes] | None:
    """Return the first match of a pattern."""
    return pattern.search(memory) if pattern is not _NANOBIND else _first_of_parts(pattern, memory)


def _first_of_parts(pattern: re.Pattern[bytes], memory: bytes | bytearray) -> re.Match[bytes] | None:
    found: re.Match[bytes] | None = None
    for part in _PARTS:
        end = len(memory) if found is None else found.start() + _AROUND
        place = memory.find(part, 0, end)
        while place >= 0:
            match = pattern.search(memory, max(0, place - _AROUND), place + _AROUND)
            if match is not None:
                found = match if found is None or match.start() < found.start() else found
                break
            place = memory.find(part, place + 1, end)
    return found


def _is_cpp(image: Image) -> bool:
    if any(name.startswith(("_Z", "?", "__cxa_throw", "__gxx")) for name in image.imports):
        return True
    return any(library.rpartition("/")[2].lower().startswith(_CPP_LIBRARIES) for library in image.libraries)
