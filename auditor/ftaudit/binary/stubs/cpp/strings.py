"""The members of `std::string`, identified by their mangled names."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence

from ftaudit.binary.emulator.emulated_process import Handler, Process
from ftaudit.binary.stubs.cpp.string_layouts import GNU, LIBRARIES, LLVM, StringLayout, new_shared
from ftaudit.binary.stubs.libc import counted

_WORD = (1 << 64) - 1
_NOT_FOUND = _WORD

Argument = tuple[str, int]
"""A parameter's letter (`s` a `const char *`, `S` another string, `m` a number, `c` a character) and its value."""


# The members. Each gets the library, the process, the string and the decoded arguments.

_Member = Callable[[StringLayout, Process, int, Sequence[Argument]], int]


def _text(library: StringLayout, process: Process, arguments: Sequence[Argument]) -> bytes:
    """Return the text that arguments stand for, in any of the ways in which `std::string` takes one."""
    values = [value for _, value in arguments]
    match "".join(kind for kind, _ in arguments):
        case "":
            return b""
        case "s":
            return process.machine.read_string(values[0])
        case "sm" | "smm":
            return process.machine.read(values[0], counted(values[1])) if values[1] else b""
        case "S":
            return library.read(process, values[0])
        case "Sm" | "Smm":
            content = library.read(process, values[0])[values[1] :]
            return content[: values[2]] if len(values) == 3 else content
        case "mc":
            return bytes((values[1] & 0xFF,)) * counted(values[0])
        case "c":
            return bytes((values[0] & 0xFF,))
        case "ss":
            return process.machine.read(values[0], counted(max(values[1] - values[0], 0)))
        case _:
            raise _Unknown


class _Unknown(Exception):
    """A combination of parameters that is not known for `std::string`."""


def _construct(library: StringLayout, process: Process, this: int, arguments: Sequence[Argument]) -> int:
    content = _text(library, process, arguments)
    library.clear(process, this)
    if content:
        library.write(process, this, content)
    return this


def _assign(library: StringLayout, process: Process, this: int, arguments: Sequence[Argument]) -> int:
    library.write(process, this, _text(library, process, arguments))
    return this


def _append(library: StringLayout, process: Process, this: int, arguments: Sequence[Argument]) -> int:
    library.write(process, this, library.read(process, this) + _text(library, process, arguments))
    return this


def _insert(library: StringLayout, process: Process, this: int, arguments: Sequence[Argument]) -> int:
    return _replaced(library, process, this, arguments[0][1], 0, arguments[1:])


def _replace(library: StringLayout, process: Process, this: int, arguments: Sequence[Argument]) -> int:
    return _replaced(library, process, this, arguments[0][1], arguments[1][1], arguments[2:])


def _replaced(
    library: StringLayout, process: Process, this: int, position: int, removed: int, arguments: Sequence[Argument]
) -> int:
    old = library.read(process, this)
    position = min(position, len(old))
    content = old[:position] + _text(library, process, arguments) + old[position + removed :]
    library.write(process, this, content)
    return this


def _pop_back(library: StringLayout, process: Process, this: int, _arguments: Sequence[Argument]) -> int:
    library.write(process, this, library.read(process, this)[:-1])
    return this


def _clear(library: StringLayout, process: Process, this: int, _arguments: Sequence[Argument]) -> int:
    library.write(process, this, b"")
    return this


def _resize(library: StringLayout, process: Process, this: int, arguments: Sequence[Argument]) -> int:
    size = counted(arguments[0][1])
    fill = bytes((arguments[1][1] & 0xFF,)) if len(arguments) > 1 else b"\0"
    library.write(process, this, library.read(process, this)[:size].ljust(size, fill))
    return this


def _reserve(library: StringLayout, process: Process, this: int, arguments: Sequence[Argument]) -> int:
    """Make room in libstdc++'s string: code that knows it writes there, and says how long the text is after that."""
    content = library.read(process, this)
    room = counted(arguments[0][1]) if arguments else 0
    if library is GNU and room > len(content):
        library.write(process, this, content.ljust(room, b"\0"))
        process.machine.write_word(this + 8, len(content))
    return this


def _grow(library: StringLayout, process: Process, this: int, arguments: Sequence[Argument]) -> int:
    """Answer libc++'s `__grow_by…`: (capacity, more, size, kept, removed, added), and perhaps the added text."""
    capacity, more, _, kept, removed, added, *text = (value for _, value in arguments)
    old = library.read(process, this)
    new = process.machine.read(text[0], counted(added)) if text and added else bytes(counted(added))
    content = old[:kept] + new + old[kept + removed :]
    library.write(process, this, content.ljust(max(counted(capacity + more), 23), b"\0"))
    process.machine.write_word(this + 8, len(content))
    return this


