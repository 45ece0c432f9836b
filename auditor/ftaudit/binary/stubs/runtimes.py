"""The answers of the runtimes below a module: threads and their variables, C++, and Windows' start-up code."""

from __future__ import annotations

from ftaudit.binary.emulator.emulated_process import IDENTIFIER, IDENTIFIERS, Halt, Process, Thrown, registry
from ftaudit.binary.stubs.libc import counted

RUNTIME_ANSWERS, answers = registry()


# Threads


@answers("pthread_once")
def _pthread_once(process: Process) -> int | None:
    control, function = process.argument(0), process.argument(1)
    done = process.machine.read_word(control + 8) if process.format == "macho" else process.machine.read_int(control)
    if done == 2:
        return 0
    process.machine.write_word(control + 8 if process.format == "macho" else control, 2)
    process.call_instead(function, (), lambda _process: 0)
    return None


@answers("dispatch_once_f")
def _dispatch_once(process: Process) -> int | None:
    if process.machine.read_word(process.argument(0)):
        return 0
    process.machine.write_word(process.argument(0), 0xFFFF_FFFF_FFFF_FFFF)
    process.call_instead(process.argument(2), (process.argument(1),), lambda _process: 0)
    return None


@answers("pthread_key_create", "__pthread_key_create")
def _key_create(process: Process) -> int:
    process.machine.write_int(process.argument(0), _new_key(process))
    return 0


@answers("TlsAlloc", "FlsAlloc")
def _tls_alloc(process: Process) -> int:
    return _new_key(process)


def _new_key(process: Process) -> int:
    """Return a new key of thread-local storage."""
    process.symbols["thread keys"] = key = process.symbols.get("thread keys", 0) + 1
    return key


@answers(*IDENTIFIERS)
def _thread_self(process: Process) -> int:
    return IDENTIFIER


@answers("pthread_getspecific", "TlsGetValue", "FlsGetValue")
def _get_specific(process: Process) -> int:
    return process.symbols.get(f"thread value {process.argument(0)}", 0)


@answers("pthread_setspecific")
def _set_specific(process: Process) -> int:
    process.symbols[f"thread value {process.argument(0)}"] = process.argument(1)
    return 0


@answers("TlsSetValue", "FlsSetValue")
def _set_tls_value(process: Process) -> int:
    process.symbols[f"thread value {process.argument(0)}"] = process.argument(1)
    return 1


@answers("__tls_get_addr")
def _tls_get_address(process: Process) -> int:
    index = process.argument(0)
    module = process.machine.read_word(index)
    offset = process.machine.read_word(index + 8)
    images = process.images
    if not 1 <= module <= len(images):
        raise Halt("a thread-local variable of an unknown image is read")
    return images[module - 1].thread_block + offset


@answers("_tlv_bootstrap")
def _thread_variable(process: Process) -> int:
    """Answer a Mach-O thread-local variable's thunk: its descriptor holds thunk, key and offset."""
    descriptor = process.argument(0)
    for linked in process.images:
        if linked.image.base <= descriptor < linked.image.end:
            return linked.thread_block + process.machine.read_word(descriptor + 16)
    raise Halt("a thread-local variable of an unknown image is read")


@answers("setjmp", "_setjmp", "__sigsetjmp", "sigsetjmp", "__intrinsic_setjmp", "__intrinsic_setjmpex", "_setjmpex")
def _setjmp(process: Process) -> int:
    process.jumps[process.argument(0)] = process.machine.moment()
    return 0


@answers("longjmp", "_longjmp", "siglongjmp", "__longjmp_chk")
def _longjmp(process: Process) -> None:
    """Go back to the call of `setjmp`, which then returns the second argument, or 1 for 0."""
    place, value = process.argument(0), process.argument(1) & 0xFFFF_FFFF
    if place not in process.jumps:
        raise Halt("the initialization jumps to where it has not been")
    process.machine.go_back(process.jumps[place], value or 1)


# The C++ runtime


@answers("__cxa_guard_acquire")
def _guard_acquire(process: Process) -> int:
    return int(process.machine.read(process.argument(0), 1) == b"\0")


@answers("__cxa_guard_release")
def _guard_release(process: Process) -> int:
    process.machine.write(process.argument(0), b"\1")
    return 0


