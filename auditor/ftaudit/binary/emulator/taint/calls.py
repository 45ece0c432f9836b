"""The dependencies of imported functions' answers: their arguments, the memory that they read, and unknowns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ftaudit.binary.emulator.taint.flow import Flow

_CONTENT = 24
"""The start of the content of a Python object: after the fields that count references."""
_OBJECT = 96

_MADE = re.compile(
    r"^_?Py(?:Unicode_(?:From|Intern|Decode|Concat|Join|Format|Substring|As\w+String)|Long_From|Float_From|Bytes_From|"
    r"Complex_From|Tuple_(?:New|Pack|GetSlice)|List_New|Dict_(?:New|Copy|Keys|Values|Items)|Set_New|FrozenSet_New|"
    r"Capsule_New|CFunction_New|CMethod_New|Descr_New|StaticMethod|ClassMethod|Code_New|Weakref_New|Object_New|"
    r"Object_GC_New|Type_From|Type_Generic|Slice_New|MemoryView_From|ByteArray_From|Unstable_Code|Interpreter|"
    r"ThreadState|Err_New|ContextVar_New|Module_)|^Py_BuildValue$|^Py_GetVersion$|^_?PyObject_(?:GC_)?New|"
    r"^_Zn[wa]|^malloc$|^calloc$|^realloc$|alloc|^strn?dup$"
)
"""Functions that return something new, or null when memory runs out: a new object is not a guess."""
_DONE = re.compile(
    r"^_?Py_?(?:Module_Add|Dict_Set|Object_SetAttr|List_(?:Append|SetItem|Insert)|Tuple_SetItem|Type_Ready|Err_(?!Occurred|ExceptionM|GivenE)|IncRef|"
    r"DecRef|Dealloc|Set_Add|State_Add|Capsule_Set|Mutex|CriticalSection|GC_|Module_Set|Object_GC_|Mem_Free|"
    r"Object_Free|Unstable_Module|Eval_RestoreThread|GILState_Release|Unicode_InternInPlace)|^free$|^pthread_mutex_(?:init|lock|unlock|destroy)|^_ZdlP|^_ZdaP|"
    r"^__cxa_(?:atexit|guard)"
)
"""Functions whose result is success for all arguments: their only other answer is that the import fails."""
_FIRST = frozenset({"memcpy", "memmove", "memset", "__memcpy_chk", "__memmove_chk", "__memset_chk", "strcpy", "strcat",
                    "strncpy", "strncat", "Py_NewRef", "Py_XNewRef", "_Py_NewRef", "PyModuleDef_Init"})  # fmt: skip
"""Functions that return their first argument."""
_SIZED = frozenset({"memcpy", "memmove", "memset", "__memcpy_chk", "__memmove_chk", "__memset_chk", "mempcpy"})
"""Functions that write as many bytes as their third argument says, whatever these are."""
_COPIES = {"memcpy": 0, "memmove": 0, "__memcpy_chk": 0, "__memmove_chk": 0, "mempcpy": 0}

_LEFT: dict[str, tuple[tuple[int, int | str], ...]] = {
    "uname": ((0, 400),), "stat": ((1, 144),), "lstat": ((1, 144),), "fstat": ((1, 144),), "getrlimit": ((1, 16),),
    "clock_gettime": ((1, 16),), "gettimeofday": ((0, 16),), "gethostname": ((0, "1"),), "read": ((1, "2"),),
    "pread": ((1, "2"),), "pread64": ((1, "2"),), "recv": ((1, "2"),), "fgets": ((0, "1"),), "readlink": ((1, "2"),),
    "getcwd": ((0, "1"),), "fread": ((0, "1*2"),), "sched_getaffinity": ((2, "1"),), "dladdr": ((1, 32),),
    "pipe": ((0, 8),), "pipe2": ((0, 8),), "socketpair": ((3, 8),), "waitpid": ((1, 4),), "wait": ((0, 4),),
    "time": ((0, 8),), "sysinfo": ((0, 112),), "getrusage": ((1, 144),), "times": ((0, 32),), "statfs": ((1, 120),),
    "statvfs": ((1, 112),), "getrandom": ((0, "1"),), "getentropy": ((0, "1"),), "qsort": ((0, "1*2"),),
    "qsort_r": ((0, "1*2"),), "sem_getvalue": ((1, 4),), "localtime_r": ((1, 56),), "gmtime_r": ((1, 56),),
    "asprintf": ((0, 8),), "__asprintf_chk": ((0, 8),), "backtrace": ((0, "8*1"),), "realpath": ((1, 256),),
    "__realpath_chk": ((1, 256),), "fesetround": (), "fopen": (), "fopen64": (), "open": (), "open64": (), "access": (),
    "getauxval": (), "sysconf": (), "dlsym": (), "dlopen": (), "strerror": (), "opendir": (), "popen": (), "fclose": (),
    "closedir": (), "pclose": (), "setlocale": (), "_wsetlocale": (), "atof": (),
    "__pctype_func": (), "system": (), "fputs": (), "puts": (), "fwrite": (),
    "fprintf": (), "printf": (), "__printf_chk": (), "__fprintf_chk": (), "getaddrinfo": ((3, 8),), "setenv": (),
    "unsetenv": (), "putenv": (), "strtod": ((1, 8),), "strcoll": (), "bsearch": (), "wcslen": (), "wcscmp": (),
    "wctob": (), "btowc": (), "wctype": (), "wctype_l": (), "__wctype_l": (), "iswctype": (), "iswctype_l": (),
    "__iswctype_l": (), "towlower": (), "towupper": (), "__towlower_l": (), "__towupper_l": (), "nl_langinfo": (),
    "nl_langinfo_l": (), "__nl_langinfo_l": (), "localeconv": (),
    "syscall": (), "_ZSt20__throw_length_errorPKc": (), "getenv": (), "secure_getenv": (), "fflush": (), "raise": (),
    "pthread_self": (), "getpid": (), "gettid": (), "sched_getcpu": (), "get_nprocs": (), "get_nprocs_conf": (),
    "getpagesize": (), "isatty": (), "clock": (), "GetCurrentThreadId": (), "GetCurrentProcessId": (),
    "GetCurrentProcess": (), "GetCurrentThread": (), "GetLastError": (), "IsDebuggerPresent": (),
    "IsProcessorFeaturePresent": (), "GetTickCount": (), "GetTickCount64": (), "GetModuleHandleA": (),
    "GetModuleHandleW": (), "LoadLibraryA": (), "LoadLibraryW": (), "LoadLibraryExA": (), "LoadLibraryExW": (),
    "GetProcAddress": (), "FreeLibrary": (), "GetVersion": (), "GetACP": (), "GetOEMCP": (), "_Thrd_id": (),
    "_Thrd_hardware_concurrency": (), "_ZNSt6thread20hardware_concurrencyEv": (),
    "_ZNSt3__16thread20hardware_concurrencyEv": (), "GetSystemTimeAsFileTime": ((0, 8),),
    "GetSystemTimePreciseAsFileTime": ((0, 8),), "QueryPerformanceCounter": ((0, 8),),
    "QueryPerformanceFrequency": ((0, 8),), "GetSystemInfo": ((0, 48),), "GetNativeSystemInfo": ((0, 48),),
    "GetProcessAffinityMask": ((1, 8), (2, 8)), "DuplicateHandle": ((3, 8),), "VirtualProtect": ((3, 4),),
    "VirtualQuery": ((1, 48),), "GetStartupInfoW": ((0, 104),), "GetStartupInfoA": ((0, 104),),
    "CreateSemaphoreA": (), "CreateSemaphoreW": (), "CreateMutexA": (), "CreateMutexW": (), "CreateEventA": (),
    "CreateEventW": (), "ReleaseSemaphore": ((2, 4),), "SetEvent": (), "ResetEvent": (), "CloseHandle": (),
    "GetProcessHeap": (), "GetFileType": (), "GetStdHandle": (), "GetCommandLineA": (), "GetCommandLineW": (),
    "___lc_codepage_func": (), "___mb_cur_max_func": (), "___lc_locale_name_func": (), "__acrt_iob_func": (),
    "_callnewh": (), "GetLogicalProcessorInformationEx": ((1, "@2"), (2, 4)), "_fileno": (), "_isatty": (),
    "GetLogicalProcessorInformation": ((0, "@1"), (1, 4)), "RtlPcToFileHeader": ((1, 8),),
    "frexp": ((0, 4),), "frexpf": ((0, 4),), "frexpl": ((0, 4),), "modf": ((0, 8),), "modff": ((0, 4),),
    "modfl": ((0, 16),), "sincos": ((0, 8), (1, 8)), "sincosf": ((0, 4), (1, 4)), "sincosl": ((0, 16), (1, 16)),
    "__register_frame_info": ((1, 48),), "__register_frame_info_bases": ((1, 48),), "__register_frame": (),
    "__deregister_frame_info": (), "__deregister_frame_info_bases": (), "__deregister_frame": (),
    "remquo": ((0, 4),), "remquof": ((0, 4),), "remquol": ((0, 4),), "lgamma_r": ((0, 4),), "lgammaf_r": ((0, 4),),
}  # fmt: skip
"""The output of functions with unknown answers in memory: number of the pointer's argument, and bytes.

