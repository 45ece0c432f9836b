"""An emulated processor with its calling convention: registers, stack and memory, without Python."""

from __future__ import annotations

import bisect
import functools
import gc
import importlib
import itertools
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ftaudit.binary.emulator.code_hooks import Callback, add_code_hook, free
from ftaudit.binary.emulator.direct_access import memory_reader, register_reader, register_writer
from ftaudit.binary.emulator.taint.calls import Calls
from ftaudit.binary.image.mapped import AARCH64, X86_64
from ftaudit.errors import EngineMissing
from ftaudit.extras import EMULATOR, Extra, why_missing

_CLOSED = itertools.count(1)
_MASK = 0xFFFF_FFFF_FFFF_FFFF
_MOST_TRAFFIC = 256 << 20


_RELATIVE = re.compile(rb"[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]")
"""The second byte of x86-64 instructions with an operand relative to the program counter."""
_ASKING = (
    b"\x0f\xa2", b"\x0f\x31", b"\x0f\x01\xf9", b"\x0f\x01\xd0", b"\x0f\x05", b"\x0f\x34", b"\x0f\x33", b"\x0f\x01\xe0",
    *(b"\x0f\xc7" + bytes((number,)) for number in range(0xF0, 0x100)),
)  # fmt: skip
"""`cpuid`, `rdtsc`, `rdtscp`, `xgetbv`, `syscall`, `sysenter`, `rdpmc`, `smsw`, `rdrand` and `rdseed`."""


def _asks_arm(code: bytes | bytearray) -> bool:
    """Return whether code has an `MRS` other than of the thread pointer, or an `SVC`."""
    words = struct.iter_unpack("<I", bytes(code[: len(code) - len(code) % 4]))
    return any(
        (word & 0xFFF0_0000 == 0xD530_0000 and word & 0xFFFF_FF00 != 0xD53B_D000) or word & 0xFFE0_001F == 0xD400_0001
        for (word,) in words
    )


def _closed(*_: int) -> Any:
    raise RuntimeError("the engine is closed")


@functools.lru_cache(maxsize=1 << 14)
def _relative_places(code: bytes) -> tuple[int, ...]:
    """Return the distances from the start of the code to the places that its instructions may name."""
    return tuple(
        match.end() + 4 + int.from_bytes(code[match.end() : match.end() + 4], "little", signed=True)
        for match in _RELATIVE.finditer(code)
    )


class MemoryFault(Exception):
    """The emulated code touched unmapped memory, or executed an invalid instruction."""


class NeedsVex(MemoryFault):
    """The emulated code was compiled only for processors with AVX."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Convention:
    """How arguments and results are passed: System V and Microsoft x64, AAPCS64 and Apple's variant of it."""

    arguments: tuple[int, ...]
    """Unicorn's numbers of the integer argument registers."""
    result: int
    second_result: int
    """Of a pair of words."""
    result_place: int | None
    """Holds the address of an object that is returned in memory; `None` if it is the first argument."""
    stack: int
    program: int
    frame: int
    """Points to the frame of a function, in code that has one."""
    link: int | None
    """The return address's register; `None` if it is on the stack."""
    shadow: int
    """Bytes between the return address and the first stack argument (Microsoft x64: 32)."""
    variadic_on_stack: bool
    """Apple's AArch64: variadic arguments are never in registers."""
    return_code: bytes
    """A `ret` instruction."""


