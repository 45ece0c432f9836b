"""Isolate a process from network, files, other processes and memory, start it, and report how it ended.

Run as a script by ftaudit's own Python, with only the standard library: `confine.py CONFIG`, where CONFIG is JSON.
Two kinds of lines go to the descriptor `status`, which the confined process never holds: first what could be cut
off, then how the process ended. On Linux it uses namespaces (`unshare(2)`, `pid_namespaces(7)`), a read-only view of
the file system (`mount_setattr(2)`) and Landlock (`landlock(7)`); `open` names what the
system leaves open, with the reason.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any, NoReturn

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER = 0x00020000, 0x08000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
SYS_MOUNT_SETATTR = 442
SYS_LANDLOCK_CREATE, SYS_LANDLOCK_ADD, SYS_LANDLOCK_RESTRICT = 444, 445, 446
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = -100, 0x8000, 1
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38
NOBODY = 65534
OTHER_SYSTEM, PROCESSES, MAPPING = "other-system", "processes", "mapping"
NETWORK, UDP, CALLS, FILES, SIGNALS = "network", "udp", "calls", "files", "signals"
"""The open walls, by name: `open_walls.py` has the wording."""
NPROC_SINCE = (5, 14)
"""From this Linux on, `RLIMIT_NPROC` counts per user namespace; before, it counts all that the user runs anywhere."""
SHM_BYTES = 64 << 20

# Landlock's rights by the ABI version that brought them (linux/landlock.h): everything that changes a file system.
_WRITES = {1: sum(1 << bit for bit in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12)), 2: 1 << 13, 3: 1 << 14}
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_TCP = 0b11
_SCOPES = 0b11
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - where `shm_open(3)` puts semaphores, which many a module makes

Config = dict[str, Any]


class SystemRefusal(Exception):
    """The system does not allow this."""


def main() -> NoReturn:
    """Confine, start, wait, report."""
    config: Config = json.loads(sys.argv[1])
    status: int = config["status"]
    os.set_inheritable(status, False)
    left_open: dict[str, str] = {}
    done = {"network_cut": False, "files": "", "processes": False}
    linux = sys.platform == "linux"
    if linux:
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
    namespaces = _enter_namespaces(left_open, network=config["network"]) if linux else 0
    if linux:
        # New credentials may have cleared it (`commit_creds` in the kernel).
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != config["parent"]:
        os._exit(1)  # ftaudit ended before the kernel could be told to take us with it.
    done["network_cut"] = bool(namespaces & CLONE_NEWNET)
    done["processes"] = bool(namespaces & CLONE_NEWPID)
    if not linux:
        left_open[OTHER_SYSTEM] = ""
    elif not done["processes"]:
        left_open[PROCESSES] = ""
    middle = os.fork()
    if middle == 0:
        # In a PID namespace this process is number 1: when it ends, the kernel ends every other one in there.
        _supervise(config, namespaces, left_open, done)
    signal.signal(signal.SIGTERM, lambda *_: _kill_descendants(middle))
    for descriptor in (status, *config["pass"]):
        os.close(descriptor)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(middle, 0)
    _kill_descendants(middle)
    os._exit(0)


def _supervise(config: Config, namespaces: int, left_open: dict[str, str], done: dict[str, Any]) -> NoReturn:
    """Finish the walls, start the target in a child, reap whatever ends, report the target's end."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    status: int = config["status"]
    linux = sys.platform == "linux"
    if linux:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        if namespaces & CLONE_NEWNS:
            try:
                _make_read_only(config["writable"], fresh_proc=bool(namespaces & CLONE_NEWPID))
                done["files"] = "read-only mounts"
            except SystemRefusal as error:
                left_open[FILES] = str(error)
    ready, go = os.pipe()
    target = os.fork()
    if target == 0:
        os.close(ready)
        _become_target(config, go, left_open, done)
    os.close(go)
    for descriptor in config["pass"]:
        os.close(descriptor)
    confined = b""
    while chunk := os.read(ready, 65536):
        confined += chunk
    _tell(status, confined)
    while True:
        try:
            pid, ended = os.wait()
        except ChildProcessError:
            break
        if pid == target:
            _tell(status, json.dumps({"ended": ended}).encode())
            break
    if not done["processes"]:
        _kill_descendants(0)
    os._exit(0)


