"""The operating system's answers about randomness, numbers in text, its objects and the machine."""

from __future__ import annotations

import struct

from ftaudit.binary.emulator.emulated_process import Process, registry
from ftaudit.binary.stubs.libc import counted

SYSTEM_ANSWERS, answers = registry()

_CHANCE = bytes(range(7, 256, 8)) * 8
"""The result of every random number generator: the same in each try."""


def _fill(process: Process, where: int, size: int) -> None:
    size = counted(size)
    process.machine.write(where, (_CHANCE * (size // len(_CHANCE) + 1))[:size])


@answers("getrandom")
def _getrandom(process: Process) -> int:
    """Answer Linux's call: it returns how many bytes it wrote, and a caller that gets none asks again."""
    size = min(process.argument(1), 1 << 16)
    _fill(process, process.argument(0), size)
    return size


@answers("getentropy", "arc4random_buf", "CCRandomGenerateBytes")
def _entropy(process: Process) -> int:
    _fill(process, process.argument(0), process.argument(1))
    return 0


@answers("BCryptGenRandom")
def _bcrypt_random(process: Process) -> int:
    _fill(process, process.argument(1), process.argument(2))
    return 0


@answers("ProcessPrng", "SystemFunction036")
def _windows_random(process: Process) -> int:
    _fill(process, process.argument(0), process.argument(1))
    return 1


@answers("GetSystemInfo", "GetNativeSystemInfo")
def _system_info(process: Process) -> int:
    """Fill in `SYSTEM_INFO` (sysinfoapi.h): two processors, pages of 4 KiB, allocations of 64 KiB."""
    architecture = 12 if process.machine.name == "aarch64" else 9
    content = struct.pack("<HHIQQQIIIHH", architecture, 0, 4096, 1 << 16, 0x7FFF_FFFE_FFFF, 3, 2, 8664, 1 << 16, 6, 0)
    process.machine.write(process.argument(0), content)
    return 0


_PROCESSORS = (4, 0, 1, 96)
"""What the C++ library may answer, 0 where it cannot tell."""


@answers("_ZNSt6thread20hardware_concurrencyEv", "_ZNSt3__16thread20hardware_concurrencyEv",
         "_Thrd_hardware_concurrency")  # fmt: skip
def _hardware_concurrency(process: Process) -> int:
    return _PROCESSORS[process.oracle.ask(process.current, len(_PROCESSORS), environment=True)]


@answers("CreateSemaphoreA", "CreateSemaphoreW", "CreateMutexA", "CreateMutexW", "CreateEventA", "CreateEventW")
def _kernel_object(process: Process) -> int:
    return process.handle()


_NUMBER = frozenset(b"0123456789+-.eExXabcdefABCDEFpPinfINFnaNAty")


@answers(
    "strtod", "strtold", "strtof", "strtod_l", "strtold_l", "strtof_l", "_strtod_l", "_strtof_l",
    "PyOS_string_to_double",
)  # fmt: skip
def _parse_number(process: Process) -> None:
    """Answer where the number ends: its value, in a floating-point register, is unchanged."""
    start, end = process.argument(0), process.argument(1)
    text = process.machine.read_string(start)
    length = next((index for index, byte in enumerate(text) if byte not in _NUMBER), len(text))
    if end:
        process.machine.write_word(end, start + length)


@answers("newlocale", "uselocale", "duplocale", "_create_locale", "_get_current_locale", "__newlocale", "__uselocale")
def _locale(process: Process) -> int:
    """Answer with the locale: there is one."""
    if "locale" not in process.symbols:
        process.symbols["locale"] = process.handle(512)
    return process.symbols["locale"]


@answers("setlocale")
def _set_locale(process: Process) -> int:
    return process.text("C")


@answers("_wsetlocale")
def _set_wide_locale(process: Process) -> int:
    return process.text("C".encode("utf-16-le") + b"\0")


@answers("__pctype_func", "___lc_locale_name_func")
def _locale_table(process: Process) -> int:
    """Answer the Universal CRT's tables of the current locale: classes of characters, names of its categories."""
    key = f"{process.current} table"
    if key not in process.symbols:
        process.symbols[key] = process.unknown_data(process.current, bytes(512), 512)
    return process.symbols[key]


@answers("__stdio_common_vsprintf", "__stdio_common_vsprintf_s", "__stdio_common_vsnprintf_s")
def _print_to_text(process: Process) -> int:
    """Answer the Universal CRT's `sprintf`s with the format as it stands: (options, buffer, size, format, …)."""
    buffer, size = process.argument(1), process.argument(2)
    where = 4 if process.current.endswith("vsnprintf_s") else 3
    text = process.machine.read_string(process.argument(where))
    if buffer and size:
        process.machine.write(buffer, text[: size - 1] + b"\0")
    return len(text)