def _mutate(library: StringLayout, process: Process, this: int, arguments: Sequence[Argument]) -> int:
    """Answer libstdc++'s `_M_mutate`: text is replaced in new memory, and the length is left to the caller."""
    old, machine = library.read(process, this), process.machine
    position, removed = arguments[0][1], arguments[1][1]
    if library is not GNU:
        # The old ABI's: (position, removed, added); the room for the added text is unchanged.
        added = bytes(counted(arguments[2][1]))
        library.write(process, this, old[:position] + added + old[position + removed :])
        return this
    text, size = arguments[2][1], counted(arguments[3][1])
    added = machine.read(text, size) if text and size else bytes(size)
    content = old[:position] + added + old[position + removed :]
    start = process.allocate(2 * len(content) + 32)
    machine.write(start, content + b"\0")
    machine.write(this, start.to_bytes(8, "little"))
    machine.write_word(this + 16, 2 * len(content) + 31)
    return this


def _swap(library: StringLayout, process: Process, this: int, arguments: Sequence[Argument]) -> int:
    other = arguments[0][1]
    mine, others = library.read(process, this), library.read(process, other)
    library.write(process, this, others)
    library.write(process, other, mine)
    return this


def _move(library: StringLayout, process: Process, this: int, arguments: Sequence[Argument]) -> int:
    _construct(library, process, this, arguments)
    library.write(process, arguments[0][1], b"")
    return this


def _compare(library: StringLayout, process: Process, this: int, arguments: Sequence[Argument]) -> int:
    left = library.read(process, this)
    if [kind for kind, _ in arguments[:2]] == ["m", "m"]:
        left = left[arguments[0][1] :][: arguments[1][1]]
        arguments = arguments[2:]
    right = _text(library, process, arguments)
    return (left > right) - (left < right)


def _find(
    library: StringLayout, process: Process, this: int, arguments: Sequence[Argument], *, backwards: bool = False
) -> int:
    """Look for text: (text, position), or (pointer, position, length)."""
    content = library.read(process, this)
    position = arguments[1][1] if len(arguments) > 1 else (_WORD if backwards else 0)
    wanted = _text(library, process, [arguments[0], *(("m", value) for _, value in arguments[2:])])
    found = content.rfind(wanted, 0, position + len(wanted)) if backwards else content.find(wanted, position)
    return found if found >= 0 else _NOT_FOUND


def _find_any(
    library: StringLayout,
    process: Process,
    this: int,
    arguments: Sequence[Argument],
    *,
    among: bool = True,
    backwards: bool = False,
) -> int:
    """Look for a character that is one of those in the text, or none of them."""
    content = library.read(process, this)
    position = min(arguments[1][1] if len(arguments) > 1 else (_WORD if backwards else 0), len(content))
    wanted = frozenset(_text(library, process, [arguments[0], *(("m", value) for _, value in arguments[2:])]))
    places = range(min(position, len(content) - 1), -1, -1) if backwards else range(position, len(content))
    return next((place for place in places if (content[place] in wanted) is among), _NOT_FOUND)


def _at(library: StringLayout, process: Process, this: int, arguments: Sequence[Argument]) -> int:
    """Return a reference to a character."""
    if library is LLVM:
        raise _Unknown
    return process.machine.read_word(this) + arguments[0][1]


def _length(library: StringLayout, process: Process, this: int, _arguments: Sequence[Argument]) -> int:
    return len(library.read(process, this))


def _nothing(_library: StringLayout, _process: Process, this: int, _arguments: Sequence[Argument]) -> int:
    return this