def _become_target(config: Config, go: int, left_open: dict[str, str], done: dict[str, Any]) -> NoReturn:
    linux = sys.platform == "linux"
    for name, value in config["limits"].items():
        limit = getattr(resource, name, None)
        if limit is None or (name == "RLIMIT_NPROC" and not (done["processes"] and _release() >= NPROC_SINCE)):
            continue
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(OSError, ValueError):
            # At the soft limit of CPU time comes SIGXCPU, which says more than the SIGKILL at the hard one.
            resource.setrlimit(
                limit, (value, value + 5 if name == "RLIMIT_CPU" and hard == resource.RLIM_INFINITY else value)
            )
    scoped = False
    if linux:
        _drop_privileges()
        # Without a PID namespace, this ends the target together with its watcher.
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            tcp, scoped = _landlock(
                config["writable"],
                shared=done["files"] == "read-only mounts",
                tcp=not done["network_cut"] and not config["network"],
            )
            done["files"] = done["files"] or "Landlock"
            left_open.pop(FILES, None)
            if tcp:
                left_open.pop(NETWORK, None)
                left_open[UDP] = ""
        except SystemRefusal as error:
            if not done["files"]:
                left_open[FILES] = str(error)
        _filter_calls(config, left_open, done)
        if not (done["processes"] or scoped):
            left_open[SIGNALS] = ""
    try:
        os.chdir(config["cwd"])
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(config["stdin"] if config["stdin"] is not None else null, 0)
        os.dup2(config["output"], 1)
        os.dup2(config["output"], 2)
        keep = config["keep"]
        for descriptor in keep:
            os.set_inheritable(descriptor, True)
        for descriptor in _open_descriptors():
            if descriptor > 2 and descriptor not in (go, *keep):
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        os.set_inheritable(go, False)
        os.write(go, json.dumps({"confined": done, "open": left_open}).encode())
        if not all(done[name] for name in config["needs"]):
            os._exit(1)  # A wall that the caller requires is missing: nothing is started.
        for number in (signal.SIGPIPE, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.execve(config["argv"][0], config["argv"], config["env"])  # noqa: S606 - that is what this program is for
    except OSError as error:
        os.write(2, f"{config['argv'][0]} cannot be started: {error}\n".encode())
    os._exit(127)


def _release() -> tuple[int, ...]:
    return tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2] if part.isdecimal())


def _open_descriptors() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - quick start-up
    except OSError:
        return list(range(3, 1024))


def _tell(status: int, line: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(status, line + b"\n")


def _kill_descendants(first: int) -> None:
    """Kill `first` and everything below us, including processes in their own session: as subreaper we inherit them."""
    if first:
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, signal.SIGKILL)
    for _ in range(1000):
        children = _children(os.getpid())
        if not children:
            return
        for child in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.wait()


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:  # noqa: PTH123 - quick start-up
            return [int(child) for child in file.read().split()]
    except (OSError, ValueError):
        return []


