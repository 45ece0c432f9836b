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
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _MACHINE, _FIRST = 0, 4, 16
"""Offsets of the call's number, of the machine, and of the low half of the first argument."""
_X32: Final = 0x40000000
"""From this number on, x86-64 calls are those of the x32 ABI."""
_INET, _INET6, _NETLINK = 2, 10, 16
_FAMILIES: Final = (_INET, _INET6, _NETLINK)
"""Socket families that a network namespace confines. `socketpair(2)` reaches nobody and stays."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Machine:
    audit: int
    """`AUDIT_ARCH_…` of `linux/audit.h`."""
    socket: int
    denied: tuple[int, ...]
    """`shmget`, whose memory belongs to no process, and `io_uring_setup`, whose calls no filter sees."""
    attributes: tuple[int, ...]
    """What changes a file's mode, owner, times and extended attributes, by path or descriptor."""
    others: tuple[int, ...]
    """`ptrace`, `process_vm_readv` and `process_vm_writev`."""


_LATE: Final = (452, 463, 466, 469)
"""`fchmodat2`, `setxattrat`, `removexattrat` and `file_setattr` have the same number everywhere."""
_MACHINES: Final = {
    "x86_64": _Machine(
        audit=0xC000003E,
        socket=41,
        denied=(29, 425),
        attributes=(90, 91, 92, 93, 94, 132, 188, 189, 190, 197, 198, 199, 235, 260, 261, 268, 280, *_LATE),
        others=(101, 310, 311),
    ),
    "aarch64": _Machine(
        audit=0xC00000B7,
        socket=198,
        denied=(194, 425),
        attributes=(5, 6, 7, 14, 15, 16, 52, 53, 54, 55, 88, *_LATE),
        others=(117, 270, 271),
    ),
}


def make_filter(*, walled: bool) -> bytes | None:
    """Return the filter for this machine as `struct sock_filter`s, or `None` where there is none.

    `walled` says that the process has its own network, processes and view of files. Without, no socket can be made at
    all, changes of attributes do nothing, and other processes cannot be read or written.
    """
    machine = _MACHINES.get(platform.machine()) if sys.platform == "linux" else None
    if machine is None:
        return None
    program = [(_LOAD, 0, 0, _MACHINE), (_EQUAL, 1, 0, machine.audit), (_RETURN, 0, 0, ERRNO | errno.ENOSYS)]
    program.append((_LOAD, 0, 0, _NUMBER))
    if machine.audit == _MACHINES["x86_64"].audit:
        program += _when(_AT_LEAST, _X32, ERRNO | errno.ENOSYS)
    for number in machine.denied:
        program += _when(_EQUAL, number, ERRNO | (errno.ENOSYS if number == 425 else errno.ENOSPC))
    if not walled:
        for number in machine.attributes:
            program += _when(_EQUAL, number, ERRNO)
        for number in machine.others:
            program += _when(_EQUAL, number, ERRNO | errno.EPERM)
    families = _FAMILIES if walled else ()
    program.append((_EQUAL, 0, 2 + len(families), machine.socket))
    program.append((_LOAD, 0, 0, _FIRST))
    program += [(_EQUAL, len(families) - place, 0, family) for place, family in enumerate(families)]
    program += [(_RETURN, 0, 0, ERRNO | errno.EACCES), (_RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _when(test: int, value: int, answer: int) -> list[tuple[int, int, int, int]]:
    return [(test, 0, 1, value), (_RETURN, 0, 0, answer)]
