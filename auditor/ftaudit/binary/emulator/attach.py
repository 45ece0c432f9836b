"""Connect a process with the tracker of its unknowns."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Collection, Set
from typing import Any

from ftaudit.binary.emulator.emulated_process import (
    COOKIE,
    COOKIE_NAME,
    IDENTIFIER,
    IDENTIFIERS,
    Halt,
    Process,
    ProcessEnds,
)
from ftaudit.binary.emulator.machine import MemoryFault, NeedsVex
from ftaudit.binary.emulator.taint.addresses import Addresses
from ftaudit.binary.emulator.taint.calls import Calls
from ftaudit.binary.emulator.taint.constructor_state import Joins
from ftaudit.binary.emulator.taint.dead_ends import DeadEnds
from ftaudit.binary.emulator.taint.flow import FastFailed, Flow
from ftaudit.binary.emulator.taint.forks import Forks, GaveUp
from ftaudit.binary.emulator.taint.instruction_effects import FLAGS, X87, Decoder
from ftaudit.binary.emulator.taint.meeting_point import Meeting, meeting_point
from ftaudit.binary.emulator.taint.own_code import OwnCode
from ftaudit.binary.emulator.taint.rounds import Rounds
from ftaudit.binary.image.call_sites import is_written_only_by
from ftaudit.binary.image.mapped import AARCH64, X86_64, Image

_FAST_FAIL = {X86_64: b"\xcd\x29", AARCH64: b"\x60\x00\x3e\xd4"}
"""`int 29h` and `brk #0xf003`: Microsoft's documentation of `__fastfail`."""


@functools.cache
def _decoder(machine: str) -> Decoder:
    return Decoder(machine)


def dead_ends_of(image: Image, hook: str) -> DeadEnds:
    """Return the places of a hook from which it returns null."""
    decoder = _decoder(image.machine)
    result = decoder.family("x0" if image.machine == AARCH64 else "ax")
    return DeadEnds(image=image, hook=image.exports[hook], decoder=decoder, result=result)


def own_code_of(image: Image, hook: str, ends: frozenset[int] = frozenset()) -> OwnCode:
    """Return the instructions of a hook; the calls with the return addresses `ends` do not return."""
    return OwnCode(image=image, start=image.exports[hook], decoder=_decoder(image.machine), ends=ends)


def own_code_that_ran(image: Image, flow: Flow) -> Set[int]:
    """Return the instructions of the first function of an image that the hook of a followed run reached."""
    start = next((address for address in flow.trace[flow.hook_begins :] if image.in_code(address)), None)
    return (
        OwnCode(image=image, start=start, decoder=flow.decoder).following.keys() if start is not None else frozenset()
    )


def attach(
    process: Process, objects: Collection[int], turned: Collection[int], joins: Joins, *, follow_addresses: bool
) -> Flow:
    """Track the unknowns of a new process, and invert the decisions with these numbers; `objects` are Python's.

    With `follow_addresses`, what is made of an address is an unknown.
    """
    machine = process.machine
    decoder = _decoder(machine.name)
    flow = Flow(
        engine=machine.engine,
        machine=machine.name,
        decoder=decoder,
        stack=machine.convention.stack,
        program=machine.convention.program,
        read_register=machine.read_register,
        turned=turned,
        clean=objects,
        unsure=process.unsure,
        joins=joins,
        object_of=process.object_of,
        object_around=process.object_around,
        questions=process.oracle.questions,
        identifiers={**dict.fromkeys(IDENTIFIERS, IDENTIFIER), COOKIE_NAME: COOKIE},
        fast_fail=_FAST_FAIL[machine.name] if process.format == "pe" else b"",
    )
    numbers = _registers(machine.name)
    flow.forks_of_constructor = lambda: Forks(
        flow=flow,
        registers=numbers,
        meeting_point=lambda address: _meeting_point(process, decoder, joins, address),
        ends_process=lambda error: isinstance(error, ProcessEnds | FastFailed),
    )
    flow.rounds = Rounds(
        machine=machine.name,
        registers=[(family, number) for family, number in numbers if family != decoder.family(FLAGS)],
        meeting_point=lambda address: _meeting_point(process, decoder, joins, address),
        engine=machine.engine,
    )
    machine.resume = lambda error, landed: _resume(flow, error, landed=landed)
    if machine.name == AARCH64:
        arguments, results = [f"x{number}" for number in range(8)], ["x0", "x1", "v0", "v1"]
    else:
        windows = process.format == "pe"
        arguments = ["cx", "dx", "r8", "r9"] if windows else ["di", "si", "dx", "cx", "r8", "r9"]
        results = ["ax", "dx", "v0", "v1", X87]
    calls = Calls(flow, tuple(map(decoder.family, arguments)), tuple(map(decoder.family, results)))
    if follow_addresses:
        flow.addresses = Addresses(
            flow=flow,
            object_of=process.object_of,
            blocks=process.blocks,
            freed=process.freed,
            landing=process.landing,
            results=tuple(map(decoder.family, results)),
        )
    else:
        flow.is_left_alone = lambda address, size: _is_left_alone(process, flow, address, size)
    calls.errno = process.errno
    calls.blocks = process.blocks
    calls.writable = process.is_writable
    calls.read_argument = machine.argument
    calls.read_count = lambda address: _count(process, address)
    process.calls_flow = machine.calls_flow = calls
    process.oracle.listener = calls.guess
    return flow