_MEMBERS: dict[str, _Member] = {
    **dict.fromkeys(("C1", "C2", "12_M_construct", "6__init", "25__init_copy_ctor_external"), _construct),
    **dict.fromkeys(("D1", "D2", "10_M_disposeEv", "13shrink_to_fit", "12_M_leak_hard", "7_M_leak"), _nothing),
    **dict.fromkeys(("6assign", "aS", "9_M_assign", "17__assign_external", "17__assign_no_alias"), _assign),
    **dict.fromkeys(("6append", "pL", "9_M_append", "9push_back"), _append),
    "6insert": _insert,
    **dict.fromkeys(("7replace", "10_M_replace", "14_M_replace_aux"), _replace),
    **dict.fromkeys(("5erase", "8_M_erase", "26__erase_external_with_move"), _replace),
    "8pop_back": _pop_back,
    "5clear": _clear,
    "6resize": _resize,
    "7reserve": _reserve,
    "9_M_mutate": _mutate,
    **dict.fromkeys(("9__grow_by", "21__grow_by_and_replace"), _grow),
    "4swap": _swap,
    "7compare": _compare,
    "4find": _find,
    "5rfind": functools.partial(_find, backwards=True),
    "13find_first_of": _find_any,
    "17find_first_not_of": functools.partial(_find_any, among=False),
    "12find_last_of": functools.partial(_find_any, backwards=True),
    "16find_last_not_of": functools.partial(_find_any, among=False, backwards=True),
    **dict.fromkeys(("2at", "ix"), _at),
    **dict.fromkeys(("4size", "6length"), _length),
}

_NAME = re.compile(r"(C[12]|D[012]|aS|pL|ix|\d+)")
_ITERATORS = re.compile(r"I.*EEv?T_S[0-9A-Z]?_(?:St20forward_iterator_tag)?$")
_TEMPLATE = re.compile(r"I(?:Lb[01]E|S\d_)E")
_RETURNED = re.compile(r"v|RS\d_")


def _copy_chars(process: Process) -> int:
    """Answer libstdc++'s static `_S_copy_chars(target, begin, end)`."""
    target, begin, end = (process.argument(index) for index in range(3))
    if 0 < end - begin <= 1 << 20:
        process.machine.write(target, process.machine.read(begin, end - begin))
    return target


REP_CREATE = "_ZNSs4_Rep9_S_createEmmRKSaIcE"


def string_member(name: str) -> Handler | None:
    """Return the answer of a member of `std::string` by its mangled name, or `None` for any other function."""
    if "13_S_copy_charsEP" in name:
        return _copy_chars
    if name == REP_CREATE:
        return lambda process: new_shared(process, process.argument(0))
    for library in LIBRARIES:
        for prefix in library.prefixes:
            if name.startswith(prefix):
                return _member(library, name[len(prefix) :])
    return None


def _member(library: StringLayout, rest: str) -> Handler | None:
    """Return the answer of a member, by the text after the class in its mangled name: `6appendEPKcm`."""
    start = _NAME.match(rest)
    if start is None:
        return None
    end = start.end() + (int(start[0]) if start[0].isdigit() else 0)
    found, parameters = _MEMBERS.get(rest[:end]), rest[end:]
    constructs = start[0].startswith("C")
    kinds = "ss" if _ITERATORS.match(parameters) else _kinds(library, parameters, constructs=constructs)
    if found is None or kinds is None:
        return None
    member = _move if constructs and f"O{library.itself}" in parameters else found

    def handler(process: Process) -> int:
        this = process.argument(0)
        arguments = [(kind, process.argument(index)) for index, kind in enumerate(kinds, 1)]
        try:
            return member(library, process, this, arguments)
        except _Unknown:
            process.guess(process.current)
            return this

    return handler


def _kinds(library: StringLayout, parameters: str, *, constructs: bool) -> str | None:
    """Turn mangled parameters, `EPKcm`, into one letter for each, an allocator's left out; `None` for others."""
    rest = _TEMPLATE.sub("", parameters, count=1) if parameters.startswith("I") else parameters
    is_template, rest, kinds = rest != parameters, rest.removeprefix("E"), ""
    if is_template and not constructs:
        rest = _RETURNED.sub("", rest, count=1)
    tokens = {
        library.allocator: "", f"RK{library.itself}": "S", f"R{library.itself}": "S", f"O{library.itself}": "S",
        "PKc": "s", "Pc": "s", "m": "m", "c": "c", "v": "",
    }  # fmt: skip
    while rest:
        token = next((token for token in tokens if rest.startswith(token)), None)
        if token is None:
            return None
        kinds += tokens[token]
        rest = rest[len(token) :]
    return kinds


_TEXT_OF_STREAM = re.compile(
    r"^_ZNKSt(7__cxx11|3__1)1[589]basic_(?:stringbuf|stringstream|ostringstream)I.*E3str(?:B\w+)?Ev$"
)


def stream_text(name: str) -> Handler | None:
    """Return the answer of `std::ostringstream::str` and similar functions: an empty string at the caller's address."""
    match = _TEXT_OF_STREAM.match(name)
    if match is None:
        return None
    library = GNU if match[1] == "7__cxx11" else LLVM

    def handler(process: Process) -> int:
        place = process.machine.result_object()
        library.clear(process, place)
        return place

    return handler
