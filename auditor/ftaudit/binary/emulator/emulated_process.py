"""A process as the module's code sees it: images, stack, heap, thread-local storage and imported symbols."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ftaudit.binary.emulator.budget import Budget
from ftaudit.binary.emulator.machine import Machine, MemoryFault, NeedsVex
from ftaudit.binary.emulator.oracle import Oracle
from ftaudit.binary.emulator.taint.calls import Calls, leaves
from ftaudit.binary.emulator.taint.join import joined
from ftaudit.binary.image.mapped import AARCH64, Image

# Addresses as on Linux; a module may not rely on more than that.
HANDLES = 0x7F3A_1000_0000
HANDLES_SIZE = 32 << 20
HEAP = 0x55D2_4A00_0000
STACK = 0x7FFC_6A30_0000
STACK_SIZE = 1 << 20
CALLERS = 0x4000
"""Bytes at the top of the stack that belong to the module's caller."""
THREAD = 0x7F3A_3000_0000
THREAD_SIZE = 4 << 20
_HEAD = 32
"""Bytes at the beginning of an object: its reference counts and its type."""
_LOWEST = 1 << 32
"""The lowest address of all."""
ERRNO = THREAD + 0x1800
"""The address of `errno`."""
UNKNOWN = 0x7F3A_2000_0000
SECOND_IMAGE = 0x7F20_0000_0000
IMAGE_SPACE = 0x1_0000_0000
"""The address of the first image that another one delegates to; the next is as far away again."""


IDENTIFIER = 0x6A35_70C4
"""Of the thread and of the process."""
IDENTIFIERS = frozenset({"pthread_self", "GetCurrentThreadId", "GetCurrentProcessId", "getpid", "_Thrd_id"})
"""The functions whose answer it is: never 0, and the same in each call."""
COOKIE = 0x5A1C_83E4_9F27
COOKIE_NAME = "the security cookie"

_THREAD = "_ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE"
_NAMES = """
pthread_create thrd_create clone getcontext setcontext swapcontext makecontext CreateThread _beginthreadex _beginthread
"""
_GO_ELSEWHERE = frozenset(_NAMES.split()) | {_THREAD}
"""Functions after which code runs that is not followed."""
_NAMES = """
sigaction __sigaction signal bsd_signal sysv_signal __sysv_signal sigset timer_create qsort qsort_r bsearch lfind
lsearch tsearch twalk tfind tdelete hsearch ftw ftw64 nftw nftw64 scandir scandir64 glob glob64 dl_iterate_phdr
on_exit at_quick_exit pthread_cleanup_push SetUnhandledExceptionFilter AddVectoredExceptionHandler QueueUserAPC
CreateTimerQueueTimer EnumWindows qsort_s bsearch_s call_once fopencookie register_printf_function Py_AddPendingCall
_Unwind_Backtrace _Unwind_ForcedUnwind
"""
_TAKE_CODE = frozenset(_NAMES.split()) | _GO_ELSEWHERE
"""Functions that call code which they receive, at once or later."""
_RUNTIME = frozenset({"__gxx_personality_v0", "_Unwind_Resume", "__cxa_pure_virtual", "__cxa_throw"})
_MOST_NOTES = 8
"""Static constructors that may fail before the rest are left."""


class Halt(Exception):
    """The emulated code cannot continue or does not need to, for the reason in the message."""


class ProcessEnds(Halt):
    """The emulated code ends its process."""


class Thrown(Halt):
    """The emulated code throws a C++ exception."""


class Exhausted(Halt):
    """The emulated code ran longer than its budget."""


class Sealed(Halt):
    """Nothing that the emulated code does from here on can change what it declares."""

    def __init__(self, gil: int) -> None:
        super().__init__("its declaration is made")
        self.gil = gil