_RUNTIME_CODE = (
    bytes.fromhex("4829fe4889f048c1ee3f48c1f8034801c648d1fe"),
    bytes.fromhex("210000cb22fc7fd3410c818b21fc4193"),
)
"""`register_tm_clones` of gcc's start-up files: it subtracts addresses of one table."""


def asks_addresses(process: Process) -> bool:
    """Return whether code ran that may make something of an address that is not an address."""
    decoder = _decoder(process.machine.name)
    for address, code in process.machine.executed():
        if any(linked.image.in_code(address) for linked in process.images):
            known = any(start_up in code for start_up in _RUNTIME_CODE)
            if not known and decoder.sees_addresses(code, address, reused=bool(process.freed)):
                return True
    return False


def _is_left_alone(process: Process, flow: Flow, address: int, size: int) -> bool:
    """Return whether only code that ran, and what follows it in its function, can have written bytes of an image."""
    for linked in process.images:
        image = linked.image
        if image.base <= address < image.end:
            function = OwnCode(image=image, start=flow.trace[-1], decoder=flow.decoder)
            own = {*flow.trace, *function.following}
            place = (address, address + size)
            return not is_imported(process, image, *place) and is_written_only_by(image, place, own)
    return False


def is_imported(process: Process, image: Image, start: int, end: int) -> bool:
    """Return whether another image of the process takes a symbol of this one that is in a range."""
    names = {name for name, address in image.exports.items() if start <= address < end}
    return any(not names.isdisjoint(linked.image.imports) for linked in process.images if linked.image is not image)


def _count(process: Process, address: int) -> int:
    """Return the number of bytes at an address at which a module passes the size of a buffer."""
    return min(process.machine.read_int(address) & 0xFFFF_FFFF, 1 << 12) if process.is_writable(address) else 0


def _resume(flow: Flow, error: Exception | None, *, landed: bool) -> int | None:
    """Return where the process continues after a path of a constructor ended, if one did."""
    known = error is None or isinstance(error, Halt | MemoryFault | FastFailed | GaveUp)
    if flow.forks is None or not known or isinstance(error, NeedsVex):
        return None
    return flow.forks.resume(error, landed=landed)


@functools.cache
def _registers(machine: str) -> tuple[tuple[int, int], ...]:
    """Return the family and Unicorn's number of each register that may hold a value."""
    constants: Any = importlib.import_module(f"unicorn.{'arm64' if machine == AARCH64 else 'x86'}_const")
    if machine == AARCH64:
        names = [(f"x{number}", f"ARM64_REG_X{number}") for number in range(31)]
        names += [(f"v{number}", f"ARM64_REG_Q{number}") for number in range(32)]
        names.append((FLAGS, "ARM64_REG_NZCV"))
    else:
        names = [(name, f"X86_REG_R{name.upper()}") for name in ("ax", "bx", "cx", "dx", "si", "di", "bp")]
        names += [(f"r{number}", f"X86_REG_R{number}") for number in range(8, 16)]
        names += [(f"v{number}", f"X86_REG_XMM{number}") for number in range(16)]
        names.append((FLAGS, "X86_REG_EFLAGS"))
    decoder = _decoder(machine)
    return tuple((decoder.family(family), int(getattr(constants, f"UC_{name}"))) for family, name in names)


def _meeting_point(process: Process, decoder: Decoder, joins: Joins, address: int) -> Meeting:
    """Return where both paths of a branch meet."""
    if address not in joins.meeting_points:
        image = next((each.image for each in process.images if each.image.in_code(address)), None)
        joins.meeting_points[address] = Meeting() if image is None else meeting_point(image, decoder, address)
    return joins.meeting_points[address]


def cover(process: Process, flow: Flow) -> None:
    """Follow the code of every image that is in the process."""
    ranges = [(linked.image.base, linked.image.end) for linked in process.images]
    flow.code = [part for linked in process.images for part in linked.image.code]
    flow.data = [part for linked in process.images for part in linked.image.data]
    for start, end in ranges:
        process.machine.step(start, end, flow.step)
