"""The C library's answers about text that is parsed, searched, split and printed."""

from __future__ import annotations

from collections.abc import Callable

from ftaudit.binary.emulator.emulated_process import ERRNO, Process, registry
from ftaudit.binary.stubs import libc_text
from ftaudit.binary.stubs.libc import counted

PARSING_ANSWERS, answers = registry()

_INT = 0xFFFF_FFFF


@answers("strtol", "strtoll", "__isoc23_strtol", "__isoc23_strtoll", "strtoimax")
def _strtol(process: Process) -> int:
    return _parse(process, signed=True)


@answers("strtoul", "strtoull", "__isoc23_strtoul", "__isoc23_strtoull", "strtoumax")
def _strtoul(process: Process) -> int:
    return _parse(process, signed=False)


def _parse(process: Process, *, signed: bool) -> int:
    start, base = process.argument(0), process.argument(2) & _INT
    base = base - (1 << 32) if base >> 31 else base
    content = process.machine.read_string(start)
    parsed = libc_text.parse_integer(content, base, signed=signed, binary="isoc23" in process.current)
    if process.format == "pe" and (parsed.out_of_range or parsed.value >> 31 not in (0, (1 << 33) - 1)):
        process.guess(process.current)  # Where long has 32 bits.
    if process.argument(1) and parsed.end is not None:
        process.machine.write_word(process.argument(1), start + parsed.end)
    if parsed.out_of_range:
        process.machine.write_int(ERRNO, libc_text.ERANGE)
    elif parsed.end is None:
        process.machine.write_int(ERRNO, 22)
    return parsed.value


@answers("atoi", "atol", "atoll")
def _atoi(process: Process) -> int:
    parsed = libc_text.parse_integer(process.machine.read_string(process.argument(0)), 10, signed=True)
    return parsed.value & _INT if process.current == "atoi" else parsed.value


@answers("strspn")
def _strspn(process: Process) -> int:
    content, among = process.machine.read_string(process.argument(0)), process.machine.read_string(process.argument(1))
    return libc_text.spanned(content, among, inside=True)


@answers("strcspn")
def _strcspn(process: Process) -> int:
    content, among = process.machine.read_string(process.argument(0)), process.machine.read_string(process.argument(1))
    return libc_text.spanned(content, among, inside=False)


@answers("strpbrk")
def _strpbrk(process: Process) -> int:
    content, among = process.machine.read_string(process.argument(0)), process.machine.read_string(process.argument(1))
    place = libc_text.spanned(content, among, inside=False)
    return process.argument(0) + place if place < len(content) else 0


@answers("strsep")
def _strsep(process: Process) -> int:
    machine, holder = process.machine, process.argument(0)
    start = machine.read_word(holder)
    if not start:
        return 0
    content = machine.read_string(start)
    place = libc_text.spanned(content, machine.read_string(process.argument(1)), inside=False)
    if place < len(content):
        machine.write(start + place, b"\0")
        machine.write_word(holder, start + place + 1)
    else:
        machine.write_word(holder, 0)
    return start


@answers("strtok")
def _strtok(process: Process) -> int:
    if "strtok" not in process.symbols:
        process.symbols["strtok"] = process.allocate(8)
    return _token(process, process.symbols["strtok"])


@answers("strtok_r", "__strtok_r")
def _strtok_r(process: Process) -> int:
    return _token(process, process.argument(2))


def _token(process: Process, holder: int) -> int:
    """Answer as glibc does: the rest of the text begins where `holder` says."""
    machine = process.machine
    start = process.argument(0) or machine.read_word(holder)
    if not start:
        return 0
    among, content = machine.read_string(process.argument(1)), machine.read_string(start)
    skipped = libc_text.spanned(content, among, inside=True)
    if skipped == len(content):
        machine.write_word(holder, start + skipped)
        return 0
    length = libc_text.spanned(content[skipped:], among, inside=False)
    end = start + skipped + length
    if skipped + length < len(content):
        machine.write(end, b"\0")
        end += 1
    machine.write_word(holder, end)
    return start + skipped