@answers("__cxa_throw", "_CxxThrowException", "__cxa_rethrow", "_Unwind_Resume", "_Unwind_RaiseException",
         "_ZSt20__throw_length_errorPKc", "_ZSt19__throw_logic_errorPKc", "_ZSt17__throw_bad_allocv",
         "_ZSt20__throw_system_errori", "_ZSt16__throw_bad_castv", "_ZSt24__throw_out_of_range_fmtPKcz",
         "_ZSt20__throw_out_of_rangePKc", "_ZSt25__throw_bad_function_callv",
         "_ZSt28__throw_bad_array_new_lengthv", "_ZSt21__throw_runtime_errorPKc",
         "?_Xlength_error@std@@YAXPEBD@Z", "?_Xbad_alloc@std@@YAXXZ", "?_Xout_of_range@std@@YAXPEBD@Z")  # fmt: skip
def _throw(process: Process) -> int:
    raise Thrown("the initialization throws a C++ exception")


@answers("_ZSt9call_once", "_ZNSt3__111__call_onceERVmPvPFvS2_E")
def _call_once(process: Process) -> int | None:
    """Answer libc++'s `__call_once(flag, argument, function)`."""
    flag = process.argument(0)
    if process.machine.read_word(flag) == 0xFFFF_FFFF_FFFF_FFFF:
        return 0
    process.machine.write_word(flag, 0xFFFF_FFFF_FFFF_FFFF)
    process.call_instead(process.argument(2), (process.argument(1),), lambda _process: 0)
    return None


@answers("__once_proxy")
def _once_proxy(process: Process) -> int | None:
    """Answer libstdc++'s `__once_proxy`: it calls the function in the thread-local `__once_call`."""
    raise Halt("std::call_once without its thread-local function")


@answers("__dynamic_cast")
def _dynamic_cast(process: Process) -> int:
    return process.argument(0)


@answers("__tls_descriptor_resolver")
def _tls_descriptor(process: Process) -> int:
    """Answer a TLS descriptor: its address is in the result register and so is the answer."""
    return process.machine.read_word(process.machine.result() + 8)


_CREATE = "_ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE9_M_createERmm"


@answers(_CREATE)
def _string_create(process: Process) -> int:
    wanted = process.machine.read_word(process.argument(1))
    return process.allocate(counted(wanted) + 1)


# Windows


@answers("_initterm")
def _initterm(process: Process) -> int | None:
    return _run_table(process, checked=False)


@answers("_initterm_e")
def _initterm_e(process: Process) -> int | None:
    return _run_table(process, checked=True)


def _run_table(process: Process, *, checked: bool) -> int | None:
    """Call each function of a table of initializers, as the Universal CRT does."""
    start, end = process.argument(0), process.argument(1)
    size = min(max(end - start, 0), 1 << 16)
    table = process.machine.read(start, size - size % 8) if size else b""
    functions = [int.from_bytes(table[i : i + 8], "little") for i in range(0, len(table), 8)]
    functions = [function for function in functions if function]

    def step(inner: Process) -> int | None:
        if not functions:
            return 0
        inner.call_instead(functions.pop(0), (), step)
        return None

    return step(process)


@answers("InitOnceExecuteOnce")
def _init_once(process: Process) -> int | None:
    control, function = process.argument(0), process.argument(1)
    if process.machine.read_word(control) == 2:
        return 1
    process.machine.write_word(control, 2)
    process.call_instead(function, (control, process.argument(2), process.argument(3)), lambda _process: 1)
    return None


@answers("QueryPerformanceCounter", "QueryPerformanceFrequency")
def _performance_counter(process: Process) -> int:
    process.machine.write_word(process.argument(0), 10_000_000)
    return 1


@answers("GetSystemTimeAsFileTime", "GetSystemTimePreciseAsFileTime")
def _file_time(process: Process) -> int:
    process.machine.write_word(process.argument(0), 0x01DB_0000_0000_0000)
    return 0


@answers("IsProcessorFeaturePresent", "InitializeCriticalSectionAndSpinCount", "InitializeCriticalSectionEx", "TlsFree",
         "FlsFree", "HeapFree", "VirtualFree", "VirtualProtect", "InitOnceBeginInitialize", "InitOnceComplete",
         "TryAcquireSRWLockExclusive", "DisableThreadLibraryCalls", "SetEvent", "CloseHandle", "FreeLibrary",
         "_Mtx_current_owns", "GetProcessHeap", "GetCurrentProcess", "GetModuleHandleA",
         "GetModuleHandleW", "LoadLibraryA", "LoadLibraryW", "LoadLibraryExW", "dlopen",
         "__vcrt_InitializeCriticalSectionEx")  # fmt: skip
def _true(process: Process) -> int:
    return 1


@answers("EncodePointer", "DecodePointer")
def _pointer(process: Process) -> int:
    return process.argument(0)