# ---------------------------------------------------------------------------------------------- Linux


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        raise SystemRefusal(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _prctl(option: int, value: int) -> int:
    return int(_libc().prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def _enter_namespaces(left_open: dict[str, str], *, network: bool) -> int:
    """Unshare as much as the system allows, and return the flags that worked."""
    uid, gid = os.getuid(), os.getgid()
    wall = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNS | (0 if network else CLONE_NEWNET)
    unshare = _libc().unshare
    if unshare(CLONE_NEWUSER | wall) == 0:
        try:
            _write("/proc/self/setgroups", "deny")
            # The user that started us is unmapped in there, so starting a program does not bring a capability back.
            _write("/proc/self/uid_map", f"{NOBODY} {uid} 1")
            _write("/proc/self/gid_map", f"{NOBODY} {gid} 1")
        except OSError as error:
            left_open[MAPPING] = str(error.strerror)
        return wall
    why = os.strerror(ctypes.get_errno())
    reached = 0
    for flag in (CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWNS, CLONE_NEWNET):
        if wall & flag and unshare(flag) == 0:  # Only root gets here.
            reached |= flag
    if wall & ~reached & CLONE_NEWNET:
        left_open[NETWORK] = f"this system does not allow a user namespace ({why})"
    return reached


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    arguments = [None if text is None else text.encode() for text in (source, target, kind)]
    result = _libc().mount(*arguments, ctypes.c_ulong(flags), None if options is None else options.encode())
    _check(result, f"mount {target}")


def _set_read_only(path: str, *, on: bool, recursive: bool) -> None:
    attributes = struct.pack("QQQQ", MOUNT_ATTR_RDONLY if on else 0, 0 if on else MOUNT_ATTR_RDONLY, 0, 0)
    flags = AT_RECURSIVE if recursive else 0
    result = _libc().syscall(
        ctypes.c_long(SYS_MOUNT_SETATTR),
        ctypes.c_int(AT_FDCWD),
        path.encode(),
        ctypes.c_uint(flags),
        attributes,
        ctypes.c_size_t(len(attributes)),
    )
    _check(result, f"mount_setattr {path}")


def _make_read_only(writable: list[str], *, fresh_proc: bool) -> None:
    """Make every mount read-only except the writable folders and our own small shared-memory folder."""
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    for folder in writable:
        _mount(folder, folder, None, MS_BIND)
    with contextlib.suppress(SystemRefusal):
        # In a container whose /proc is masked this is refused; the old one then stays, read-only.
        if fresh_proc:
            _mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV)
    _set_read_only("/", on=True, recursive=True)
    for folder in writable:
        _set_read_only(folder, on=False, recursive=False)
    with contextlib.suppress(SystemRefusal):
        _mount("tmpfs", SHARED_MEMORY, "tmpfs", MS_NOSUID | MS_NODEV, f"size={SHM_BYTES},mode=1777")


def _drop_privileges() -> None:
    """Drop every capability permanently: `capabilities(7)`, `no_new_privs`."""
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    for capability in range(64):
        _prctl(PR_CAPBSET_DROP, capability)
    header = struct.pack("Ii", 0x20080522, 0)
    _libc().capset(header, b"\0" * 24)


def _filter_calls(config: Config, left_open: dict[str, str], done: dict[str, Any]) -> None:
    """Install the system-call filter that matches the active walls, and note what they leave open."""
    walled = bool(done["network_cut"] and done["processes"] and done["files"] == "read-only mounts")
    encoded = config["filters"][walled]
    if encoded is None:
        left_open[CALLS] = "ftaudit does not know the system calls of this machine"
        return
    program = base64.b64decode(encoded)
    try:
        buffer = ctypes.create_string_buffer(program, len(program))
        head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
        _check(_libc().prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, 0, 0), "seccomp")
    except SystemRefusal as error:
        left_open[CALLS] = str(error)
        return
    if not walled and not config["network"]:
        # No socket at all can be made.
        left_open.pop(NETWORK, None)
        left_open.pop(UDP, None)
        done["network_cut"] = True


def _landlock(writable: list[str], *, shared: bool, tcp: bool) -> tuple[bool, bool]:
    """Deny writes except below the writable folders; return whether TCP and signals to the outside are denied too."""
    call = _libc().syscall
    abi = _check(call(SYS_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1), "Landlock")
    writes = sum(rights for since, rights in _WRITES.items() if since <= abi)
    network = _TCP if tcp and abi >= 4 else 0
    attributes = struct.pack("Q", writes)
    if abi >= 4:
        attributes += struct.pack("Q", network)
    if abi >= 6:
        attributes += struct.pack("Q", _SCOPES)
    ruleset = _check(
        call(SYS_LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0), "landlock_create_ruleset"
    )
    allow: Callable[[str, int], None] = lambda path, rights: _allow(call, ruleset, path, rights)  # noqa: E731
    # In a world-writable folder, a module's files would stay.
    for folder in (*writable, *((SHARED_MEMORY,) if shared else ())):
        allow(folder, writes)
    for device in ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty"):
        allow(device, writes & (_WRITE_FILE | _TRUNCATE))
    _check(call(SYS_LANDLOCK_RESTRICT, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)
    return bool(network), abi >= 6


def _allow(call: Callable[..., int], ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        _check(call(SYS_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", rights, descriptor), 0), f"Landlock {path}")
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