@answers("strcasecmp", "strncasecmp", "_stricmp", "_strnicmp")
def _strcasecmp(process: Process) -> int:
    left = process.machine.read_string(process.argument(0)).lower()
    right = process.machine.read_string(process.argument(1)).lower()
    if process.current in ("strncasecmp", "_strnicmp"):
        size = process.argument(2)
        left, right = left[:size], right[:size]
    return libc_text.differ(left, right)


@answers("memrchr")
def _memrchr(process: Process) -> int:
    content = process.machine.read(process.argument(0), counted(process.argument(2)))
    found = content.rfind(process.argument(1) & 0xFF)
    return process.argument(0) + found if found >= 0 else 0


@answers("rawmemchr")
def _rawmemchr(process: Process) -> int:
    start = process.argument(0)
    while process.machine.read(start, 1)[0] != process.argument(1) & 0xFF:
        start += 1
    return start


@answers("memmem")
def _memmem(process: Process) -> int:
    content = process.machine.read(process.argument(0), counted(process.argument(1)))
    found = content.find(process.machine.read(process.argument(2), counted(process.argument(3))))
    return process.argument(0) + found if found >= 0 else 0


@answers("strchrnul")
def _strchrnul(process: Process) -> int:
    content = process.machine.read_string(process.argument(0)) + b"\0"
    found = content.find(process.argument(1) & 0xFF)
    return process.argument(0) + (found if found >= 0 else len(content) - 1)


@answers("strncat", "__strncat_chk")
def _strncat(process: Process) -> int:
    target = process.argument(0)
    content = process.machine.read_string(process.argument(1))[: counted(process.argument(2))]
    process.machine.write(target + len(process.machine.read_string(target)), content + b"\0")
    return target


@answers("strndup", "__strndup")
def _strndup(process: Process) -> int:
    return process.text(process.machine.read_string(process.argument(0))[: counted(process.argument(1))])


@answers("stpncpy")
def _stpncpy(process: Process) -> int:
    target, size = process.argument(0), counted(process.argument(2))
    content = process.machine.read_string(process.argument(1))[:size]
    process.machine.write(target, content + bytes(size - len(content)))
    return target + len(content)


# Formatted output


@answers("snprintf", "PyOS_snprintf", "_snprintf")
def _snprintf(process: Process) -> int:
    return _print(process, 2, 3, process.argument(1))


@answers("__snprintf_chk")
def _snprintf_chk(process: Process) -> int:
    return _print(process, 4, 5, process.argument(1))


@answers("sprintf")
def _sprintf(process: Process) -> int:
    return _print(process, 1, 2, 1 << 16)


@answers("__sprintf_chk")
def _sprintf_chk(process: Process) -> int:
    return _print(process, 3, 4, 1 << 16)


@answers("asprintf")
def _asprintf(process: Process) -> int:
    return _print_new(process, 1, 2)


@answers("__asprintf_chk")
def _asprintf_chk(process: Process) -> int:
    return _print_new(process, 2, 3)


def _print(process: Process, format_index: int, fixed: int, size: int) -> int:
    content = _printed(process, format_index, fixed)
    if size:
        process.machine.write(process.argument(0), content[: size - 1] + b"\0")
    return len(content)


def _print_new(process: Process, format_index: int, fixed: int) -> int:
    content = _printed(process, format_index, fixed)
    process.machine.write_word(process.argument(0), process.text(content))
    return len(content)


def _printed(process: Process, format_index: int, fixed: int) -> bytes:
    """Return the output of a format; a guess if that is unknown."""
    pattern = process.machine.read_string(process.argument(format_index))
    made = libc_text.printed(pattern, _arguments(process, fixed), process.machine.read_string)
    if not made.known:
        process.guess(process.current)
    for place, count in made.counts:
        process.machine.write_int(place, count)
    return bytes(made.text)


def _arguments(process: Process, fixed: int) -> Callable[[], int]:
    """Return a function that returns the next variadic argument."""
    position = fixed - 1

    def following() -> int:
        nonlocal position
        position += 1
        return process.argument(position, fixed=fixed)

    return following
