"""System-call filters for what namespaces and Landlock leave open: sockets by path, attributes, uncounted memory.

A filter is a classic BPF program over `struct seccomp_data` (`seccomp(2)`, `linux/seccomp.h`). The numbers are those of
the kernel's system-call tables for x86-64 and arm64.
"""

from __future__ import annotations

import errno
import platform
import struct
import sys
from dataclasses import dataclass
from typing import Final

ALLOW: Final = 0x7FFF0000
ERRNO: Final = 0x00050000
"""Ends the call with the error number that is added; with 0 the call seems to succeed, and does nothing."""
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _MACHINE, _FIRST, _SECOND, _THIRD = 0, 4, 16, 24, 32
"""Offsets of the call's number, of the machine, and of the low halves of the arguments."""
_X32: Final = 0x40000000
"""From this number on, x86-64 calls are those of the x32 ABI."""
_INET, _INET6, _NETLINK = 2, 10, 16
_FAMILIES: Final = (_INET, _INET6, _NETLINK)
"""Socket families that a network namespace confines. `socketpair(2)` reaches no other process and stays."""
_SET_FLAGS: Final = (0x40086602, 0x401C5820)
"""`FS_IOC_SETFLAGS` and `FS_IOC_FSSETXATTR` of `linux/fs.h`, which need no descriptor for writing."""
_WRITING: Final = 0x3
"""`O_WRONLY` or `O_RDWR`."""
_EMPTYING: Final = 0x200
"""`O_TRUNC`: before Linux 6.2, Landlock lets a file be emptied that is opened to be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Machine:
    audit: int
    """`AUDIT_ARCH_…` of `linux/audit.h`."""
    socket: int
    denied: tuple[int, ...]
    """`shmget`, whose memory belongs to no process, `add_key`, `request_key`, `keyctl`, and `io_uring_setup`, whose
    calls no filter sees."""
    attributes: tuple[int, ...]
    """Calls that change a file's mode, owner, times and extended attributes, by path or descriptor."""
    others: tuple[int, ...]
    """Calls that reach other processes: `ptrace`, `process_vm_readv`, `process_vm_writev`, `kcmp`, `perf_event_open`,
    `move_pages`, `migrate_pages`, `setpriority`, `ioprio_set`, `sched_setaffinity` and `sched_setattr`."""
    lasting: tuple[int, ...]
    """`semget`, `msgget` and `mq_open`, whose objects belong to no process, and `truncate`."""
    limits: int
    """`prlimit64`, whose first argument is a process."""
    control: int
    """`ioctl`."""
    opening: tuple[tuple[int, int], ...]
    """`open` and `openat`, with the offsets of their flags."""
    signals: tuple[int, ...]
    """`kill`, `tkill`, `tgkill`, `rt_sigqueueinfo` and `rt_tgsigqueueinfo`, which name a process or thread first."""
    forks: tuple[int, ...]
    """`fork` and `vfork`."""
    clone: int


_LATE: Final = (452, 463, 466, 469)
"""`fchmodat2`, `setxattrat`, `removexattrat` and `file_setattr` have the same number everywhere."""
_LATE_OTHERS: Final = (438, 440)
"""So have `pidfd_getfd` and `process_madvise`."""
_OPENAT2: Final = 437
_CLONE3, _SIGNAL_BY_DESCRIPTOR = 435, 424
_THREAD: Final = 0x10000
"""`CLONE_THREAD`."""
OWN_PROCESS: Final = b"self"
"""What stands in a worker's filter where the number of its process belongs."""
_RING: Final = 425
"""`io_uring_setup`."""
_MACHINES: Final = {
    "x86_64": _Machine(
        audit=0xC000003E,
        socket=41,
        denied=(29, 248, 249, 250, _RING),
        attributes=(90, 91, 92, 93, 94, 132, 188, 189, 190, 197, 198, 199, 235, 260, 261, 268, 280, *_LATE),
        others=(101, 310, 311, 312, 298, 279, 256, 141, 251, 203, 314, *_LATE_OTHERS),
        lasting=(64, 68, 240, 76),
        limits=302,
        control=16,
        opening=((2, _SECOND), (257, _THIRD)),
        signals=(62, 200, 234, 129, 297),
        forks=(57, 58),
        clone=56,
    ),
    "aarch64": _Machine(
        audit=0xC00000B7,
        socket=198,
        denied=(194, 217, 218, 219, _RING),
        attributes=(5, 6, 7, 14, 15, 16, 52, 53, 54, 55, 88, *_LATE),
        others=(117, 270, 271, 272, 241, 239, 238, 140, 30, 122, 274, *_LATE_OTHERS),
        lasting=(190, 186, 180, 45),
        limits=261,
        control=29,
        opening=((56, _THIRD),),
        signals=(129, 130, 131, 138, 240),
        forks=(),
        clone=220,
    ),
}


