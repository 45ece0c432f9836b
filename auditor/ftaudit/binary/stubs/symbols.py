"""Which address an imported symbol gets: a function with its answer, or data of the right shape."""

from __future__ import annotations

import re

from ftaudit.binary.emulator.emulated_process import Handler, Process, merged
from ftaudit.binary.stubs.capi.attributes import ATTRIBUTE_ANSWERS
from ftaudit.binary.stubs.capi.dicts import DICT_ANSWERS
from ftaudit.binary.stubs.capi.emulated_python import SINGLETONS, Answer, Python, bound
from ftaudit.binary.stubs.capi.floats import VALUE_ANSWERS
from ftaudit.binary.stubs.capi.modules import MODULE_ANSWERS, numpy_answer
from ftaudit.binary.stubs.capi.sequences import SEQUENCE_ANSWERS
from ftaudit.binary.stubs.capi.types import TYPE_ANSWERS
from ftaudit.binary.stubs.capi.values_and_errors import OBJECT_ANSWERS, default_answer
from ftaudit.binary.stubs.cpp.cpp_containers import CONTAINER_ANSWERS
from ftaudit.binary.stubs.cpp.strings import stream_text, string_member
from ftaudit.binary.stubs.libc import LIBC_ANSWERS, NOTHING
from ftaudit.binary.stubs.parsing import PARSING_ANSWERS
from ftaudit.binary.stubs.runtimes import RUNTIME_ANSWERS
from ftaudit.binary.stubs.system import SYSTEM_ANSWERS

ANSWERS: dict[str, Answer] = {
    **MODULE_ANSWERS,
    **ATTRIBUTE_ANSWERS,
    **OBJECT_ANSWERS,
    **DICT_ANSWERS,
    **SEQUENCE_ANSWERS,
    **TYPE_ANSWERS,
    **VALUE_ANSWERS,
}
FUNCTIONS: dict[str, Handler] = merged(
    LIBC_ANSWERS, RUNTIME_ANSWERS, SYSTEM_ANSWERS, PARSING_ANSWERS, CONTAINER_ANSWERS
)

_STREAMS = {
    "stdin",
    "stdout",
    "stderr",
    "__stdinp",
    "__stdoutp",
    "__stderrp",
    "environ",
    "__environ",
    "_environ",
}
_VTABLE_SIZE = 1024
_CONSTRUCTOR = re.compile(r"^_ZNK?(?:St|S[sdio]).*[CD][0-2]E")
"""Constructors and destructors of the C++ library, mangled by the Itanium ABI: they return nothing."""
_QUIET = re.compile(r"D[0-2]E|locale|ios_base|basic_ios|streambuf|exception|error|allocator|mutex|condition_variable")
"""Those of them that read only known data."""
_STANDARD_DATA = re.compile(
    r"^_ZSt[345](?:cin|cout|cerr|clog|wcin|wcout|wcerr|wclog)$|^_ZNSt.*2idE$|"
    r"^_ZNSs4_Rep20_S_empty_rep_storageE$|^_ZSt7nothrow$"
)
"""Objects of the C++ library: its streams, and the identifiers of the parts of a locale (`std::locale::id`)."""


