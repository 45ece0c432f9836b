"""The C library's answers about memory, strings and the environment, on Linux, macOS and Windows."""

from __future__ import annotations

from collections.abc import Callable

from ftaudit.binary.emulator.emulated_process import ERRNO, Halt, Process, ProcessEnds, registry
from ftaudit.binary.stubs import libc_text

LIBC_ANSWERS, answers = registry()

_LIMIT = 16 << 20


def counted(value: int) -> int:
    """Return a number of bytes that is to be moved, or raise `Halt` if it is absurd."""
    if value > _LIMIT:
        raise Halt("the module moves more memory than the emulation provides")
    return value


# Allocation


@answers(
    "malloc", "PyMem_Malloc", "PyMem_RawMalloc", "PyObject_Malloc", "_Znwm", "_Znam", "_malloc_base", "aligned_malloc",
    "??2@YAPEAX_K@Z", "??_U@YAPEAX_K@Z", "__cxa_allocate_exception", "valloc", "_ZnwmRKSt9nothrow_t",
    "_ZnamRKSt9nothrow_t", "??2@YAPEAX_KAEBUnothrow_t@std@@@Z",
)  # fmt: skip
def _malloc(process: Process) -> int:
    return process.allocate(process.argument(0))


@answers("_aligned_malloc", "_ZnwmSt11align_val_t", "_ZnamSt11align_val_t")
def _aligned_malloc(process: Process) -> int:
    return process.allocate(process.argument(0), min(process.argument(1), 4096))


@answers("aligned_alloc", "memalign")
def _aligned_alloc(process: Process) -> int:
    return process.allocate(process.argument(1), min(process.argument(0), 4096))


@answers("posix_memalign")
def _posix_memalign(process: Process) -> int:
    block = process.allocate(process.argument(2), min(process.argument(1), 4096))
    process.machine.write_word(process.argument(0), block)
    return 0


@answers("calloc", "PyMem_Calloc", "PyMem_RawCalloc", "PyObject_Calloc", "_calloc_base")
def _calloc(process: Process) -> int:
    return process.allocate(process.argument(0) * process.argument(1))


_FREES = """
free _free_base cfree PyMem_Free PyMem_RawFree PyObject_Free PyObject_GC_Del _ZdlPv _ZdaPv _ZdlPvm _ZdaPvm
_ZdlPvSt11align_val_t _ZdlPvmSt11align_val_t _ZdaPvSt11align_val_t _aligned_free ??3@YAXPEAX@Z ??3@YAXPEAX_K@Z
??_V@YAXPEAX@Z ??_V@YAXPEAX_K@Z
"""


@answers(*_FREES.split())
def _free(process: Process) -> int:
    process.freed.add(process.argument(0))
    return 0


@answers("realloc", "PyMem_Realloc", "PyMem_RawRealloc", "PyObject_Realloc", "_realloc_base", "reallocf")
def _realloc(process: Process) -> int:
    return _resized(process, process.argument(0), process.argument(1))


def _resized(process: Process, old: int, size: int) -> int:
    new = process.allocate(size)
    kept = min(process.blocks.get(old, 0), size)
    process.freed.add(old)
    if old and kept:
        process.machine.write(new, process.machine.read(old, kept))
    return new


@answers("HeapReAlloc")
def _heap_realloc(process: Process) -> int:
    return _resized(process, process.argument(2), process.argument(3))


@answers("HeapAlloc")
def _heap_alloc(process: Process) -> int:
    return process.allocate(process.argument(2))


@answers("VirtualAlloc")
def _virtual_alloc(process: Process) -> int:
    return process.allocate(process.argument(1), 4096)


@answers("mmap", "mmap64")
def _mmap(process: Process) -> int:
    size = counted(process.argument(1))
    block = process.allocate(size, 4096)
    if process.argument(4) & 0xFFFF_FFFF != 0xFFFF_FFFF:
        process.unknown_memory(block, min(size, 4096), "mmap() of a file")
    return block


@answers("strdup", "_strdup")
def _strdup(process: Process) -> int:
    return process.text(process.machine.read_string(process.argument(0)))


# Memory and strings


@answers("memcpy", "memmove", "__memcpy_chk", "__memmove_chk")
def _memcpy(process: Process) -> int:
    target, size = process.argument(0), counted(process.argument(2))
    if size:
        process.machine.write(target, process.machine.read(process.argument(1), size))
    return target


@answers("mempcpy")
def _mempcpy(process: Process) -> int:
    end = process.argument(0) + process.argument(2)
    _memcpy(process)
    return end


@answers("memset", "__memset_chk")
def _memset(process: Process) -> int:
    target, size = process.argument(0), counted(process.argument(2))
    if size:
        process.machine.write(target, bytes((process.argument(1) & 0xFF,)) * size)
    return target


