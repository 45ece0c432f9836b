"""FT435: Rust code takes borrowed references or raw memory out of objects that other threads can change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ftaudit.model import Confidence, Finding, Severity
from ftaudit.rule import RuleInfo, SourceExample
from ftaudit.source import RustRule
from ftaudit.source.rust import RustUnit

if TYPE_CHECKING:
    from tree_sitter import Node

_BORROWED: Final = {
    "PyList_GET_ITEM": "Use `PyList_GetItemRef`.",
    "PyList_GetItem": "Use `PyList_GetItemRef`.",
    "PyDict_GetItem": "Use `PyDict_GetItemRef`.",
    "PyDict_GetItemWithError": "Use `PyDict_GetItemRef`.",
    "PyDict_GetItemString": "Use `PyDict_GetItemStringRef`.",
    "PyDict_SetDefault": "Use `PyDict_SetDefaultRef`.",
    "PyDict_Next": "Hold a critical section on the dictionary.",
    "_PyDict_Next": "Hold a critical section on the dictionary.",
    "PySequence_Fast_GET_ITEM": "Use `PySequence_GetItem`.",
    "PySequence_Fast_ITEMS": "Hold a critical section on the list.",
    "PyWeakref_GetObject": "Use `PyWeakref_GetRef`.",
    "PyImport_AddModule": "Use `PyImport_AddModuleRef`.",
}
_CALL: Final = re.compile(
    r"\b(?:ffi\s*::\s*)?(" + "|".join(_BORROWED) + r"|PyByteArray_AS_STRING|PyByteArray_AsString)\s*\("
)
_SAFE: Final = re.compile(r"\b(?:as_bytes|as_bytes_mut)\s*\(\s*\)")
_SLICE: Final = re.compile(
    r"\bfrom_raw_parts(?:_mut)?\s*(?:::\s*<[^>]*>\s*)?\([^;]{0,120}\bbuf\b|\bbuf_ptr\s*\(\s*\)|\.\s*as_mut_slice\s*\(\s*py\b"
)
_UNCHECKED: Final = re.compile(r"\b(\w+)\s*\.\s*get_item_unchecked\s*\(")
_FIELD: Final = re.compile(
    r"\bPy(?:Dict|List|Set|ByteArray)Object\b[^;{}]{0,40}\)\s*\.\s*(ma_used|ma_keys|ma_values|ob_item|ob_alloc|ob_start|ob_bytes"
    r"|used|fill|table)\b"
)
_CALLER_HOLDS: Final = re.compile(
    r"(?i)//[^\n]*(?:critical section[^\n]*(?:\n\s*//[^\n]*)?\b(?:held|hold|lock|caller)"
    r"|\b(?:held|hold|lock(?:ed)?|caller)\b[^\n]*critical section)"
)
"""A comment that asks the caller for the lock: `// Safety: the dict must be locked with a critical section`."""
_GUARD: Final = re.compile(r"critical_section|CriticalSection", re.IGNORECASE)


class RustBorrowedFfi(RustRule):
    """Raw C API calls in Rust return borrowed references, and pointers into objects that other threads can change.
    `PyList_GET_ITEM`, `PyDict_GetItem` and similar calls do not return an owned reference: another thread can replace
    the item and free the object before the `Py_INCREF`. `PyDict_Next` walks a table that another thread can resize. The
    bytes of a bytearray move when it grows, so a slice is valid only while no other code runs. The compiler does not
    detect any of this.
    """

    info = RuleInfo(
        code="FT435",
        name="rust-borrowed-ffi",
        summary="A borrowed reference, or the memory of a bytearray, is used while another thread can free it.",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        since="0.1.0",
        remedy=(
            "Use the call that returns a new reference (`PyList_GetItemRef`, `PyDict_GetItemRef`), copy the bytes "
            "(`to_vec`), or hold a critical section on the object: "
            "`pyo3::sync::critical_section::with_critical_section`."
        ),
        links=(
            "https://docs.python.org/3.14/howto/free-threading-extensions.html#borrowed-references",
            "https://pyo3.rs/latest/free-threading.html",
        ),
    )

    VALID = (
        SourceExample(
            code="use pyo3::ffi;\n/// Safety: the caller must hold a critical section on the dict.\n"
            "unsafe fn walk(d: *mut ffi::PyObject) {\n"
            "    while ffi::PyDict_Next(d, &mut pos, &mut key, &mut value) != 0 {\n        work(key);\n    }\n}\n"
        ),
        SourceExample(
            code="use pyo3::ffi;\nfn size(dict: &Bound<'_, PyDict>) -> isize {\n"
            "    #[cfg(Py_GIL_DISABLED)]\n    unsafe { ffi::PyDict_Size(dict.as_ptr()) }\n"
            "    #[cfg(not(Py_GIL_DISABLED))]\n"
            "    unsafe { (*dict.as_ptr().cast::<ffi::PyDictObject>()).ma_used }\n}\n"
        ),
        SourceExample(
            code="use pyo3::ffi::*;\n"
            "unsafe fn first(list: *mut PyObject) -> *mut PyObject { PyList_GetItemRef(list, 0) }\n",
            instead=True,
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
            code="use pyo3::prelude::*;\nimpl Items<'_> {\n    unsafe fn at(&self, i: usize) -> Bound<'_, PyAny> {\n"
            "        let list: &Bound<PyList> = &self.list;\n        list.get_item_unchecked(i)\n    }\n}\n",
            lines=(5,),
        ),
        SourceExample(
            code="use pyo3::ffi;\nfn size(dict: &Bound<'_, PyDict>) -> isize {\n"
            "    unsafe { (*dict.as_ptr().cast::<ffi::PyDictObject>()).ma_used }\n}\n",
            lines=(3,),
        ),
        SourceExample(
            code="use pyo3::prelude::*;\nimpl Copies for Bound<'_, PyByteArray> {\n    fn copy(&self) -> Vec<u8> {\n"
            "        unsafe { self.as_bytes() }.to_vec()\n    }\n}\n",
            lines=(4,),
        ),
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
            if _GUARD.search(text) or _CALLER_HOLDS.search(_comments_above(unit, function) + text):
                continue
            for at, message, remedy in _faults(unit, function, text):
                offset = function.start_byte + len(text[:at].encode())
                node = unit.tree.root_node.descendant_for_byte_range(offset, offset)
                if node is None or not unit.off_when_free_threaded(node):
                    yield self.finding(message, location=unit.at(offset), remedy=remedy)


def _faults(unit: RustUnit, function: Node, text: str) -> Iterator[tuple[int, str, str | None]]:
    """Yield the place in a function's text, the message, and the remedy if it is not the rule's own."""
    seen: set[str] = set()
    for found in _CALL.finditer(text):
        name = found[1]
        if name in seen or _is_made_here(text, found.end()):
            continue
        seen.add(name)
        what = "memory that moves when the bytearray grows" if name not in _BORROWED else "a borrowed reference"
        yield (
            found.start(),
            f"`{name}` returns {what}: another thread can free it before the code uses it",
            _BORROWED.get(name, "Copy the bytes."),
        )
    field = _FIELD.search(text)
    if field is not None:
        yield (
            field.start(),
            f"`{field[1]}` is read directly, without the lock that CPython holds when it writes the field",
            "Call the C API function that returns the value, such as `PyDict_Size` or `PyList_Size`.",
        )
    above = _impl_head(unit, function)
    unchecked = _UNCHECKED.search(text)
    if unchecked is not None and _is_list(unit, unchecked[1], above):
        yield (
            unchecked.start(),
            "`get_item_unchecked` reads the list's memory, but another thread can make the list shorter",
            "Use `get_item`.",
        )
    if "PyByteArray" in text or "PyByteArray" in above:
        for found in _SAFE.finditer(text):
            if "unsafe" in text[max(0, found.start() - 200) : found.start()]:
                yield found.start(), "the bytes of a bytearray move when another thread resizes it", None
                break
    slice_ = _SLICE.search(text)
    if slice_ is not None and ("Py_buffer" in unit.text or "PyBuffer" in unit.text):
        yield (
            slice_.start(),
            "the memory of this buffer belongs to another object, to which another thread can write",
            "Copy the bytes, or document that no thread may write to the object during the call.",
        )
    asked, stored = text.find("PyDict_Contains("), text.find("PyDict_SetItem(")
    if 0 <= asked < stored:
        yield (
            asked,
            "the key is looked up here and stored later: another thread can store it in between",
            "Use `PyDict_SetDefaultRef`.",
        )


def _is_list(unit: RustUnit, receiver: str, above: str) -> bool:
    """Return whether a receiver is a list: the file declares a variable or a field of that name as one."""
    if receiver == "self":
        return "PyList" in above
    return re.search(rf"\b{re.escape(receiver)}\s*:[^,;={{}}]*\bPyList\b", unit.text) is not None


def _impl_head(unit: RustUnit, function: Node) -> str:
    """Return the head of the `impl` block or trait around a function."""
    above = function.parent
    while above is not None and above.type not in ("impl_item", "trait_item"):
        above = above.parent
    return unit.text_of(above).partition("{")[0] if above is not None else ""


def _comments_above(unit: RustUnit, function: Node) -> str:
    found: list[str] = []
    before = function.prev_named_sibling
    while before is not None and before.type in ("attribute_item", "line_comment", "block_comment"):
        found.append(unit.text_of(before))
        before = before.prev_named_sibling
    return "\n".join(reversed(found)) + "\n"


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