def make_filter(*, walled: bool) -> bytes | None:
    """Return the filter for this machine as `struct sock_filter`s, or `None`.

    `walled` says that the process has its own network, processes and view of files. Without, no socket can be made at
    all, changes of attributes do nothing, and other processes cannot be read or written.
    """
    machine = _MACHINES.get(platform.machine()) if sys.platform == "linux" else None
    if machine is None:
        return None
    program = _start(machine)
    if machine.audit == _MACHINES["x86_64"].audit:
        program += _when(_AT_LEAST, _X32, ERRNO | errno.ENOSYS)
    for number in machine.denied:
        program += _when(_EQUAL, number, ERRNO | (errno.ENOSYS if number == _RING else errno.ENOSPC))
    if not walled:
        for number in machine.attributes:
            program += _when(_EQUAL, number, ERRNO)
        for number in (*machine.others, *machine.lasting):
            program += _when(_EQUAL, number, ERRNO | errno.EPERM)
        program += _when(_EQUAL, _OPENAT2, ERRNO | errno.ENOSYS)
        program += _only(machine.limits, _FIRST, (0,), ERRNO | errno.EPERM)
        program += _but(machine.control, _SECOND, _SET_FLAGS, ERRNO)
        for number, flags in machine.opening:
            program += _emptying(number, flags)
    program += _only(machine.socket, _FIRST, _FAMILIES if walled else (), ERRNO | errno.EACCES)
    return _packed(program)


def make_worker_filter(*, forks: bool) -> bytes | None:
    """Return the filter of a process that calls a package, with `OWN_PROCESS` in it, or `None`.

    The process can send no signal to other processes, and can start none unless `forks` is true.
    """
    machine = _MACHINES.get(platform.machine()) if sys.platform == "linux" else None
    if machine is None:
        return None
    program = _start(machine)
    (own,) = struct.unpack("<I", OWN_PROCESS)
    for number in machine.signals:
        program += _only(number, _FIRST, (own,), ERRNO | errno.EPERM)
    program += _when(_EQUAL, _SIGNAL_BY_DESCRIPTOR, ERRNO | errno.EPERM)
    if not forks:
        for number in machine.forks:
            program += _when(_EQUAL, number, ERRNO | errno.EPERM)
        # The arguments of `clone3` are in memory, which a filter cannot read; the C library then uses `clone`.
        program += _when(_EQUAL, _CLONE3, ERRNO | errno.ENOSYS)
        denied, allowed = (_RETURN, 0, 0, ERRNO | errno.EPERM), (_RETURN, 0, 0, ALLOW)
        program += _of_call(machine.clone, [(_LOAD, 0, 0, _FIRST), (_ANY_BIT, 1, 0, _THREAD), denied, allowed])
    return _packed(program)


def _start(machine: _Machine) -> list[tuple[int, int, int, int]]:
    """Deny the calls of another machine, and load the number of the call."""
    wrong = [(_LOAD, 0, 0, _MACHINE), (_EQUAL, 1, 0, machine.audit), (_RETURN, 0, 0, ERRNO | errno.ENOSYS)]
    return [*wrong, (_LOAD, 0, 0, _NUMBER)]


def _packed(program: list[tuple[int, int, int, int]]) -> bytes:
    """Return a program that allows what nothing denied."""
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in (*program, (_RETURN, 0, 0, ALLOW)))


def _when(test: int, value: int, answer: int) -> list[tuple[int, int, int, int]]:
    return [(test, 0, 1, value), (_RETURN, 0, 0, answer)]


def _only(number: int, argument: int, values: tuple[int, ...], answer: int) -> list[tuple[int, int, int, int]]:
    """Allow a call only with these values of an argument."""
    checks = [(_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return _of_call(number, [(_LOAD, 0, 0, argument), *checks, (_RETURN, 0, 0, answer), (_RETURN, 0, 0, ALLOW)])


def _but(number: int, argument: int, values: tuple[int, ...], answer: int) -> list[tuple[int, int, int, int]]:
    """Allow a call except with these values of an argument."""
    checks = [(_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return _of_call(number, [(_LOAD, 0, 0, argument), *checks, (_RETURN, 0, 0, ALLOW), (_RETURN, 0, 0, answer)])


def _emptying(number: int, flags: int) -> list[tuple[int, int, int, int]]:
    """Deny that a file is opened to be read and emptied."""
    checks = [(_LOAD, 0, 0, flags), (_ANY_BIT, 0, 1, _EMPTYING), (_ANY_BIT, 0, 1, _WRITING)]
    return _of_call(number, [*checks, (_RETURN, 0, 0, ALLOW), (_RETURN, 0, 0, ERRNO | errno.EACCES)])


def _of_call(number: int, rest: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    return [(_EQUAL, 0, len(rest), number), *rest]