Numbers count the arguments that are integers or pointers: floating-point ones are in other registers.
"""
_MATHS = re.compile(
    r"^(?:pow|exp|exp2|exp10|expm1|log|log2|log10|log1p|logb|a?(?:sin|cos|tan)h?|atan2|sqrt|cbrt|hypot|erfc?|lgamma|"
    r"tgamma|gamma|ceil|floor|trunc|(?:l?l)?(?:round|rint)|nearbyint|fabs|fmod|remainder|fmin|fmax|fdim|fma|ldexp|scalbl?n|"
    r"i?logb|copysign|nextafter|nexttoward|nan|j[01n]|y[01n]|significand|drem|c(?:abs|arg|real|imag|exp|log|pow|sqrt))"
    r"[fl]?$"
)
"""Functions of `math.h` and `complex.h` that leave nothing in memory except `errno`, and call nothing."""


def leaves(name: str) -> tuple[tuple[int, int | str], ...] | None:
    """Return what a function with unknown answers writes to memory, apart from `errno`; `None` if that is not known.

    A function of which it is known receives no code of the module, except through parameters that are for code.
    """
    return () if name not in _LEFT and _MATHS.match(name) else _LEFT.get(name)


_UNKNOWN_SIZE = 64
"""Bytes that any other such function may write to the target of an argument."""


class Calls:
    """Turns each call into labels."""

    def __init__(self, flow: Flow, arguments: tuple[int, ...], results: tuple[int, ...]) -> None:
        self.flow = flow
        self._arguments, self._results = arguments, results
        """Families of the registers for arguments, and of those in which results are."""
        self.writable: Callable[[int], bool] = lambda _address: False
        """Whether an address is in memory that an answer may be left in."""
        self.blocks: Mapping[int, int] = {}
        """Sizes of allocated memory."""
        self.read_argument: Callable[[int], int] = lambda _index: 0
        """Returns an argument of the call."""
        self.read_count: Callable[[int], int] = lambda _address: 0
        """Returns the 32-bit number at an address, or 0."""
        self.errno = 0
        """The address of `errno`, which every barely known function may set."""
        self._name = ""
        self._labels = 0
        self._guessed = 0
        self._writes: list[tuple[int, int]] = []
        self._unknown: list[tuple[int, int, str]] = []
        self._values: dict[int, int] = {}
        self.inside = False
        self.silent = False
        """Whether calls are left out for now: the labels of another run follow."""

    def enter(self, name: str) -> None:
        """Begin a call."""
        self.inside = True
        self._name, self._labels, self._guessed = name, self.flow.implied, 0
        self._writes.clear()
        self._unknown.clear()
        self._values.clear()

    def note_read(self, address: int, size: int) -> None:
        """Note bytes that the answer is computed from."""
        if self.inside:
            self._labels |= self.flow.of_memory(address, size)

    def note_write(self, address: int, size: int) -> None:
        """Note bytes that the answer leaves."""
        if self.inside:
            self.flow.note_answer(len(self._writes), address, size)
            self._writes.append((address, size))

    def note_argument(self, index: int, value: int) -> None:
        """Note an argument that the answer is computed from, and the object that it is."""
        if not self.inside:
            return
        self._values[index] = value
        self._labels |= self.flow.of_register(self._arguments[index])
        if value in self.flow.clean:
            self._labels |= self.flow.of_memory(value + _CONTENT, _OBJECT - _CONTENT)

    def only(self, *ranges: tuple[int, int]) -> None:
        """Let the answer depend only on these bytes and the registers of the arguments."""
        labels = self.flow.implied | self._guessed
        for index in self._values:
            labels |= self.flow.of_register(self._arguments[index])
        for address, size in ranges:
            labels |= self.flow.of_memory(address, size)
        self._labels = labels

    def guess(self, name: str) -> None:
        """Note that the answer is a guess."""
        self._guessed |= self.flow.label(name)
        self._labels |= self._guessed
        if self._name.startswith(("Py", "_Py")):
            self.flow.by_python |= self._guessed

    def unknown(self, address: int, size: int, name: str) -> None:
        """Note bytes that hold something unknown, from the end of the call on."""
        if self.inside:
            self._unknown.append((address, size, name))
        else:
            self.flow.mark(address, size, self.flow.label(name))

    def touch(self, address: int, size: int, name: str) -> None:
        """Give bytes a label that an instruction, or the function being answered, is the first to read."""
        if self.inside:
            self.flow.mark(address, size, self.flow.label(name))
        else:
            self.flow.touch(address, size, name)

    def leave(self, result: int | None) -> None:
        """End the call, with its result if it has one."""
        self.inside = False
        flow, name, labels = self.flow, self._name, self._labels
        reach = self._decides_reach(labels)
        for address, size in self._writes:
            if reach:
                flow.open_where_known(address, flow.name(reach))
            if name in _COPIES and address == self._values.get(0):
                more = flow.of_register(self._arguments[2]) | flow.implied
                flow.copy(address, self._values.get(1, 0), size, more)
            else:
                self._write(address, size, labels)
        for address, size, unknown in self._unknown:
            flow.mark(address, size, flow.label(unknown))
        if self._guessed:
            self._leave_unknown(result, labels)
        if result is None:
            if self._guessed:
                for family in self._results:
                    flow.set_register(family, labels)
            return
        if name in _FIRST:
            labels = flow.of_register(self._arguments[0])
        elif _DONE.search(name) or (_MADE.search(name) and result):
            labels = flow.implied
        for family in self._results:
            flow.set_register(family, labels)

    def _decides_reach(self, labels: int) -> int:
        """Return the unknowns that decide where, or how far, the function writes."""
        flow, name = self.flow, self._name
        if not labels or self._guessed or name.startswith(("Py", "_Py")):
            return 0
        if name in _SIZED:
            labels = flow.of_register(self._arguments[0]) | flow.of_register(self._arguments[2])
        return flow.strong(labels)

    def _write(self, address: int, size: int, labels: int) -> None:
        """Label bytes, except the reference counts at the head of an object."""
        if address in self.flow.clean or address in self.flow.unsure:
            self.flow.mark(address, min(size, _CONTENT), 0)
            if size > _CONTENT:
                self.flow.mark(address + _CONTENT, size - _CONTENT, labels)
        else:
            self.flow.mark(address, size, labels)

    def _leave_unknown(self, result: int | None, labels: int) -> None:
        """Label the possible output of a guess: the content of the result, and the targets of the arguments."""
        if result and (result in self.flow.clean or self.writable(result)):
            block = min(self.blocks.get(result, _UNKNOWN_SIZE), 4096)
            self._write(result, _OBJECT if result in self.flow.clean else block, labels)
        if self._name.startswith(("Py", "_Py")) and not self._name.startswith("PyArg_"):
            return
        self.flow.mark(self.errno, 4, labels)
        known = leaves(self._name)
        for index, size in tuple((index, _UNKNOWN_SIZE) for index in range(6)) if known is None else known:
            value = self.read_argument(index)
            if not self.writable(value):
                continue
            self.flow.mark(value, self._size(size), labels)

    def _size(self, size: int | str) -> int:
        """Return bytes: a number, or a product of arguments that a text numbers, such as `8*1`.

        `@2` is the number of bytes to which the third argument points.
        """
        if isinstance(size, int):
            return size
        if size.startswith("@"):
            return self.read_count(self.read_argument(int(size[1:])))
        product = 1
        for part in size.split("*"):
            product *= 8 if part == "8" else min(self.read_argument(int(part)), 1 << 12)
        return product

    def mark_result(self, address: int) -> None:
        """Let a word that is written now hold what a function of the image returned."""
        self.flow.mark(address, 8, self.flow.of_register(self._results[0]))

    def labels_of_result(self) -> int:
        """Return the labels of what a function of the image returned."""
        return self.flow.of_register(self._results[0])

    def labels_of(self, index: int) -> int:
        """Return the labels of an argument's register."""
        return self.flow.of_register(self._arguments[index])