def resolve(python: Python, name: str) -> int:
    """Return the address that an imported symbol gets in this try."""
    process, objects = python.process, python.objects
    if name in ANSWERS:
        return process.function(name, bound(python, ANSWERS[name]))
    if name in _LOOKUPS:
        return process.function(name, bound(python, _look_up))
    if name in CONTAINER_ANSWERS:
        process.exact.add(name)
    if name in FUNCTIONS:
        return process.function(name, FUNCTIONS[name])
    if name in SINGLETONS:
        return objects.new(SINGLETONS[name], name=name)
    if name.startswith(("PyExc_", "_PyExc_")):
        return _pointer_to(process, objects.type(name))
    if name.startswith(("Py", "_Py")) and name.endswith("_Type"):
        return objects.type(name)
    if name.startswith(("_ZTV", "_ZTT", "??_7")):
        return _vtable(process, name)
    if name in _STREAMS:
        if "environ" in name:
            return process.unknown_data(name, process.environment().to_bytes(8, "little"), 8)
        return _pointer_to(process, process.handle(256))
    if name == "Py_Version":
        number = python.version[0] << 24 | python.version[1] << 16 | 0xF0
        return process.unknown_data(name, number.to_bytes(8, "little"), 2)
    if name in ("_PyRuntime", "_PyInterpreterState_Main"):
        return process.unknown_data(name, bytes(64 << 10), 64 << 10)
    if name.startswith(("_ZTI", "_ZTS")):
        return _type_info(process, name)
    if name.startswith("??_R") or _STANDARD_DATA.search(name) or name == "__stack_chk_guard":
        return _data(process, 512)
    if (fixed := numpy_answer(name)) is not None:
        return process.function(name, lambda _process: fixed)
    if name.startswith("_Z") and (answer := _standard_cpp(name)) is not None:
        if string_member(name) is not None:
            process.exact.add(name)
        return process.function(name, answer)
    if name in NOTHING or _CONSTRUCTOR.search(name):
        if _CONSTRUCTOR.search(name) and _QUIET.search(name):
            process.exact.add(name)
        return process.function(name, _nothing)
    if name.startswith(("Py", "_Py")):
        return process.function(name, bound(python, default_answer(name)))
    return process.provided.get(name) or process.function(name, foreign)


def _standard_cpp(name: str) -> Handler | None:
    """Return the answer of a function of the C++ library that is known by the pattern of its name."""
    if _FLUENT.search(name):
        return lambda process: process.argument(0)
    return string_member(name) or stream_text(name)


_FLUENT = re.compile(
    r"^_ZN?S[oi](?!C|D|E)|^_ZSt(?:ls|rs)I|^_ZSt(?:16__ostream_insert|4endl|5flush|4ends)I|^_ZNSt6localeaSERKS_$|"
    r"^_ZNSt3__113basic_[io]streamI.*E(?:ls|rs|lsE|rsE|3put|5write|5flush)|"
    r"^_ZNSt3__1(?:ls|rs|24__put_character_sequence)I"
)
"""Operators and members of C++ streams: they return the stream, their first argument."""

_LOOKUPS = frozenset({"dlsym", "GetProcAddress"})


def _look_up(python: Python) -> int:
    """Answer a look-up of a symbol by name: CPython's own functions are found, as in a real process."""
    name = python.string(1)
    if name in ANSWERS or name in FUNCTIONS or name.startswith(("PyExc_", "_Py_")):
        return python.process.symbol(name)
    return python.process.symbol(name) if python.process.oracle.ask(f"{python.process.current} {name}", 2) else 0


def _nothing(_process: Process) -> int:
    return 0


def foreign(process: Process) -> int:
    """Answer a function of another library: 0 is success for most that return a status, and no object."""
    process.foreign = process.current
    choice = process.oracle.ask(process.current, 3)
    return process.handle(256) if choice == 1 else int(choice == 2)


def _pointer_to(process: Process, value: int) -> int:
    address = process.handle()
    process.machine.write_word(address, value)
    return address


def _data(process: Process, size: int) -> int:
    address = process.handle(size)
    process.machine.write(address, bytes(8))
    return address


def _type_info(process: Process, name: str) -> int:
    """Return a `std::type_info`, of which the Itanium ABI says that its name is the mangled one, or that name."""
    text = process.text(name[len("_ZTI") :])
    if name.startswith("_ZTS"):
        return text
    address = _data(process, 512)
    process.machine.write_word(address, process.symbol("_ZTVN10__cxxabiv117__class_type_infoE") + 16)
    process.machine.write_word(address + 8, text)
    return address


def _vtable(process: Process, name: str) -> int:
    """Return a table all of whose entries can be called."""
    address = process.handle(_VTABLE_SIZE)
    entry = process.function(f"{name}[…]", foreign)
    process.machine.write(address, entry.to_bytes(8, "little") * (_VTABLE_SIZE // 8))
    return address
