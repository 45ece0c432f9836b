"""Connect a process with the tracker of its unknowns."""

from __future__ import annotations

import functools
from collections.abc import Collection

from ftaudit.binary.emulator.emulated_process import IDENTIFIER, IDENTIFIERS, Process
from ftaudit.binary.emulator.taint.calls import Calls
from ftaudit.binary.emulator.taint.constructor_state import Joins
from ftaudit.binary.emulator.taint.dead_ends import DeadEnds
from ftaudit.binary.emulator.taint.flow import Flow
from ftaudit.binary.emulator.taint.instruction_effects import X87, Decoder
from ftaudit.binary.emulator.taint.own_code import OwnCode
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


def attach(process: Process, objects: Collection[int], turned: Collection[int], joins: Joins) -> Flow:
    """Track the unknowns of a new process, and invert the decisions with these numbers; `objects` are Python's."""
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
        kept=lambda address: not process.on_stack(address),
        object_around=process.object_around,
        questions=process.oracle.questions,
        identifiers=dict.fromkeys(IDENTIFIERS, IDENTIFIER),
        fast_fail=_FAST_FAIL[machine.name] if process.format == "pe" else b"",
    )
    if machine.name == AARCH64:
        arguments, results = [f"x{number}" for number in range(8)], ["x0", "x1", "v0", "v1"]
    else:
        windows = process.format == "pe"
        arguments = ["cx", "dx", "r8", "r9"] if windows else ["di", "si", "dx", "cx", "r8", "r9"]
        results = ["ax", "dx", "v0", "v1", X87]
    calls = Calls(flow, tuple(map(decoder.family, arguments)), tuple(map(decoder.family, results)))
    calls.errno = process.errno
    calls.blocks = process.blocks
    calls.writable = process.is_writable
    calls.read_argument = machine.argument
    process.calls_flow = machine.calls_flow = calls
    process.oracle.listener = calls.guess
    return flow


def cover(process: Process, flow: Flow) -> None:
    """Follow the code of every image that is in the process."""
    ranges = [(linked.image.base, linked.image.end) for linked in process.images]
    flow.code = [part for linked in process.images for part in linked.image.code]
    flow.data = [part for linked in process.images for part in linked.image.data]
    for start, end in ranges:
        process.machine.step(start, end, flow.step)