class HandOver(Halt):
    """The emulated code needs another extension module of the same wheel."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it calls {name}, which is not next to it")
        self.name = name


Handler = Callable[["Process"], "int | None"]
"""Answers one imported function; `None` leaves the result register as it is, because the handler has moved on."""

_Handler = TypeVar("_Handler", bound=Handler)


@dataclass(slots=True)
class Linked:
    """An image in the process."""

    image: Image
    slide: int = 0
    thread_block: int = 0


@dataclass(slots=True)
class Process:
    """The state of one try. Addresses are allocated upwards and never reused, so a try is deterministic."""

    machine: Machine
    budget: Budget
    oracle: Oracle
    format: str
    resolve: Callable[[Process, str], int]
    """Makes the address of an imported symbol."""
    handlers: dict[int, Handler] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    symbols: dict[str, int] = field(default_factory=dict)
    images: list[Linked] = field(default_factory=list)
    failure: Exception | None = None
    calls: int = 0
    allowed: int = 0
    """Calls at which the try ends."""
    trace: list[str] = field(default_factory=list)
    """The names of the imported functions that were called, in order."""
    blocks: dict[int, int] = field(default_factory=dict)
    """Sizes of what `allocate` gave out."""
    freed: set[int] = field(default_factory=set)
    """The addresses of memory that was freed; it is never used again here."""
    unsure: set[int] = field(default_factory=set)
    """The addresses of what another package's functions returned: objects, if their types are not."""
    jumps: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """The state that `setjmp` saved, by the address of its buffer."""
    constructed: int = 0
    """Static constructors that were run."""
    doubtful_symbols: dict[int, str] = field(default_factory=dict)
    """Symbols that need not exist, by the address of the pointer to them."""
    current: str = ""
    """The imported function that is being answered."""
    foreign_answer: Handler | None = None
    """Answers unknown functions."""
    foreign: str = ""
    """The last unknown function that was called: another library's."""
    provided: dict[str, int] = field(default_factory=dict)
    """Functions and data that libraries loaded with the module export, by name."""
    certain: frozenset[str] = frozenset()
    """The imported functions whose answers are the same on every machine."""
    exact: set[str] = field(default_factory=set)
    """More of them, known by the patterns of their names."""
    calls_flow: Calls | None = None
    """Tracks the flow of the answers, if that is wanted."""
    opaque: str = ""
    """A request of the code that may run further code which is not emulated: a thread, a signal handler."""
    handles: list[int] = field(default_factory=list)
    """The addresses that `handle` gave out, in order."""
    next_unknown: int = UNKNOWN
    next_handle: int = HANDLES + 0x1000
    next_heap: int = HEAP
    next_thread: int = THREAD + 0x2000
    _starts: list[int] = field(default_factory=list)
    landing: int = HANDLES
    errno: int = ERRNO

    def __post_init__(self) -> None:
        self.allowed = self.budget.calls
        self.machine.map(HANDLES, HANDLES_SIZE)
        self.machine.map(HEAP, self.budget.heap)
        self.machine.map(STACK, STACK_SIZE - CALLERS)
        # Frames of the interpreter: their content is unknown, except that it includes addresses.
        frames = (STACK + STACK_SIZE - 0x2000).to_bytes(8, "little") + (HANDLES + 0x800).to_bytes(8, "little")
        self.unknown_data("the caller's stack", frames * (CALLERS // 16), CALLERS, place=STACK + STACK_SIZE - CALLERS)
        self.machine.map(THREAD, THREAD_SIZE)
        self.machine.watch(HANDLES, HANDLES + HANDLES_SIZE, self._on_call)
        windows = self.format == "pe"
        self.machine.set_thread_pointer(THREAD + 0x1000, windows=windows)
        self._prepare_thread_block(windows)

    def _prepare_thread_block(self, windows: bool) -> None:
        here = THREAD + 0x1000
        if windows:
            # The TEB of winternl.h: stack limits at 8 and 16, itself at 48, the TLS array at 88.
            self.machine.write_word(here + 8, STACK + STACK_SIZE)
            self.machine.write_word(here + 16, STACK)
            self.machine.write_word(here + 48, here)
            self.machine.write_word(here + 88, THREAD)
        else:
            # x86-64: glibc's and musl's thread block begins with its own address; the stack guard is at 40.
            self.machine.write_word(here, here if self.machine.name != AARCH64 else 0)
            self.machine.write_word(here + 16, here if self.machine.name != AARCH64 else 0)
            self.machine.write_word(here + 40, 0x9C31_E6D2_57AC_4F00)

    # Memory for the emulated code

    def handle(self, size: int = 64) -> int:
        """Return the address of a new block that is both zeroed data and a function that can be called."""
        address = self.next_handle
        self.next_handle += size + 64 & ~63
        if self.next_handle > HANDLES + HANDLES_SIZE:
            raise Halt("the module needs more objects than the emulation provides")
        self.handles.append(address)
        self.machine.write(address, self.machine.convention.return_code)
        return address

    def function(self, name: str, handler: Handler) -> int:
        """Return the address of a new imported function."""
        address = self.handle()
        self.handlers[address] = handler
        self.names[address] = name
        return address

    def allocate(self, size: int, alignment: int = 16) -> int:
        """Return zeroed memory of the emulated heap."""
        alignment = max(16, alignment)
        address = self.next_heap + alignment - 1 & ~(alignment - 1)
        if size < 0 or address + size > HEAP + self.budget.heap:
            raise Halt("the module allocates more memory than the emulation provides")
        self.next_heap = address + max(size, 1) + 1  # A pointer to its end is not one to the next block.
        if self.calls_flow is not None:
            self.calls_flow.flow.mark(address, size, 0)
        self.blocks[address] = size
        self._starts.append(address)
        return address

    def text(self, value: str | bytes) -> int:
        """Return the address of a new zero-terminated string."""
        content = value.encode() if isinstance(value, str) else value
        address = self.allocate(len(content) + 1)
        self.machine.write(address, content)
        return address

    def on_stack(self, address: int) -> bool:
        """Return whether an address is on the stack."""
        return STACK <= address < STACK + STACK_SIZE

    def is_writable(self, address: int) -> bool:
        """Return whether an address is on the stack, in the heap or in an image's data."""
        if STACK <= address < STACK + STACK_SIZE or HEAP <= address < self.next_heap:
            return True
        return any(
            linked.image.base <= address < linked.image.end and not linked.image.in_code(address)
            for linked in self.images
        )

    def object_around(self, address: int) -> tuple[int, int] | None:
        """Return where a block, the content of an object, or the thread's variables, at an address begin and end.

        Behind a block that is it too: code that goes on for longer than on any machine writes there.
        """
        if THREAD + 0x2000 <= address < self.next_thread:
            return THREAD + 0x2000, self.next_thread
        if HANDLES <= address < self.next_handle and self.handles:
            place = bisect.bisect_right(self.handles, address)
            following = self.handles[place] if place < len(self.handles) else self.next_handle
            return (self.handles[place - 1] + _HEAD, following) if place else None
        if not HEAP <= address < HEAP + self.budget.heap:
            return None
        place = bisect.bisect_right(self._starts, address)
        start = self._starts[place - 1] if place else 0
        return (start, start + self.blocks[start]) if start else None

    def object_of(self, value: int) -> int:
        """Return where the object that a value is an address of begins, 0 if the value is not an address.

        The stack is one object, each image too, and so are the thread's variables.
        """
        if value < _LOWEST:
            return 0
        if HEAP <= value < self.next_heap:
            place = bisect.bisect_right(self._starts, value)
            return self._starts[place - 1] if place else HEAP
        if STACK <= value < STACK + STACK_SIZE:
            return STACK
        if HANDLES <= value < self.next_handle:
            place = bisect.bisect_right(self.handles, value)
            return self.handles[place - 1] if place else HANDLES
        if THREAD <= value < self.next_thread:
            return THREAD
        for linked in self.images:
            if linked.image.base <= value < linked.image.end:
                return linked.image.base
        return 0

    # Calls out of the emulated code

    def argument(self, index: int, *, fixed: int | None = None) -> int:
        """Return an integer argument of the function being answered."""
        return self.machine.argument(index, fixed=fixed)

    def string(self, index: int) -> str:
        """Return a `char *` argument of the function being answered; null gives the empty string."""
        return self.machine.read_text(self.machine.argument(index))

    def _on_call(self, address: int) -> None:
        calls = self.calls_flow
        if calls is not None and calls.flow.forks is not None and calls.flow.forks.arrive(address):
            return
        handler = self.handlers.get(address)
        if handler is None:
            if address != self.landing:
                raise MemoryFault(f"executing data at {address:#x}")
            return
        self.calls += 1
        if self.calls > self.allowed:
            raise Halt("the initialization calls more functions than the budget allows")
        self.current = self.names[address]
        self.trace.append(self.current)
        flow = self.calls_flow if self.calls_flow is not None and not self.calls_flow.silent else None
        if flow is not None:
            flow.enter(self.current)
        if self.current not in self.certain and self.current not in self.exact:
            self.oracle.guess(self.current)
            if self.current in _TAKE_CODE or handler is self.foreign_answer:
                self._look_for_callbacks()
        result = handler(self)
        if result is not None:
            self.machine.set_result(result)
        if flow is not None:
            flow.leave(result)

    def guess(self, name: str) -> None:
        """Note that the answer of the current function is a guess."""
        self.oracle.guess(name)

    def unknown_data(self, name: str, content: bytes, unknown: int, *, place: int | None = None) -> int:
        """Return the address of data of which the first `unknown` bytes are not known: it counts once it is read."""
        address, size = place or self.next_unknown, len(content) + 0xFFF & ~0xFFF
        if place is None:
            self.next_unknown += size + 0x1000

        def touched() -> None:
            self.oracle.guesses.append(name)
            if self.calls_flow is not None:
                self.calls_flow.touch(address, unknown, name)

        self.machine.map_on_touch(address, size, content, touched)
        return address

    def environment(self) -> int:
        """Return the address of the variables of the environment, of which nothing is known."""
        if "(the environment)" not in self.symbols:
            first = self.unknown_data("the environment", b"PATH=/usr/bin\0", 14)
            content = first.to_bytes(8, "little") + bytes(8)
            self.symbols["(the environment)"] = self.unknown_data("the environment", content, 16)
        return self.symbols["(the environment)"]

    def unknown_memory(self, address: int, size: int, name: str) -> None:
        """Note that bytes hold unknown data."""
        self.oracle.guesses.append(name)
        if self.calls_flow is not None:
            self.calls_flow.unknown(address, size, name)

    def _look_for_callbacks(self) -> None:
        """Note that a barely known function receives code of the images: it may call that code."""
        if self.opaque or (self.current not in _TAKE_CODE and leaves(self.current) is not None):
            return
        if self.current in _GO_ELSEWHERE:
            self.opaque = f"{self.current}()"
        if self.current.endswith("Ev"):
            return  # Mangled: it takes nothing.
        for index in range(5 if self.current in _TAKE_CODE else 2):
            value = self.machine.argument(index)
            if self._is_code(value) or (self.current in _TAKE_CODE and self._points_to_code(value)):
                self.opaque = f"{self.current}()"
                return

    def _is_code(self, address: int) -> bool:
        return any(linked.image.in_code(address) for linked in self.images)

    def _points_to_code(self, address: int) -> bool:
        try:
            return self._is_code(self.machine.read_word(address)) if address else False
        except MemoryFault:
            return False

    def call_instead(self, function: int, arguments: tuple[int, ...], then: Handler) -> None:
        """Call a function of the image in place of the one being answered, and let `then` answer after it.

        `then` may call another in its turn, and return nothing.
        """

        def after(process: Process) -> None:
            process.machine.restore()
            result = then(process)
            if result is not None:
                process.machine.set_result(result)
                process.machine.leave()

        self.machine.redirect(function, arguments, self.function("continuation", after))

    def call(self, function: int, *arguments: int, limit: int | None = None) -> int:
        """Run a function of an image and return its result.

        Raise `Halt` or `MemoryFault` if it does not return.
        """
        count = self.budget.instructions if limit is None else limit
        finished = self.machine.call(
            function, arguments, stack=STACK + STACK_SIZE - CALLERS, landing=self.landing, limit=count
        )
        if not finished:
            raise Exhausted(f"it runs for more than {count:,} instructions")
        return self.machine.result()

    # Linking

    def symbol(self, name: str) -> int:
        """Return the address of an imported symbol."""
        address = self.symbols.get(name)
        if address is None:
            address = self.symbols[name] = self.resolve(self, name)
        return address

    def is_known(self, name: str) -> bool:
        """Return whether a symbol exists on every machine: one that is answered, or that a library here defines."""
        return name in self.provided or name in self.certain or name in self.exact or name in _RUNTIME

    def missing_symbol(self) -> str:
        """Return an optional symbol that code may have looked up, or nothing."""
        for address, name in self.doubtful_symbols.items():
            if self.machine.names(address):
                return name
        return ""

    def provide(self, exports: Mapping[str, int]) -> None:
        """Let images that are linked from now on find these symbols if nothing else answers for them."""
        self.provided.update(exports)

    def link(self, image: Image) -> Linked:
        """Map an image, bind its imports and give its thread-local variables a place."""
        size = len(image.memory) + 0xFFF & ~0xFFF
        content = bytearray(image.memory)
        content.extend(bytes(size - len(content)))
        self.machine.map(image.base, size, content)
        linked = Linked(image)
        self.images.append(linked)
        for bind in image.binds:
            address = bind.address - image.base
            if 0 <= address <= len(content) - 8:
                value = self.symbol(bind.symbol) + bind.addend & 0xFFFF_FFFF_FFFF_FFFF
                content[address : address + 8] = value.to_bytes(8, "little")
                if bind.is_weak and not self.is_known(bind.symbol):
                    self.doubtful_symbols[bind.address] = bind.symbol
                    if self.calls_flow is not None:
                        self.calls_flow.unknown(bind.address, 8, f"whether {bind.symbol} exists")
        if image.cookie is not None:
            self.machine.write_word(image.cookie, COOKIE)
            self.unknown_memory(image.cookie, 8, COOKIE_NAME)
        self._place_thread_locals(linked)
        for start, end in image.absent:
            self.machine.unmap(start, end)
        if image.doubtful:
            self.machine.distrust(image.doubtful)
        return linked

    def _place_thread_locals(self, linked: Linked) -> None:
        tls = linked.image.tls
        if tls.index_address is not None:
            block = self._thread_block(tls.size, tls.alignment)
            index = len(self.images) - 1
            self.machine.write(block, tls.template)
            self.machine.write_word(THREAD + 8 * index, block)
            self.machine.write_int(tls.index_address, index)
            linked.thread_block = block
            return
        if not tls.size and not linked.image.tls_fixups:
            return
        linked.thread_block = block = self._thread_block(tls.size, tls.alignment)
        self.machine.write(block, tls.template)
        offset = block - (THREAD + 0x1000)
        for fixup in linked.image.tls_fixups:
            match fixup.kind:
                case "module":
                    self.machine.write_word(fixup.address, len(self.images))
                case "module-offset":
                    self.machine.write_word(fixup.address, fixup.offset)
                case "thread-offset":
                    self.machine.write_word(fixup.address, offset + fixup.offset)
                case _:
                    self.machine.write_word(fixup.address, self.symbol("__tls_descriptor_resolver"))
                    self.machine.write_word(fixup.address + 8, offset + fixup.offset)

    def _thread_block(self, size: int, alignment: int) -> int:
        block = self.next_thread + alignment - 1 & ~(alignment - 1)
        self.next_thread = block + size + 64
        if self.next_thread > THREAD + THREAD_SIZE:
            raise Halt("the module's thread-local variables exceed the emulation's room")
        return block

    def start(self, linked: Linked, notes: list[str]) -> None:
        """Run what the dynamic loader runs when it loads an image.

        A failing constructor is abandoned, and mentioned in `notes`: the hook may not need it.
        """
        self.allowed = self.calls + self.budget.constructor_calls
        try:
            self._start(linked, notes)
            if notes:
                self.leave_open(f"code that runs before its hook ({notes[0]})")
        finally:
            self.allowed = self.calls + self.budget.calls

    def leave_open(self, reason: str) -> None:
        """Let all that stays writable in the images be unknown: code that was not followed may have written it."""
        if self.calls_flow is not None:
            data = [part for linked in self.images for part in linked.image.data]
            data.append((THREAD + 0x2000, self.next_thread))
            self.calls_flow.flow.open_not_run(data, reason)

    def _start(self, linked: Linked, notes: list[str]) -> None:
        for pointer, resolver in linked.image.resolvers:
            value = self._attempt("an indirect function was not resolved", notes, resolver, limit=10_000)
            if value is not None:
                self.machine.write_word(pointer, value)
                if self.calls_flow is not None:
                    self.calls_flow.mark_result(pointer)
        arguments: tuple[int, ...] = (0, 0, 0)
        if linked.image.format == "elf" and linked.image.initializers:
            # glibc passes the arguments of the program to constructors (elf/dl-init.c).
            arguments = (1, self.environment(), self.environment())
        constructors: list[tuple[int, tuple[int, ...]]] = [(a, arguments) for a in linked.image.initializers]
        if linked.image.entry is not None:
            constructors.append((linked.image.entry, (linked.image.base, 1, 0)))
        limit = self.budget.constructor_instructions
        if len(constructors) > self.budget.constructors:
            notes.append(f"of {len(constructors)} static constructors the last were not run")
        for function, arguments in constructors[: self.budget.constructors]:
            if len(notes) >= _MOST_NOTES:
                return
            self._construct(notes, function, arguments, limit)

    def _construct(self, notes: list[str], function: int, arguments: tuple[int, ...], limit: int) -> None:
        flow = self.calls_flow.flow if self.calls_flow is not None else None
        note = "a static constructor was not finished"
        if flow is None:
            self._attempt(note, notes, function, *arguments, limit=limit)
            return
        problems: list[str] = []

        def construct() -> None:
            problems.clear()
            self._attempt(note, problems, function, *arguments, limit=limit)

        self.constructed += 1
        joined(flow, flow.joins, self.constructed, construct)
        notes += problems

    def _attempt(self, note: str, notes: list[str], function: int, *arguments: int, limit: int) -> int | None:
        try:
            return self.call(function, *arguments, limit=limit)
        except NeedsVex:
            raise
        except ProcessEnds as error:
            if self.calls_flow is not None:
                raise  # A machine on which this path is taken gets no module.
            notes.append(f"{note}: {error}")
            return None
        except (Halt, MemoryFault) as error:
            notes.append(f"{note}: {error}")
            return None


def registry() -> tuple[dict[str, Handler], Callable[..., Callable[[_Handler], _Handler]]]:
    """Return an empty table of handlers by symbol name, and the decorator that fills it."""
    table: dict[str, Handler] = {}

    def answers(*names: str) -> Callable[[_Handler], _Handler]:
        def register(handler: _Handler) -> _Handler:
            table.update(dict.fromkeys(names, handler))
            return handler

        return register

    return table, answers


def merged(*tables: Mapping[str, Handler]) -> dict[str, Handler]:
    """Return one table; a name in two of them is our mistake."""
    result: dict[str, Handler] = {}
    for table in tables:
        if twice := result.keys() & table.keys():
            raise ValueError(f"answered twice: {sorted(twice)}")
        result.update(table)
    return result