def convention_of(machine: str, image_format: str) -> Convention:
    """Return the convention of a platform, by machine and image format."""
    from unicorn import arm64_const, x86_const

    if machine == AARCH64:
        return Convention(
            arguments=tuple(getattr(arm64_const, f"UC_ARM64_REG_X{number}") for number in range(8)),
            result=arm64_const.UC_ARM64_REG_X0,
            second_result=arm64_const.UC_ARM64_REG_X1,
            result_place=arm64_const.UC_ARM64_REG_X8,
            stack=arm64_const.UC_ARM64_REG_SP,
            program=arm64_const.UC_ARM64_REG_PC,
            frame=arm64_const.UC_ARM64_REG_X29,
            link=arm64_const.UC_ARM64_REG_X30,
            shadow=0,
            variadic_on_stack=image_format == "macho",
            return_code=b"\xc0\x03\x5f\xd6",
        )
    names = ("RCX", "RDX", "R8", "R9") if image_format == "pe" else ("RDI", "RSI", "RDX", "RCX", "R8", "R9")
    return Convention(
        arguments=tuple(getattr(x86_const, f"UC_X86_REG_{name}") for name in names),
        result=x86_const.UC_X86_REG_RAX,
        second_result=x86_const.UC_X86_REG_RDX,
        result_place=None,
        stack=x86_const.UC_X86_REG_RSP,
        program=x86_const.UC_X86_REG_RIP,
        frame=x86_const.UC_X86_REG_RBP,
        link=None,
        shadow=32 if image_format == "pe" else 0,
        variadic_on_stack=False,
        return_code=b"\xc3\xcc\xcc\xcc",
    )


