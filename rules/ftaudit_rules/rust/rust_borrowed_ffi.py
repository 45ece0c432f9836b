"""FT435: Rust code takes borrowed references or raw memory out of objects that other threads can change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import RustRule
from ftaudit.source.rust import RustUnit

_BORROWED: Final = {
    "PyList_GET_ITEM": "PyList_GetItemRef",
    "PyList_GetItem": "PyList_GetItemRef",
    "PyDict_GetItem": "PyDict_GetItemRef",
    "PyDict_GetItemWithError": "PyDict_GetItemRef",
    "PyDict_GetItemString": "PyDict_GetItemStringRef",
    "PyDict_SetDefault": "PyDict_SetDefaultRef",
    "PyDict_Next": "a critical section on the dictionary",
    "_PyDict_Next": "a critical section on the dictionary",
    "PySequence_Fast_GET_ITEM": "PySequence_GetItem",
    "PySequence_Fast_ITEMS": "a critical section on the list",
    "PyWeakref_GetObject": "PyWeakref_GetRef",
    "PyImport_AddModule": "PyImport_AddModuleRef",
}
_CALL: Final = re.compile(
    r"\b(?:ffi\s*::\s*)?(" + "|".join(_BORROWED) + r"|PyByteArray_AS_STRING|PyByteArray_AsString)\s*\("
)
_SAFE: Final = re.compile(r"\b(?:as_bytes|as_bytes_mut)\s*\(\s*\)")
_SLICE: Final = re.compile(
    r"\bfrom_raw_parts(?:_mut)?\s*(?:::\s*<[^>]*>\s*)?\([^;]{0,120}\bbuf\b|\bbuf_ptr\s*\(\s*\)|\.\s*as_mut_slice\s*\(\s*py\b"
)
_GUARD: Final = re.compile(r"critical_section|CriticalSection", re.IGNORECASE)


class RustBorrowedFfi(RustRule):
    """Raw C API calls in Rust return borrowed references and pointers into objects that other threads can change.

    `PyList_GET_ITEM`, `PyDict_GetItem` and similar calls do not return an owned reference: another thread that
    replaces the item frees the object before the `Py_INCREF`. `PyDict_Next` walks a table that another thread may
    resize. The bytes of a bytearray move when it grows, so a slice of them is valid only while nothing else runs. The
    compiler does not detect any of this.
    """

    info = RuleInfo(
        code="FT435",
        name="rust-borrowed-ffi",
        summary="A borrowed reference, or the memory of a bytearray, is used while another thread may free it.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy="Use the call that returns a new reference (PyList_GetItemRef, PyDict_GetItemRef), copy the bytes "
        "(to_vec), or hold a critical section on the object: pyo3::sync::critical_section::with_critical_section.",
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html#borrowed-references",
            "https://pyo3.rs/latest/free-threading.html",
        ),
    )

    VALID = (
        SourceExample(
            code="use pyo3::ffi::*;\n"
            "unsafe fn first(list: *mut PyObject) -> *mut PyObject { PyList_GetItemRef(list, 0) }\n"
        ),
        SourceExample(
            code="use pyo3::ffi::*;\nfn all(list: &Bound<PyList>) {\n    with_critical_section(list, || unsafe {\n"
            "        work(PyList_GET_ITEM(list.as_ptr(), 0))\n    })\n}\n"
        ),
        SourceExample(
            code="use pyo3::prelude::*;\nfn copy(data: &Bound<'_, PyByteArray>) -> Vec<u8> { data.to_vec() }\n"
        ),
        SourceExample(
            code="use pyo3::prelude::*;\nfn copy(text: &str) -> Vec<u8> { unsafe { text.as_bytes().to_vec() } }\n"
        ),
        SourceExample(
            code="use pyo3::ffi::*;\nunsafe fn made(py: Python) {\n    let list = PyList_New(2);\n"
            "    fill(list);\n    work(PyList_GET_ITEM(list, 0));\n}\n"
        ),
    )
    INVALID = (
        SourceExample(
            code="use pyo3::ffi;\nstruct Buffer { inner: ffi::Py_buffer }\nimpl Buffer {\n"
            "    fn bytes(&mut self) -> &mut [u8] {\n"
            "        unsafe { std::slice::from_raw_parts_mut(self.inner.buf as *mut u8, self.inner.len as usize) }\n"
            "    }\n}\n",
            lines=(5,),
        ),
        SourceExample(
            code="use pyo3::ffi::*;\nunsafe fn first(list: *mut PyObject) -> *mut PyObject {\n"
            "    let item = PyList_GET_ITEM(list, 0);\n    Py_INCREF(item);\n    item\n}\n",
            lines=(3,),
        ),
        SourceExample(
            code="use pyo3::ffi;\nunsafe fn walk(d: *mut ffi::PyObject) {\n"
            "    while ffi::PyDict_Next(d, &mut pos, &mut key, &mut value) != 0 {\n"
            "        work(key, value);\n    }\n}\n",
            lines=(3,),
        ),
        SourceExample(
            code="use pyo3::prelude::*;\nfn hash(data: &Bound<'_, PyByteArray>) -> u64 {\n"
            "    let bytes = unsafe { data.as_bytes() };\n    work(bytes)\n}\n",
            lines=(3,),
        ),
        SourceExample(
            code="use pyo3::ffi::*;\nunsafe fn add(d: *mut PyObject, k: *mut PyObject, v: *mut PyObject) {\n"
            "    if PyDict_Contains(d, k) == 0 {\n        PyDict_SetItem(d, k, v);\n    }\n}\n",
            lines=(3,),
        ),
    )

    def check(self, unit: RustUnit) -> Iterator[Finding]:
        """Yield the first such call of each name in each function that holds no critical section."""
        for function in unit.of("function_item"):
            body = function.child_by_field_name("body")
            if body is None or unit.off_when_free_threaded(function):
                continue
            text = unit.text_of(function)
            if _GUARD.search(text):
                continue
            seen: set[str] = set()
            for found in _CALL.finditer(text):
                name = found[1]
                if name in seen or _is_made_here(text, found.end()):
                    continue
                seen.add(name)
                what = "memory that moves when the bytearray grows" if name not in _BORROWED else "a borrowed reference"
                instead = _BORROWED.get(name, "a copy of the bytes")
                yield self.finding(
                    f"{name} returns {what}: another thread can free it before it is used. Use {instead}.",
                    location=unit.at(function.start_byte + len(text[: found.start()].encode())),
                )
            if "PyByteArray" in text:
                for found in _SAFE.finditer(text):
                    if "unsafe" in text[max(0, found.start() - 200) : found.start()]:
                        yield self.finding(
                            "The bytes of a bytearray move when another thread makes it grow.",
                            location=unit.at(function.start_byte + len(text[: found.start()].encode())),
                        )
                        break
            if "Py_buffer" in unit.text or "PyBuffer" in unit.text:
                slice_ = _SLICE.search(text)
                if slice_ is not None:
                    yield self.finding(
                        "The memory of a buffer belongs to another object too: a thread can write it meanwhile.",
                        location=unit.at(function.start_byte + len(text[: slice_.start()].encode())),
                        remedy="Copy the bytes, or document that no thread may write the object during the call.",
                    )
            asked, stored = text.find("PyDict_Contains("), text.find("PyDict_SetItem(")
            if 0 <= asked < stored:
                yield self.finding(
                    "A dictionary is asked for a key and then given it: another thread can come in between. Use "
                    "PyDict_SetDefaultRef.",
                    location=unit.at(function.start_byte + len(text[:asked].encode())),
                )


def _is_made_here(text: str, at: int) -> bool:
    """Return whether the same function created the first argument: no other thread has it yet."""
    argument = re.match(r"\s*(\w+)", text[at : at + 80])
    if argument is None:
        return False
    return (
        re.search(
            rf"\blet\s+(?:mut\s+)?{re.escape(argument[1])}\b[^;=]*=\s*(?:ffi::)?Py(?:List|Dict|Tuple|Sequence)_(?:New|Copy|List|Fast)\b",
            text,
        )
        is not None
    )