@answers("bzero", "__bzero")
def _bzero(process: Process) -> int:
    process.machine.write(process.argument(0), bytes(counted(process.argument(1))))
    return 0


@answers("memset_pattern16")
def _memset_pattern(process: Process) -> int:
    size = counted(process.argument(2))
    pattern = process.machine.read(process.argument(1), 16)
    process.machine.write(process.argument(0), (pattern * (size // 16 + 1))[:size])
    return 0


@answers("memcmp", "bcmp")
def _memcmp(process: Process) -> int:
    size = counted(process.argument(2))
    if not size:
        return 0
    left = process.machine.read(process.argument(0), size)
    right = process.machine.read(process.argument(1), size)
    first = next((pair for pair in zip(left, right, strict=True) if pair[0] != pair[1]), (0, 0))
    return first[0] - first[1]


@answers("memchr")
def _memchr(process: Process) -> int:
    content = process.machine.read(process.argument(0), counted(process.argument(2)))
    found = content.find(process.argument(1) & 0xFF)
    return process.argument(0) + found if found >= 0 else 0


@answers("strlen")
def _strlen(process: Process) -> int:
    return len(process.machine.read_string(process.argument(0), _LIMIT))


@answers("strnlen")
def _strnlen(process: Process) -> int:
    return min(len(process.machine.read_string(process.argument(0), _LIMIT)), process.argument(1))


@answers("strcmp")
def _strcmp(process: Process) -> int:
    return _compared(process, 1 << 20)


def _compared(process: Process, size: int) -> int:
    """Compare two strings; the answer depends on the common prefix and on the byte after it."""
    first, second = process.argument(0), process.argument(1)
    left = process.machine.read_string(first)[:size]
    right = process.machine.read_string(second)[:size]
    pairs = enumerate(zip(left, right, strict=False))
    common = next((index for index, (a, b) in pairs if a != b), min(len(left), len(right))) + 1
    if process.calls_flow is not None:
        process.calls_flow.only((first, min(common, size)), (second, min(common, size)))
    return libc_text.differ(left, right)


@answers("strncmp")
def _strncmp(process: Process) -> int:
    return _compared(process, process.argument(2))


@answers("strcpy", "__strcpy_chk", "stpcpy")
def _strcpy(process: Process) -> int:
    target, content = process.argument(0), process.machine.read_string(process.argument(1))
    process.machine.write(target, content + b"\0")
    return target + len(content) if process.current == "stpcpy" else target


@answers("strncpy", "__strncpy_chk")
def _strncpy(process: Process) -> int:
    target, size = process.argument(0), counted(process.argument(2))
    content = process.machine.read_string(process.argument(1))[:size]
    process.machine.write(target, content + bytes(size - len(content)))
    return target


@answers("strcat", "__strcat_chk")
def _strcat(process: Process) -> int:
    target = process.argument(0)
    end = target + len(process.machine.read_string(target))
    process.machine.write(end, process.machine.read_string(process.argument(1)) + b"\0")
    return target


@answers("strchr", "index")
def _strchr(process: Process) -> int:
    content = process.machine.read_string(process.argument(0)) + b"\0"
    found = content.find(process.argument(1) & 0xFF)
    return process.argument(0) + found if found >= 0 else 0


@answers("strrchr", "rindex")
def _strrchr(process: Process) -> int:
    content = process.machine.read_string(process.argument(0)) + b"\0"
    found = content.rfind(process.argument(1) & 0xFF)
    return process.argument(0) + found if found >= 0 else 0


@answers("strstr")
def _strstr(process: Process) -> int:
    content = process.machine.read_string(process.argument(0))
    found = content.find(process.machine.read_string(process.argument(1)))
    return process.argument(0) + found if found >= 0 else 0


@answers("__ctype_toupper_loc", "__ctype_tolower_loc")
def _case_table(process: Process) -> int:
    change = bytes.upper if "upper" in process.current else bytes.lower

    def content() -> bytes:
        return b"".join(change(bytes((code % 256,))) + bytes(3) for code in range(-128, 256))

    return _table_pointer(process, content, 4)


@answers("__ctype_b_loc")
def _class_table(process: Process) -> int:
    """Answer glibc's table of character classes."""
    return _table_pointer(
        process, lambda: b"".join(libc_text.classes(code).to_bytes(2, "little") for code in range(-128, 256)), 2
    )


def _table_pointer(process: Process, content: Callable[[], bytes], width: int) -> int:
    """Return a pointer to a pointer to the entry of character 0 in a table that begins at -128, made once."""
    key = f"table of {process.current}"
    if key not in process.symbols:
        table = content()
        start = process.allocate(len(table))
        process.machine.write(start, table)
        process.symbols[key] = process.allocate(8)
        process.machine.write_word(process.symbols[key], start + 128 * width)
    return process.symbols[key]


@answers("toupper", "tolower")
def _case(process: Process) -> int:
    code = process.argument(0) & 0xFFFF_FFFF
    if code >= 128:
        return code
    return ord(chr(code).upper() if process.current == "toupper" else chr(code).lower())


# Functions without an effect that an initialization could notice: success, or no result at all.

_NOTHING = """
PyObject_GC_Track PyObject_GC_UnTrack atexit __cxa_atexit __cxa_finalize __cxa_thread_atexit __cxa_thread_atexit_impl
_tlv_atexit __cxa_guard_abort __cxa_free_exception _onexit _crt_atexit _register_onexit_function
_initialize_onexit_table _execute_onexit_table _configure_narrow_argv _initialize_narrow_environment _cexit
_seh_filter_dll __std_type_info_destroy_list __vcrt_InitializeCriticalSectionEx_
pthread_mutex_init pthread_mutex_lock pthread_mutex_unlock pthread_mutex_trylock pthread_mutex_destroy
pthread_mutexattr_init pthread_mutexattr_settype pthread_mutexattr_destroy pthread_cond_init pthread_cond_signal
pthread_cond_broadcast pthread_cond_destroy pthread_condattr_init pthread_condattr_setclock pthread_condattr_destroy
pthread_rwlock_init pthread_rwlock_rdlock pthread_rwlock_wrlock pthread_rwlock_unlock pthread_atfork
pthread_key_delete pthread_attr_init pthread_attr_destroy sched_yield
AcquireSRWLockExclusive ReleaseSRWLockExclusive AcquireSRWLockShared ReleaseSRWLockShared InitializeSRWLock
InitializeCriticalSection EnterCriticalSection LeaveCriticalSection DeleteCriticalSection WakeAllConditionVariable
WakeConditionVariable InitializeConditionVariable InitializeSListHead InterlockedFlushSList SetLastError GetLastError
_Mtx_init_in_situ _Mtx_destroy_in_situ _Mtx_lock _Mtx_unlock _Cnd_init_in_situ _Cnd_destroy_in_situ
_lock_locales _unlock_locales _ZNSt8ios_base4InitC1Ev _ZNSt8ios_base4InitD1Ev IsDebuggerPresent
PyMutex_Lock PyMutex_Unlock PyCriticalSection_Begin PyCriticalSection_End PyCriticalSection2_Begin
PyCriticalSection2_End PyEval_RestoreThread PyGILState_Release PyThread_release_lock PyThread_free_lock
fflush fputs puts fwrite fprintf printf vfprintf fputc putc putchar setvbuf __printf_chk __fprintf_chk
srand signal sigaction sigemptyset sigaddset sigprocmask pthread_sigmask close munmap fegetround fesetround
feclearexcept fetestexcept fesetenv fegetenv freelocale _free_locale
"""
NOTHING = frozenset(_NOTHING.split())


# The environment


@answers("getenv", "secure_getenv", "_wgetenv", "__secure_getenv")
def _getenv(process: Process) -> int:
    name = process.machine.read_text(process.argument(0)) if process.current != "_wgetenv" else "?"
    return process.text("1") if process.oracle.ask(f"getenv {name}", 2, environment=True) else 0


@answers("getenv_s")
def _getenv_s(process: Process) -> int:
    name = process.machine.read_text(process.argument(3))
    choice = 2 * process.oracle.ask(f"getenv {name}", 2, environment=True)
    process.machine.write_word(process.argument(0), choice)
    if choice and process.argument(1) and process.argument(2) >= 2:
        process.machine.write(process.argument(1), b"1\0")
    return 0


@answers("GetEnvironmentVariableA", "GetEnvironmentVariableW")
def _get_environment_variable(process: Process) -> int:
    name = process.machine.read_text(process.argument(0))
    choice = process.oracle.ask(f"getenv {name}", 2, environment=True)
    if choice and process.argument(1):
        process.machine.write(process.argument(1), b"1\0\0\0")
    return choice


@answers("__errno_location", "__error", "_errno")
def _errno(process: Process) -> int:
    return ERRNO


@answers("sysconf", "getpagesize")
def _sysconf(process: Process) -> int:
    return 4096


@answers("abort", "_exit", "exit", "__assert_fail", "__assert_rtn", "_wassert", "__stack_chk_fail", "_ZSt9terminatev",
         "terminate", "__fastfail", "_invalid_parameter_noinfo_noreturn", "__report_gsfailure", "__cxa_pure_virtual",
         "__chk_fail", "?terminate@@YAXXZ", "_purecall", "Py_FatalError", "_Py_FatalErrorFunc", "quick_exit", "_Exit",
         "TerminateProcess", "ExitProcess")  # fmt: skip
def _abort(process: Process) -> int:
    raise ProcessEnds(f"the initialization ends in {process.current}")