class Machine:
    """Unicorn, its memory, and calls in the platform's convention. Raise `EngineMissing` if it is not installed."""

    def __init__(self, machine: str, image_format: str) -> None:
        if reason := why_missing(Extra.BINARY, EMULATOR):
            raise EngineMissing(reason)
        unicorn: Any = importlib.import_module("unicorn")
        self.name = machine
        self.convention = convention_of(machine, image_format)
        if machine == AARCH64:
            self.engine: Any = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
            # The default model lacks the atomics (LSE, LDAPR) that Apple's and Microsoft's compilers emit.
            self.engine.ctl_set_cpu_model(importlib.import_module("unicorn.arm64_const").UC_CPU_ARM64_MAX)
            self._enable_vectors()
        elif machine == X86_64:
            self.engine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        else:
            raise ValueError(f"no emulator for {machine}")
        self.read_register = register_reader(self.engine)
        self._write_register = register_writer(self.engine)
        self._read_memory = memory_reader(self.engine)
        self._invalid_instruction: int = unicorn.UC_ERR_INSN_INVALID
        self._failure: type[Exception] = unicorn.UcError
        self._code_hook: int = unicorn.UC_HOOK_CODE
        self._block_hook: int = unicorn.UC_HOOK_BLOCK
        self._buffers: list[object] = []
        self._traffic = 0
        self._invalid_access: int = unicorn.UC_HOOK_MEM_INVALID
        self._read_access: int = unicorn.UC_HOOK_MEM_READ
        self.calls_flow: Calls | None = None
        """Receives the inputs of imported functions' answers, if that is wanted."""
        self.resume: Callable[[Exception | None, bool], int | None] | None = None
        """Returns where the code continues after an error, or the end of a call, if it does."""
        self._executed: set[tuple[int, int]] = set()
        self.engine.hook_add(unicorn.UC_HOOK_EDGE_GENERATED, self._on_edge)
        self._untouched: list[tuple[int, int, bytes, Callable[[], None]]] = []
        self._absent: list[tuple[int, int]] = []
        self._doubtful: tuple[tuple[int, int], ...] = ()
        self.missed: int | None = None
        """The first touched address of unmapped memory (see `unmap`)."""

    def _on_edge(self, _engine: object, current: Any, previous: Any, _data: object) -> None:
        """Note a stretch of code when it is first translated."""
        self._executed.add((current.pc, current.size))
        self._executed.add((previous.pc, previous.size))

    def names(self, address: int) -> bool:
        """Return whether code that ran may read the pointer at an address: also true if that cannot be determined."""
        if self.name == AARCH64:
            return True
        for start, size in self._executed:
            for low in _relative_places(self._read_memory(start, size)) if size else ():
                if start + low <= address <= start + low + 4:
                    return True
        return False

    def executed(self) -> Iterator[tuple[int, bytes]]:
        """Yield address and code of each stretch of code that ran."""
        for address, size in self._executed:
            try:
                yield address, self._read_memory(address, size) if size else b""
            except self._failure:
                continue

    def asks_processor(self) -> bool:
        """Return whether code ran that may ask the processor or the operating system something."""
        seen = self._executed
        if self.name == AARCH64:
            return any(_asks_arm(self.engine.mem_read(address, size)) for address, size in seen if size)
        for address, size in seen:
            try:
                code = self._read_memory(address, size) if size else b""
            except self._failure:
                return True
            if b"\x0f" in code and any(mark in code for mark in _ASKING):
                return True
        return False

    def _enable_vectors(self) -> None:
        """Let EL1 and EL0 use the floating-point and vector unit (`CPACR_EL1.FPEN`)."""
        from unicorn import arm64_const

        register = arm64_const.UC_ARM64_REG_CPACR_EL1
        self.engine.reg_write(register, self.engine.reg_read(register) | 3 << 20)

    def map(self, address: int, size: int, content: bytearray | None = None) -> None:
        """Map pages, zeroed, or backed by `content`, which must be `size` bytes long and is written to.

        Raise `MemoryFault` if they cannot be mapped.
        """
        try:
            if content is None:
                self.engine.mem_map(address, size)
                return
            import ctypes

            buffer = (ctypes.c_char * size).from_buffer(content)
            self._buffers.append(buffer)
            self.engine.mem_map_ptr(address, size, 7, ctypes.addressof(buffer))
        except self._failure as error:
            raise MemoryFault(f"mapping {size} bytes at {address:#x}: {error}") from error

    def map_on_touch(self, address: int, size: int, content: bytes, touched: Callable[[], None]) -> None:
        """Map pages on their first access, and report it."""
        unicorn: Any = importlib.import_module("unicorn")

        def on_access(_engine: object, _kind: int, where: int, _size: int, _value: int, _data: object) -> bool:
            return self._touch(where)

        self._untouched.append((address, size, content, touched))
        self.engine.hook_add(
            unicorn.UC_HOOK_MEM_READ_UNMAPPED | unicorn.UC_HOOK_MEM_WRITE_UNMAPPED,
            on_access,
            begin=address,
            end=address + size - 1,
        )

    def _touch(self, where: int) -> bool:
        """Map the lazily mapped memory at an address; return whether there is any."""
        for entry in self._untouched:
            address, size, content, touched = entry
            if address <= where < address + size:
                self._untouched.remove(entry)
                self.engine.mem_map(address, size)
                self.engine.mem_write(address, content)
                touched()
                return True
        return False

    def unmap(self, start: int, end: int) -> None:
        """Unmap pages, and note the first access to them. Raise `MemoryFault` if that cannot be done."""

        def on_access(_engine: object, _kind: int, address: int, _size: int, _value: int, _data: object) -> bool:
            self._miss(address)
            return False

        self._absent.append((start, end))
        self.engine.hook_add(self._invalid_access, on_access, begin=start, end=end - 1)
        try:
            self.engine.mem_unmap(start, end - start)
        except self._failure as error:
            raise MemoryFault(f"unmapping {end - start} bytes at {start:#x}: {error}") from error

    def distrust(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Make any read of a byte in these ranges, which are in order, a `MemoryFault`."""
        self._doubtful = tuple(ranges)

        def on_read(_engine: object, _kind: int, address: int, size: int, _value: int, _data: object) -> None:
            self._check(address, size)

        self.engine.hook_add(self._read_access, on_read, begin=ranges[0][0], end=ranges[-1][1] - 1)

    def _check(self, address: int, size: int) -> None:
        """Raise `MemoryFault` if a read includes bytes of unknown content."""
        place = bisect.bisect_right(self._doubtful, (address + size - 1, _MASK))
        if place and self._doubtful[place - 1][1] > address:
            self.missed = self.missed or address
            raise MemoryFault(f"reading what was not fetched at {address:#x}")

    def _miss(self, address: int, size: int = 1) -> None:
        """Note the first access to an unmapped range."""
        for start, end in self._absent:
            if self.missed is None and address < end and start < address + size:
                self.missed = max(address, start)

    def watch(self, start: int, end: int, callback: Callable[[int], None]) -> None:
        """Call `callback(address)` before any instruction in the range is executed."""

        add_code_hook(self.engine, start, end + 1, lambda address, _size: callback(address))

    def step(self, start: int, end: int, callback: Callback) -> None:
        """Call `callback(address, size)` before each instruction in the range is executed."""
        add_code_hook(self.engine, start, end, callback)

    def forget_code(self) -> None:
        """Translate all code again when it runs next: so hooks that come now also see code that ran before."""
        self.engine.ctl_flush_tb()

    def follow(self, start: int, end: int, blocks: list[tuple[int, int]], limit: int) -> None:
        """Append address and size of each basic block in the range on entry; only the last `limit` are kept."""

        def on_block(_engine: object, address: int, size: int, _data: object) -> None:
            blocks.append((address, size))
            if len(blocks) > 2 * limit:
                del blocks[:limit]

        self.engine.hook_add(self._block_hook, on_block, begin=start, end=end)

    def interpret_vex(self, start: int, end: int) -> None:
        """Execute the AVX instructions in the range ourselves, if `execute` supports them."""
        from unicorn import x86_const

        from ftaudit.binary.emulator.avx import instructions

        order = ("RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", *(f"R{number}" for number in range(8, 16)))
        registers = [getattr(x86_const, f"UC_X86_REG_{name}") for name in order]
        vectors = [getattr(x86_const, f"UC_X86_REG_YMM{number}") for number in range(16)]
        processor = instructions.Processor(
            read_register=lambda number: self._register(registers[number]),
            write_register=lambda number, value: self.engine.reg_write(registers[number], value),
            read_vector=lambda number: int(self.engine.reg_read(vectors[number])),
            write_vector=lambda number, value: self.engine.reg_write(vectors[number], value),
            load=lambda address, size: int.from_bytes(self.read(address, size), "little"),
            store=lambda address, value, size: self.write(address, value.to_bytes(size, "little")),
            read_flags=lambda: self._register(x86_const.UC_X86_REG_RFLAGS),
            write_flags=lambda value: self.engine.reg_write(x86_const.UC_X86_REG_RFLAGS, value),
        )

        def on_code(_engine: object, address: int, size: int, _data: object) -> None:
            code = bytes(self.engine.mem_read(address, min(15, end - address)))
            if code[0] not in instructions.VEX:
                return
            try:
                following = instructions.execute(processor, code, address)
            except (instructions.Unsupported, IndexError) as error:
                raise MemoryFault(f"an AVX instruction that ftaudit does not know: {error}") from error
            if following is not None:
                self.engine.reg_write(self.convention.program, following)

        self.engine.hook_add(self._code_hook, on_code, begin=start, end=end - 1)

    def set_thread_pointer(self, address: int, *, windows: bool) -> None:
        """Point the platform's thread register at its block."""
        from unicorn import arm64_const, x86_const

        if self.name == AARCH64:
            self.engine.reg_write(arm64_const.UC_ARM64_REG_TPIDR_EL0, address)
            self.engine.reg_write(arm64_const.UC_ARM64_REG_TPIDRRO_EL0, address)
            if windows:
                self.engine.reg_write(arm64_const.UC_ARM64_REG_X18, address)
        else:
            self.engine.reg_write(x86_const.UC_X86_REG_GS_BASE if windows else x86_const.UC_X86_REG_FS_BASE, address)
            if not windows:
                self.engine.reg_write(x86_const.UC_X86_REG_GS_BASE, address)

    def close(self) -> None:
        """Free the engine and its memory: each holds a GiB of address space.

        Callbacks and engine refer to each other. If the engine cannot be freed before the collector ends that, the
        collector runs for every fourth engine.
        """
        freed = free(self.engine)
        self.engine = None
        self.read_register = _closed
        self._write_register = self._read_memory = _closed
        self._buffers.clear()
        if not freed and next(_CLOSED) % 4 == 0:
            gc.collect()

    # Memory

    def read(self, address: int, size: int) -> bytes:
        """Return bytes, or raise `MemoryFault`."""
        self._count(size)
        if self._doubtful:
            self._check(address, size)
        if self._untouched:
            self._touch(address)
        if self.calls_flow is not None:
            self.calls_flow.note_read(address, size)
        try:
            return self._read_memory(address & _MASK, size)
        except (self._failure, MemoryError, OverflowError) as error:
            self._miss(address, size)
            raise MemoryFault(f"reading {size} bytes at {address:#x}") from error

    def write(self, address: int, content: bytes) -> None:
        """Write bytes, or raise `MemoryFault`."""
        self._count(len(content))
        if self.calls_flow is not None:
            self.calls_flow.note_write(address, len(content))
        try:
            self.engine.mem_write(address & _MASK, content)
        except (self._failure, OverflowError) as error:
            raise MemoryFault(f"writing {len(content)} bytes at {address:#x}") from error

    def _count(self, size: int) -> None:
        """Limit the total number of bytes that answers to a hostile module's calls may copy."""
        self._traffic += size
        if self._traffic > _MOST_TRAFFIC:
            raise MemoryFault("the module moves more memory than the emulation provides")

    def read_word(self, address: int) -> int:
        """Return the 64-bit word at the address."""
        return int.from_bytes(self.read(address, 8), "little")

    def write_word(self, address: int, value: int) -> None:
        """Write a 64-bit word."""
        self.write(address, struct.pack("<Q", value & _MASK))

    def read_int(self, address: int) -> int:
        """Return the signed 32-bit integer at the address."""
        return int.from_bytes(self.read(address, 4), "little", signed=True)

    def write_int(self, address: int, value: int) -> None:
        """Write a 32-bit integer."""
        self.write(address, struct.pack("<I", value & 0xFFFF_FFFF))

    def read_string(self, address: int, limit: int = 1 << 16) -> bytes:
        """Return the zero-terminated bytes at the address, at most `limit` of them."""
        flow, self.calls_flow = self.calls_flow, None
        try:
            found = self._string(address, limit)
        finally:
            self.calls_flow = flow
        if flow is not None:
            flow.note_read(address, len(found) + 1)
        return found

    def _string(self, address: int, limit: int) -> bytes:
        found = bytearray()
        while len(found) < limit:
            # Pages are mapped whole; most strings end soon.
            step = 64 - address % 64 if len(found) < 256 else 4096 - address % 4096
            chunk = self.read(address, step)
            end = chunk.find(b"\0")
            if end >= 0:
                return bytes(found + chunk[:end])
            found += chunk
            address += step
        return bytes(found)

    def read_text(self, address: int) -> str:
        """Return the zero-terminated UTF-8 at the address; null gives the empty string."""
        return self.read_string(address).decode("utf-8", "replace") if address else ""

    # Calls

    def argument(self, index: int, *, fixed: int | None = None) -> int:
        """Return an integer argument of the function just called, counted from 0.

        `fixed` is the number of named arguments of a variadic function.
        """
        c = self.convention
        if fixed is not None and index >= fixed and c.variadic_on_stack:
            return self.read_word(self._register(c.stack) + 8 * (index - fixed))
        if index < len(c.arguments):
            value = self._register(c.arguments[index])
            if self.calls_flow is not None:
                self.calls_flow.note_argument(index, value)
            return value
        above = index - len(c.arguments)
        start = self._register(c.stack) + c.shadow + (8 if c.link is None else 0)
        return self.read_word(start + 8 * above)

    def _register(self, number: int) -> int:
        return self.read_register(number)

    def result(self) -> int:
        """Return the result of the function that just returned."""
        return self._register(self.convention.result)

    def set_result(self, value: int) -> None:
        """Let the function just called return the value."""
        self._write_register(self.convention.result, value & _MASK)

    def set_second_result(self, value: int) -> None:
        """Let the function just called return the value as the second word of a pair."""
        self.engine.reg_write(self.convention.second_result, value & _MASK)

    def result_object(self) -> int:
        """Return the address for the object that the function just called returns, if that goes to memory."""
        c = self.convention
        return self._register(c.arguments[0] if c.result_place is None else c.result_place)

    def return_address(self) -> int:
        """Return the return address of the function just called."""
        c = self.convention
        return self._register(c.link) if c.link is not None else self.read_word(self._register(c.stack))

    def redirect(self, function: int, arguments: tuple[int, ...], continuation: int) -> None:
        """Call a function of the image in place of the one just called; it returns to `continuation`.

        There `restore` restores the state at the entry of the function just called.
        """
        c = self.convention
        stack = self._register(c.stack)
        if c.link is None:
            # Room for the shadow space, and an aligned stack below the caller's return address.
            stack -= 32 + c.shadow
            self.write_word(stack, continuation)
        else:
            stack -= 32
            self.write_word(stack, self.return_address())
            self.engine.reg_write(c.link, continuation)
        self.engine.reg_write(c.stack, stack)
        for register, value in zip(c.arguments, arguments, strict=False):
            self.engine.reg_write(register, value & _MASK)
        self.engine.reg_write(c.program, function)

    def restore(self) -> None:
        """At a continuation: restore the state at the entry of the function that `redirect` replaced."""
        c = self.convention
        stack = self._register(c.stack)
        if c.link is None:
            # The redirected function's `ret` took the continuation off the stack.
            stack += 24 + c.shadow
        else:
            self.engine.reg_write(c.link, self.read_word(stack))
            stack += 32
        self.engine.reg_write(c.stack, stack)

    def moment(self) -> tuple[int, ...]:
        """Return the address at which the processor continues after the function just called returns."""
        stack = self._register(self.convention.stack) + (8 if self.convention.link is None else 0)
        return (self.return_address(), stack, *(self._register(register) for register in self._preserved))

    def go_back(self, moment: tuple[int, ...], result: int) -> None:
        """Restore a saved state at a function's entry, and return from that function with this result."""
        where, stack, *registers = moment
        for register, value in zip(self._preserved, registers, strict=True):
            self.engine.reg_write(register, value)
        self.set_result(result)
        self.engine.reg_write(self.convention.stack, stack)
        self.engine.reg_write(self.convention.program, where)

    @property
    def _preserved(self) -> tuple[int, ...]:
        """Return the registers that a function preserves."""
        from unicorn import arm64_const, x86_const

        if self.name == AARCH64:
            return tuple(getattr(arm64_const, f"UC_ARM64_REG_X{number}") for number in range(19, 31))
        names = ("RBX", "RBP", "RSI", "RDI", "R12", "R13", "R14", "R15")
        return tuple(getattr(x86_const, f"UC_X86_REG_{name}") for name in names)

    def leave(self) -> None:
        """Return from the function just called, as its `ret` would."""
        c = self.convention
        caller = self.return_address()
        if c.link is None:
            self.engine.reg_write(c.stack, self._register(c.stack) + 8)
        self.engine.reg_write(c.program, caller)

    def call(self, function: int, arguments: tuple[int, ...], *, stack: int, landing: int, limit: int) -> bool:
        """Run a function until it returns to `landing`; return whether it did within `limit` instructions.

        Raise `MemoryFault` for an access or instruction that fails.
        """
        c = self.convention
        stack &= ~0xF
        if c.link is None:
            stack -= 8 + 32 + 8
            stack &= ~0xF
            stack -= 8
            self.write_word(stack, landing)
        else:
            self.engine.reg_write(c.link, landing)
        self.engine.reg_write(c.stack, stack)
        self.engine.reg_write(c.frame, stack + 0x2000 & ~0xF)
        for register, value in zip(c.arguments, arguments, strict=False):
            self.engine.reg_write(register, value & _MASK)
        where = function
        while True:
            failure: Exception | None = None
            try:
                self.engine.emu_start(where, landing, count=limit)
            except self._failure as error:
                failure = self._fault(error)
                failure.__cause__ = error
            except Exception as error:
                failure = error
            landed = failure is None and self._register(c.program) == landing
            again = self.resume(failure, landed) if self.resume is not None else None
            if again is not None:
                where = again
                continue
            if failure is not None:
                raise failure
            return landed

    def _fault(self, error: Exception) -> MemoryFault:
        """Return the fault at which the engine stopped."""
        where = self._register(self.convention.program)
        invalid = getattr(error, "errno", 0) == self._invalid_instruction
        if invalid and self.name == X86_64 and self.read(where, 1)[0] in (0xC4, 0xC5):
            return NeedsVex(f"an AVX instruction at {where:#x}")
        return MemoryFault(f"{error} at {where:#x}")
